"""The collector at the HTTP edge, on a real Kafka: what is taken, how it arrives in the topic, and what is refused."""

import base64
import datetime as dt
import gzip
import json
import signal
import socket
import ssl
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.wire import Event, Rejected
from stack import process, topics
from stack.settings import PROJECT
from tests.collectors import TOPIC, Running, decoded, records, running, value
from tests.stacks import Stack, eventually, read_all

LONG = ["track", "identify", "page", "screen", "group", "alias"]
SHORT = {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias"}
PAGE = "https://shop.example"


@pytest.fixture(scope="module")
def collector(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("collector") / "one") as found:
        yield found


def now_ms() -> float:
    return dt.datetime.now(dt.UTC).timestamp() * 1000


def ended() -> int:
    """Number of records in the topic."""
    return next(state.records for state in topics.describe() if state.name == TOPIC)


@pytest.mark.parametrize("call", [*LONG, *SHORT])
def test_every_call_arrives_with_its_type_and_its_stamps(collector: Running, call: str) -> None:
    began = now_ms()
    sent = {"messageId": f"call-{call}", "userId": "u1", "anonymousId": "a1", "event": "X", "previousId": "p", "groupId": "g", "name": "n"}
    answer = collector.post(f"/v1/{call}", sent, User_Agent="Agent/1")
    assert (answer.status, answer.json()) == (200, {"success": True})
    message = records()[f"call-{call}"]
    found = value(message)
    assert message.key() == b"u1"
    assert {name: found[name] for name in sent} == sent
    assert found["type"] == SHORT.get(call, call)
    assert found["tenant"] == "demo"
    assert found["context"] == {"ip": "127.0.0.1", "userAgent": "Agent/1", "source": "page"}
    assert began - 1 <= dt.datetime.fromisoformat(found["receivedAt"]).timestamp() * 1000 <= now_ms() + 1
    assert isinstance(decoded(message), Event)


def test_a_batch_shares_its_context_and_its_sending_time(collector: Running) -> None:
    sent_at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=3)  # a clock three hours fast
    happened = sent_at - dt.timedelta(minutes=10)
    own = {"context": {"library": {"name": "own"}, "ip": "1.2.3.4"}, "timestamp": happened.isoformat()}
    batch = [{"type": "track", "event": "X", "userId": f"b{index}", "messageId": f"batch-{index}"} for index in range(100)]
    batch[1] |= own  # type: ignore[arg-type]
    body = {"batch": batch, "sentAt": sent_at.isoformat(), "context": {"library": {"name": "shared"}, "locale": "en"}}
    assert collector.post("/v1/batch", body).status == 200
    found = records()
    assert all(f"batch-{index}" in found for index in range(100))
    plain, first = value(found["batch-0"]), value(found["batch-1"])
    assert (plain["context"]["library"], plain["context"]["locale"], plain["sentAt"]) == ({"name": "shared"}, "en", sent_at.isoformat())
    assert (first["context"]["library"], first["context"]["locale"], first["context"]["ip"]) == ({"name": "own"}, "en", "1.2.3.4")
    assert first["originalTimestamp"] == happened.isoformat()
    assert "timestamp" not in first
    event = decoded(found["batch-1"])
    assert isinstance(event, Event)
    assert abs(event.log_time - event.event_time - 600_000) < 5_000, "ten minutes ago, whatever the client's clock says"


def test_what_is_enriched_is_up_to_the_source(collector: Running) -> None:
    assert collector.post("/v1/track", {"event": "X", "userId": "u", "messageId": "plain"}, key="server-key").status == 200
    assert value(records()["plain"])["context"] == {"source": "server"}


def test_a_message_without_an_id_gets_one_and_is_keyed_by_it(collector: Running) -> None:
    before = set(records())
    for _ in range(2):
        assert collector.post("/v1/track", {"event": "X", "context": {"externalIds": [{"type": "member_id", "id": "7"}]}}).status == 200
    made = {name: message for name, message in records().items() if name not in before}
    assert len(made) == 2
    assert all(message.key() == name.encode() and len(name) <= 100 for name, message in made.items())


