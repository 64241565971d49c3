"""The certificate of Flink's REST interface is made once, for its owner only, and a wrong one is refused with the remedy."""

import stat
from pathlib import Path

import pytest

from stack import rest_certificate, settings
from stack.errors import StackError

HOSTS = ["127.0.0.1", "jobmanager", "localhost"]


def test_it_is_made_once_for_its_owner_only_and_java_and_python_hold_the_same(tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs12

    rest_certificate.make(tmp_path, HOSTS)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert {path.name for path in files} == {"flink-rest.pem", "flink-rest.p12", "flink-rest.password"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    rest_certificate.make(tmp_path, HOSTS)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    secret = rest_certificate.password(tmp_path).encode()
    key, certificate, _ = pkcs12.load_key_and_certificates(rest_certificate.keystore(tmp_path).read_bytes(), secret)
    assert certificate == x509.load_pem_x509_certificate(rest_certificate.pem(tmp_path).read_bytes())
    assert key is not None
    assert certificate is not None
    assert key.public_key() == certificate.public_key()


def test_another_host_is_refused_with_the_remedy(tmp_path: Path) -> None:
    rest_certificate.make(tmp_path, HOSTS)
    with pytest.raises(StackError, match=r"not for host elsewhere(?s:.)*flink-rest"):
        rest_certificate.make(tmp_path, [*HOSTS, "elsewhere"])


def test_without_one_the_error_says_who_makes_it(tmp_path: Path) -> None:
    for needs in (rest_certificate.connections, rest_certificate.configuration):
        with pytest.raises(StackError, match="cdp up"):
            needs(tmp_path)


def test_it_is_in_flinks_configuration_and_the_address_is_https(tmp_path: Path) -> None:
    chosen = settings.load({"CDP_HOME": str(tmp_path)})
    settings.prepare_home(chosen)
    options = rest_certificate.configuration(chosen.secrets)
    assert options["security.ssl.rest.authentication-enabled"] == "true"
    assert chosen.flink.startswith("https://")
