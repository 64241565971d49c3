"""The certificate that Flink's REST interface and its clients show each other.

Whoever reaches that interface can submit a job, which is any code. On loopback that is every user of the machine and every web page that
a browser on it shows: a form of any origin may be posted to `/jobs`, and no option of Flink turns that off. So the interface answers only
clients with this certificate, which the owner of the stack alone can read.
"""

import datetime as dt
import ipaddress
import secrets
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import urllib3

from config.passwords import create_secret
from stack.errors import StackError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_DAYS: Final = 3650


def pem(folder: Path) -> Path:
    """Key and certificate for clients such as curl (`--cert FILE --cacert FILE`), in a folder of secrets."""
    return folder / "flink-rest.pem"


def keystore(folder: Path) -> Path:
    """Key and certificate for Java and for browsers (PKCS 12). Java takes the certificate in it as the one it trusts, too."""
    return folder / "flink-rest.p12"


def password(folder: Path) -> str:
    """Password of the key store.

    Raises:
        StackError: it was not made yet.
    """
    return _there(_password_file(folder)).read_text().strip()


def make(folder: Path, hosts: Iterable[str]) -> None:
    """Make the files that are not there yet, each of mode 0600. Processes that do so at once end up with the same ones.

    Args:
        folder: of secrets.
        hosts: names and addresses under which clients of this stack reach the JobManager.

    Raises:
        StackError: the certificate is there, and not for all of these hosts, or it has expired.
    """
    create_secret(_password_file(folder), secrets.token_urlsafe(32).encode())
    if not pem(folder).exists():
        create_secret(pem(folder), _made(hosts))
    if not keystore(folder).exists():
        create_secret(keystore(folder), _as_keystore(pem(folder).read_bytes(), password(folder)))
    _check(folder, hosts)


def configuration(folder: Path) -> dict[str, str]:
    """Flink's options, for servers and for the client that submits."""
    store, secret = str(keystore(folder)), password(folder)
    return {
        "security.ssl.protocol": "TLSv1.3",
        "security.ssl.algorithms": "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384",  # those that Flink has by default are for RSA keys
        "security.ssl.rest.enabled": "true",
        "security.ssl.rest.authentication-enabled": "true",
        "security.ssl.rest.keystore": store,
        "security.ssl.rest.keystore-type": "PKCS12",
        "security.ssl.rest.keystore-password": secret,
        "security.ssl.rest.key-password": secret,
        "security.ssl.rest.truststore": store,
        "security.ssl.rest.truststore-type": "PKCS12",
        "security.ssl.rest.truststore-password": secret,
    }


def connections(folder: Path) -> urllib3.PoolManager:
    """HTTP connections that show the certificate and accept no other.

    Raises:
        StackError: it was not made yet.
    """
    path = _there(pem(folder))
    return _connections(str(path), path.stat().st_mtime_ns)


@cache
def _connections(path: str, _written_ns: int) -> urllib3.PoolManager:
    return urllib3.PoolManager(cert_file=path, key_file=path, ca_certs=path, cert_reqs="CERT_REQUIRED")


def _password_file(folder: Path) -> Path:
    return folder / "flink-rest.password"


def _there(path: Path) -> Path:
    if not path.is_file():
        raise StackError(f"there is no {path}", "`cdp up` makes it; of a stack elsewhere, copy it to there")
    return path


def _made(hosts: Iterable[str]) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Open CDP, Flink REST")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([_named(host) for host in sorted(set(hosts))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _as_keystore(text: bytes, secret: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
    from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

    key, certificate = _read(text)
    return serialize_key_and_certificates(b"flink-rest", key, certificate, None, BestAvailableEncryption(secret.encode()))


def _read(text: bytes) -> "tuple[EllipticCurvePrivateKey, x509.Certificate]":
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(text, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key, x509.load_pem_x509_certificate(text)


def _check(folder: Path, hosts: Iterable[str]) -> None:
    """Refuse a certificate that every connection would refuse, with the remedy."""
    from cryptography import x509

    _, certificate = _read(pem(folder).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    remedy = f"remove {folder}/flink-rest.*; `cdp down` and `cdp up` make new ones"
    for host in hosts:
        if _named(host) not in names:
            raise StackError(f"the certificate {pem(folder)} is not for host {host}", remedy)
    if certificate.not_valid_after_utc < dt.datetime.now(dt.UTC):
        raise StackError(f"the certificate {pem(folder)} expired on {certificate.not_valid_after_utc:%Y-%m-%d}", remedy)


def _named(host: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