@pytest.mark.parametrize(
    ("name", "path", "key", "where"),
    [
        ("basic", "/v1/track", "page-key", {}),
        ("query", "/v1/track?writeKey=page-key", "", {}),
        ("body", "/v1/t", "", {"writeKey": "page-key"}),
    ],
)
def test_the_write_key_may_stand_in_the_header_the_address_or_the_body_and_never_in_the_topic(
    collector: Running, name: str, path: str, key: str, where: dict[str, str]
) -> None:
    assert collector.post(path, {"event": "X", "userId": "u", "messageId": f"key-{name}"} | where, key=key).status == 200
    assert b"page-key" not in (records()[f"key-{name}"].value() or b"")


def test_gzip_and_the_form_of_a_beacon_are_taken(collector: Running) -> None:
    packed = gzip.compress(json.dumps({"batch": [{"type": "page", "userId": "u", "messageId": "packed"}]}).encode())
    assert collector.post("/v1/batch", packed, Content_Encoding="gzip", Content_Type="application/json").status == 200
    beacon = {"writeKey": "page-key", "batch": [{"type": "page", "userId": "u", "messageId": "beacon"}], "sentAt": "2026-01-01T00:00:00Z"}
    answer = collector.post("/v1/b", beacon, key="", Content_Type="text/plain;charset=UTF-8", Origin=PAGE)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert {"packed", "beacon"} <= set(records())


BAD: list[tuple[bytes, str]] = [
    (b"5", "schema_violation"),
    (b'"text"', "schema_violation"),
    (b"null", "schema_violation"),
    (b'[{"a": 1}]', "schema_violation"),
    (b'{"type":"track","event":"cut off \\ud83d","userId":"u","messageId":"bad-1"}', "payload_format"),
    (b'{"type":"track","event":"X","userId":"u","messageId":"bad-2","properties":{"price":NaN}}', "payload_format"),
    (b'{"type":"track","event":"X","userId":"u","messageId":"bad-3","properties":{"price":1e999}}', "payload_format"),
    (b'{"type":"track","event":"\xff","userId":"u","messageId":"bad-4"}', "payload_format"),
    (b'{"type":"track","event":"X","userId":"u","messageId":"bad-5","properties":' + b"[" * 200 + b"]" * 200 + b"}", "payload_format"),
    (b'{"type":"track","userId":"u","messageId":"bad-6"}', "schema_violation"),
    (b'{"type":"purchase","userId":"u","messageId":"bad-7"}', "schema_violation"),
    (b'{"type":"track","event":"X","userId":5,"messageId":"bad-8"}', "schema_violation"),
    (b'{"type":"track","event":"X","userId":"u","messageId":"bad-9","context":[1]}', "schema_violation"),
    (b'{"type":"track","event":"X","messageId":"bad-10"}', "identifier_missing"),
    (b'{"type":"track","event":"X","userId":"u","messageId":"bad-11","properties":{"pad":"' + b"x" * 40_000 + b'"}}', "size_violation"),
    (b'{"type":"track","event":"X","userId":"u","messageId":"' + b"m" * 101 + b'"}', "size_violation"),
    (b'{"type":"track","event":"X","userId":"u","messageId":"bad-12","timestamp":"yesterday"}', "schema_violation"),
]


def test_bad_events_cost_their_neighbours_nothing_and_are_rejected_one_by_one(collector: Running) -> None:
    before = {(message.partition(), message.offset()) for message in read_all(TOPIC)}
    good = [b'{"type":"track","event":"X","userId":"u","messageId":"good-%d"}' % index for index in range(len(BAD))]
    body = b'{"batch":[' + b",".join(text for pair in zip(good, (bad for bad, _ in BAD), strict=True) for text in pair) + b"]}"
    assert collector.post("/v1/batch", body).status == 200
    new = [message for message in read_all(TOPIC) if (message.partition(), message.offset()) not in before]
    assert len(new) == 2 * len(BAD)
    outcomes = [decoded(message) for message in new]
    assert sorted(found.message_id for found in outcomes if isinstance(found, Event)) == sorted(
        f"good-{index}" for index in range(len(BAD))
    )
    assert sorted(found.code for found in outcomes if isinstance(found, Rejected)) == sorted(code for _, code in BAD)
    values = [message.value() for message in new]
    assert all(bad in values for bad, _ in BAD[:6]), "what is no event stays byte for byte"


