"""What the command line may say, and when the process has to be replaced."""

from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from api.collector import server
from api.collector.publisher import Publisher, Settings
from api.collector.server import Options, OptionsError
from config import loader


def test_the_address_is_that_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDP_COLLECTOR", "http://collector:8080")
    loader.platform.cache_clear()
    assert server.default_address() == ("collector", 8080)
    monkeypatch.undo()
    loader.platform.cache_clear()


@pytest.mark.parametrize(
    ("cert", "key", "said"), [("c.pem", "", "go together"), ("", "k.pem", "go together"), ("no.pem", "no.key", r"there is no file no\.pem")]
)
def test_half_a_certificate_or_none_is_refused_before_anything_starts(cert: str, key: str, said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        server.run(Options(host="127.0.0.1", port=1, tls_cert=cert, tls_key=key))


def test_without_an_http_source_there_is_nothing_to_serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for file in loader.folder().glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "sources.yaml").write_text("files: {kind: file, tenant: demo, topic: cdp.raw.orders}\n")
    monkeypatch.setenv("CDP_CONFIG_DIR", str(tmp_path))
    loader.sources.cache_clear()
    with pytest.raises(loader.ConfigError, match="no source is of kind http"):
        server.run(Options(host="127.0.0.1", port=1))
    loader.sources.cache_clear()


def test_a_producer_that_can_never_write_again_has_the_process_replaced() -> None:
    calls: list[str] = []
    publisher = Publisher(Settings(bootstrap="127.0.0.1:1"), lambda: calls.append("replace"))
    publisher._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert calls == []
    publisher._on_error(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "gap", True))
    assert calls == ["replace"]