@pytest.mark.parametrize("body", [b"5", b"[]", b'{"event":"half \\ud83d","userId":"u"}'])
def test_a_single_call_that_is_no_event_is_kept_too(collector: Running, body: bytes) -> None:
    before = ended()
    assert collector.post("/v1/track", body).status == 200
    assert ended() == before + 1


def packed(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(bytes(size)) + packer.flush()


REFUSALS: list[tuple[str, str, object, dict[str, str], int]] = [
    ("no JSON", "/v1/track", b"{", {}, 400),
    ("nothing", "/v1/track", b"", {}, 400),
    ("no gzip", "/v1/track", b"{}", {"Content_Encoding": "gzip"}, 400),
    ("gzip cut off", "/v1/track", gzip.compress(b"{}")[:-3], {"Content_Encoding": "gzip"}, 400),
    ("a batch without one", "/v1/batch", {"userId": "u"}, {}, 400),
    ("a batch that is none", "/v1/batch", {"batch": {}}, {}, 400),
    ("no object", "/v1/batch", [], {}, 400),
    ("unknown key", "/v1/track", {}, {"key": "nobody"}, 401),
    ("no key", "/v1/track", {}, {"key": ""}, 401),
    ("key in the body unknown", "/v1/track", {"writeKey": "nobody"}, {"key": ""}, 401),
    ("foreign page", "/v1/track", {}, {"Origin": "https://evil.example"}, 403),
    ("a page where none may send", "/v1/track", {}, {"key": "server-key", "Origin": PAGE}, 403),
    ("unknown call", "/v1/purchase", {}, {}, 404),
    ("unknown path", "/v2/track", {}, {}, 404),
    ("encoding", "/v1/track", {}, {"Content_Encoding": "br"}, 415),
    ("large", "/v1/batch", {"batch": [{"pad": "x" * 513_000}]}, {}, 413),
    ("large once unpacked", "/v1/batch", packed(600_000), {"Content_Encoding": "gzip"}, 413),
    ("a bomb", "/v1/batch", packed(400_000_000), {"Content_Encoding": "gzip"}, 413),
    ("many", "/v1/batch", {"batch": [0] * 2501}, {}, 413),
]


@pytest.mark.parametrize(("path", "body", "headers", "status"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
def test_what_is_refused_writes_nothing_and_says_why(
    collector: Running, path: str, body: object, headers: dict[str, str], status: int
) -> None:
    before = ended()
    answer = collector.post(path, body, **headers)
    assert answer.status == status
    if path != "/v2/track":
        assert answer.json()["success"] is False
        assert answer.json()["message"]
    assert "Retry-After" not in answer.headers
    assert ended() == before


def test_other_methods_are_refused_by_name(collector: Running) -> None:
    for method, path, allowed in (("GET", "/v1/track", "POST"), ("PUT", "/v1/batch", "POST"), ("POST", "/health", "GET")):
        answer = collector.ask(method, path)
        assert (answer.status, allowed in answer.headers["Allow"]) == (405, True)


def test_a_request_of_just_the_limit_is_taken(collector: Running) -> None:
    empty = len(json.dumps({"batch": [{"messageId": "just", "userId": "u", "pad": ""}]}, separators=(",", ":")))
    body = json.dumps({"batch": [{"messageId": "just", "userId": "u", "pad": "x" * (512_000 - empty)}]}, separators=(",", ":")).encode()
    assert len(body) == 512_000
    assert collector.post("/v1/batch", body).status == 200
    assert collector.post("/v1/batch", body + b" ").status == 413


def test_over_its_rate_a_source_is_told_when_to_come_again_and_everybody_else_that_it_was(collector: Running) -> None:
    batch: list[dict[str, Any]] = [{"type": "page", "userId": "u", "messageId": f"rate-{index}"} for index in range(15)]
    assert collector.post("/v1/batch", {"batch": batch}, key="limited-key").status == 200
    again = [event | {"messageId": f"again-{event['messageId']}"} for event in batch]
    refused = collector.post("/v1/batch", {"batch": again}, key="limited-key")
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    assert collector.post("/v1/batch", {"batch": again}, key="page-key").status == 200, "another source is not held up"
    assert collector.metric('cdp_collector_refused_events_total{reason="rate",source="limited"}') == 15

    def notices() -> list[dict[str, Any]]:
        found = [json.loads(message.value() or b"") for message in read_all("cdp.limits")]
        return [notice for notice in found if notice["source"] == "limited"]

    eventually(notices, "a notice in cdp.limits", 10.0)
    (notice,) = notices()
    assert (notice["kind"], notice["refused"]) == ("rate", 15)
    assert (notice["sample"]["call"], notice["sample"]["events"]) == ("batch", 15)
    assert dt.datetime.fromisoformat(notice["at"]).tzinfo
    assert "limit rate: source limited, 15 refused" in collector.log.read_text()
    more = [event | {"messageId": f"more-{event['messageId']}"} for event in batch]
    eventually(lambda: collector.post("/v1/batch", {"batch": more}, key="limited-key").status == 200, "after the wait it passes", 10.0)


def test_a_page_may_ask_first_and_reads_the_settings_of_the_browser_sdk(collector: Running) -> None:
    asked = {"Origin": PAGE, "Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization,x-retry-count"}
    allowed = collector.ask("OPTIONS", "/v1/t", **asked)
    assert (allowed.status, allowed.headers["Access-Control-Allow-Origin"]) == (204, PAGE)
    assert "authorization" in allowed.headers["Access-Control-Allow-Headers"]
    refused = collector.ask("OPTIONS", "/v1/t", Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in refused.headers
    settings = collector.ask("GET", "/v1/projects/page-key/settings", Origin=PAGE)
    assert settings.headers["Access-Control-Allow-Origin"] == PAGE
    host = collector.url.removeprefix("http://")
    segment = settings.json()["integrations"]["Segment.io"]
    assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == ("page-key", f"{host}/v1", "http")
    assert collector.ask("GET", "/v1/projects/nobody/settings").status == 404


def test_measurements_of_the_sdk_are_counted_not_kept(collector: Running) -> None:
    before = ended()
    answer = collector.post("/v1/m", {"series": [{"type": "Counter", "metric": "x", "value": 1}] * 3}, key="", Origin=PAGE)
    assert (answer.status, collector.metric("cdp_collector_client_metrics_total"), ended()) == (200, 3.0, before)
    assert collector.post("/v1/m", b"nonsense", key="").status == 200


def test_what_was_acknowledged_is_counted(collector: Running) -> None:
    before = collector.metric('cdp_collector_events_total{source="server"}')
    assert collector.post("/v1/batch", {"batch": [{"userId": "u"}] * 7}, key="server-key").status == 200
    assert collector.metric('cdp_collector_events_total{source="server"}') == before + 7
    assert collector.metric('cdp_collector_requests_total{call="batch",code="200",source="server"}') >= 1


def test_it_is_alive_and_ready(collector: Running) -> None:
    assert collector.ask("GET", "/health").json() == {"alive": True}
    assert collector.ask("GET", "/ready").json() == {"ready": True}


def test_nothing_personal_is_in_the_log(collector: Running) -> None:
    secrets = {"userId": "jane@example.org", "traits": {"phone": "+441234"}}
    bad = b'{"batch":[' + json.dumps(secrets).encode() + b',{"userId":"jane@example.org\\ud83d"}]'
    for body in (secrets, {"batch": [secrets] * 2600}, bad, bad + b"}"):
        for key in ("page-key", "jane-key", "limited-key"):
            collector.post("/v1/batch", body, key=key, User_Agent="Jane's browser", X_Forwarded_For="203.0.113.7")
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2]))) as connection:
        connection.sendall(b"jane@example.org is no HTTP\r\n\r\n")
        connection.recv(1000)
    log = collector.log.read_text()
    assert log
    assert not [word for word in ("jane", "Jane", "+44", "203.0.113", "page-key", "Traceback") if word in log]


def test_a_forged_address_is_not_believed_unless_a_proxy_is_named(collector: Running, stack: Stack, tmp_path: Path) -> None:
    sent = {"event": "X", "userId": "u", "messageId": "forged"}
    collector.post("/v1/track", sent, X_Forwarded_For="203.0.113.7")
    with running(tmp_path / "proxied", "--proxies", "127.0.0.1") as proxied:
        proxied.post("/v1/track", sent | {"messageId": "proxied"}, X_Forwarded_For="203.0.113.7")
        settings = proxied.ask("GET", "/v1/projects/page-key/settings", X_Forwarded_Proto="https").json()
    found = records()
    assert value(found["forged"])["context"]["ip"] == "127.0.0.1"
    assert value(found["proxied"])["context"]["ip"] == "203.0.113.7"
    assert settings["integrations"]["Segment.io"]["protocol"] == "https"


def test_a_body_that_does_not_arrive_is_given_up(collector: Running) -> None:
    head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nAuthorization: Basic " + base64.b64encode(b"page-key:")
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2])), timeout=30.0) as connection:
        connection.sendall(head + b"\r\n\r\n{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_https(stack: Stack, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(made, check=True, capture_output=True)
    with running(tmp_path / "tls", "--tls-cert", str(cert), "--tls-key", str(key), ca=str(cert)) as secured:
        assert secured.url.startswith("https://")
        assert secured.post("/v1/track", {"event": "X", "userId": "u", "messageId": "secured"}).status == 200
        with (
            pytest.raises((ConnectionError, OSError)),
            socket.create_connection(("127.0.0.1", int(secured.url.rpartition(":")[2]))) as plain,
        ):
            ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")  # a certificate nobody trusts
    assert "secured" in records()


def test_the_command_serves_in_the_foreground_and_ends_with_0(stack: Stack, tmp_path: Path) -> None:
    with running(tmp_path / "cli", command=("-m", "cli.main", "collector")) as found:
        assert found.post("/v1/page", {"userId": "u", "messageId": "by-command"}).status == 200
        assert found.end(signal.SIGINT) == 0
    assert "by-command" in records()


def test_a_mistake_in_the_configuration_is_one_line(stack: Stack, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "api.collector", "--tls-cert", "cert.pem"]
    said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stderr) == (2, "error: --tls-cert and --tls-key go together\n")


def test_workers_share_limits_and_counters_and_end_together(stack: Stack, tmp_path: Path) -> None:
    with running(tmp_path / "workers", "--workers", "2") as several:
        statuses = []
        for index in range(40):  # each on a connection of its own, so that both workers get some
            sent = {"userId": "u", "messageId": f"worker-{index}"}
            statuses.append(several.post("/v1/page", sent, key="limited-key", Connection="close").status)
        passed = statuses.count(200)
        assert 20 <= passed <= 30, "twenty at once and five a second, however many workers"
        assert statuses.count(429) == 40 - passed
        assert several.metric('cdp_collector_events_total{source="limited"}') == passed
        assert several.end() == 0
    assert several.log.read_text().count("Started server process") == 2


def test_no_worker_outlives_a_killed_parent(stack: Stack, tmp_path: Path) -> None:
    with running(tmp_path / "orphans", "--workers", "2") as several:
        workers = [child.pid for child in psutil.Process(several.process.pid).children()]
        several.end(signal.SIGKILL)
        eventually(lambda: not any(process.identify(pid) for pid in workers), "the workers are gone", 20.0)
    assert len(workers) >= 2
