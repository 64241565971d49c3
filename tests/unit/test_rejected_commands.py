"""The parts of `cdp rejected` that need no server: options, masking, the card, the ledger's index, the export."""

import base64
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.rejected import card, selection, stats
from cli.rejected.export import ExportError, line, write
from cli.rejected.masked import MASK, masked
from cli.rejected.outcomes import Outcome
from cli.rejected.replay_log import ReplayLog
from cli.rejected.views import list_table
from cli.terminal import shown
from config import loader
from pipelines.rejected.conditions import predicate
from pipelines.rejected.record import Position, PositionError, Record
from pipelines.rejected.verdicts import Sent

NOW = 1_700_000_000_000
HOUR = 3_600_000


def record(original: Any = None, **values: Any) -> Record:
    plain = {"source": "cdp.raw.orders", "partition": 0, "offset": 7, "log_time": NOW, "code": "quality_rule", "rule": "in pounds"}
    plain |= {"field": "$.properties.products[1].price", "tenant": "demo", "message_id": "m"}
    body = original if isinstance(original, bytes) else json.dumps(original or {}).encode()
    return Record.of(plain | {"original": body} | values)


def chosen(found: Record, **options: str) -> bool:
    return predicate(selection.condition(selection.Selection(**options), lambda: NOW))(found)


@pytest.mark.parametrize(
    ("options", "yes", "no"),
    [
        ({"code": "quality_rule,internal"}, {"code": "internal"}, {"code": "id_conflict"}),
        ({"topic": "orders"}, {"source": "cdp.raw.orders"}, {"source": "orders"}),
        ({"topic": "old.topic"}, {"source": "old.topic"}, {"source": "cdp.raw.orders"}),
        ({"source": "erp, web"}, {"origin": "web"}, {"origin": ""}),
        ({"tenant": "demo"}, {"tenant": "demo"}, {"tenant": ""}),
        ({"field": "$.a"}, {"field": "$.a"}, {"field": "$.ab"}),
        ({"field": "$.products[*].price"}, {"field": "$.products[12].price"}, {"field": "$.products[12].quantity"}),
        ({"field": "$.100%_*"}, {"field": "$.100%_x"}, {"field": "$.1000 x"}),
        ({"since": "1h"}, {"log_time": NOW - HOUR}, {"log_time": NOW - HOUR - 1}),
        ({"since": "2023-11-14T22:13:20Z"}, {"log_time": NOW}, {"log_time": NOW - 1}),
        ({"until": "1h"}, {"log_time": NOW - HOUR - 1}, {"log_time": NOW - HOUR}),
        ({"where": "size = 2 or size = 3", "code": "internal"}, {"code": "internal"}, {"code": "id_conflict"}),
        ({}, {}, None),
    ],
)
def test_options_choose_what_they_say(options: dict[str, str], yes: dict[str, Any], no: dict[str, Any] | None) -> None:
    assert chosen(record(**yes), **options)
    assert no is None or not chosen(record(**no), **options)


@pytest.mark.parametrize("options", [{"code": "qualityrule"}, {"since": "yesterday"}, {"until": "1y"}])
def test_an_option_that_makes_no_sense_is_named(options: dict[str, str]) -> None:
    with pytest.raises(selection.SelectionError, match=f"--{next(iter(options))}: "):
        chosen(record(), **options)


def test_a_position_may_be_written_as_the_other_commands_show_it() -> None:
    wanted = Position("cdp.raw.orders", 1, 23)
    assert [selection.position(text) for text in ("cdp.raw.orders:1:23", "orders:1:23", "orders/1@23")] == [wanted] * 3
    assert selection.position("old.topic:1:23").topic == "old.topic"
    with pytest.raises(PositionError):
        selection.position("orders")


def test_no_personal_value_is_shown_wherever_a_bad_record_has_it() -> None:
    secrets = ["ann@example.org", "+441234", "Ann", "12 High Street", "please call me"]
    mail, phone, name, street, words = secrets
    shown = masked(
        {
            "event": "Lead Submitted",
            "email": mail,
            "userId": "u1",
            "traits": {"name": name, "nested": {"phone": phone}, "plan": "gold", "firstName": None},
            "context": {"externalIds": [{"type": "email", "id": mail}, {"type": "device_id", "id": "d1"}], "traits": {"street": street}},
            "properties": {"name": "Mug", "products": [{"name": "Mug", "street": street}], "comment": f"write to {mail}", mail: 1},
        },
        loader.identity(),
    )
    text = json.dumps(shown)
    assert not [secret for secret in secrets if secret in text]
    assert shown["properties"]["products"][0] == {"name": "Mug", "street": MASK}
    assert shown["context"]["externalIds"][1] == {"type": "device_id", "id": "d1"}
    assert shown["traits"] == {"name": MASK, "nested": {"phone": MASK}, "plan": "gold", "firstName": None}
    assert masked({"traits": {"type": ["odd"], "id": "d1"}}, loader.identity())["traits"] == {"type": ["odd"], "id": "d1"}
    ticket = masked({"event": "Ticket Opened", "properties": {"subject": words, "ticket_id": "t"}}, loader.identity())
    assert ticket["properties"]["ticket_id"] == "t"


def test_free_words_of_an_event_are_personal_if_its_contract_says_so() -> None:
    from schemas.contracts import load

    events = [(name, label) for name, contract in load().items() for label, field in contract.fields.items() if field.pii == "content"]
    assert events
    for name, label in events:
        assert masked({"event": name, "properties": {label: "words"}}, loader.identity())["properties"][label] == MASK


def drawn(found: Record, story: card.Story | None = None, *, plain: bool = False) -> str:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as shown:
        console.print(card.card(found, story or card.Story(), loader.identity(), plain=plain))
    return shown.get()


def test_the_failing_field_is_marked_or_its_holder_when_it_is_missing() -> None:
    found = record({"properties": {"products": [{"price": 1}, {"price": -1}]}})
    [marked] = [text for text in drawn(found).splitlines() if "◀" in text]
    assert '"price": -1  ◀ in pounds' in marked
    missing = record({"properties": {"products": [{"price": 1}, {}]}})
    [marked] = [text for text in drawn(missing).splitlines() if "◀" in text]
    assert "{}  ◀ $.properties.products[1].price: in pounds" in marked
    [marked] = [text for text in drawn(record({"a": 1}, field="$")).splitlines() if "◀" in text]
    assert "{  ◀ in pounds" in marked


def test_a_long_record_is_shown_around_what_is_wrong() -> None:
    long = record({"properties": {"products": [{"price": number} for number in range(1000)]}}, field="$.properties.products[500].price")
    shown = drawn(long)
    assert '"price": 500  ◀ in pounds' in shown
    assert '"price": 400' not in shown
    assert "lines" in shown


def test_bytes_are_shown_as_hexadecimal_around_what_is_no_utf_8_and_only_on_request() -> None:
    broken = record(b"x" * 1000 + b"ann\xff@example.org", code="payload_format", field="$")
    assert "they may hold personal values" in drawn(broken)
    assert "ann" not in drawn(broken)
    assert "not UTF-8 at byte 1,003" in drawn(broken, plain=True)
    assert "61 6e 6e ff 40" in drawn(broken, plain=True)


def test_the_card_tells_what_became_of_the_record() -> None:
    sent = Sent("price@12345678", "m", NOW, "demo", "cdp.raw.orders", "demo|user_id|u")
    fates = [Outcome("applied", "cdp.raw.orders:0:9", NOW, "demo|user_id|u", "cdp.raw.orders:0:7")]
    fates += [Outcome("duplicate", "cdp.raw.orders:0:8", NOW, "demo|user_id|u", "")]
    shown = drawn(record(), card.Story(sent, fates, ["Kafka is away"]))
    assert "replayed with fix price@12345678" in shown
    mine = {word for word in ("applied", "duplicate") for text in shown.splitlines() if word in text and "this record, replayed" in text}
    assert mine == {"applied"}
    assert "Kafka is away" in shown
    told = card.as_json(record(), card.Story(sent, fates), loader.identity(), plain=False)
    assert told["replayed"]["message_id"] == "m"
    assert told["fates"][0]["replay_of"] == told["position"] == "cdp.raw.orders:0:7"


def test_a_hostile_record_does_not_steer_the_terminal() -> None:
    assert shown("a\x1b[2J\u202eb\n\ud800é😀") == "a\\x1b[2J\\u202eb\\n\\ud800é😀"
    hostile = record({"a\x1b": "\x9b31m\u202e"}, field="$.\x1b", rule="\x1b]0;", message_id="\x07", tenant="\x1b")
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(list_table([hostile]))
    text = captured.get() + drawn(hostile) + drawn(record(b"\x1b[2J no JSON"), plain=True)
    assert not [character for character in text if not character.isprintable() and character != "\n"]


def test_a_record_that_nests_deeply_is_shown_as_bytes() -> None:
    deep = record(b'{"a":' * 300 + b'"ann@example.org"' + b"}" * 300)
    assert "ann@" not in drawn(deep)
    assert '{"a":{"a":' in drawn(deep, plain=True)


def test_every_code_has_advice() -> None:
    from schemas import codes

    assert set(card.ADVICE) == set(codes.ALL)


def test_a_trend_is_drawn_by_its_greatest_hour() -> None:
    assert stats.sparkline([0, 1, 4, 8]) == " ▁▄█"
    assert stats.sparkline([0, 0]) == "  "
    assert stats.sparkline([1, 1_000_000]) == "▁█"
    with pytest.raises(stats.StatsError, match="cannot count by `node`"):
        stats.columns("code,node")
    with pytest.raises(stats.StatsError):
        stats.columns("")


def test_the_ledger_finds_entries_by_position_and_by_id() -> None:
    def sent(message_id: str, fix: str = "") -> Sent:
        return Sent(fix, message_id, NOW, "demo", "cdp.raw.orders")

    log = ReplayLog([("a:0:1", sent("m")), ("a:0:2", sent("m")), ("a:0:3", sent("n")), ("a:0:1", sent("m", "again@1"))])
    assert len(log) == 3
    assert log.of("a:0:1") == sent("m", "again@1")
    assert log.of("a:0:9") is None
    assert log.others("demo", "m", "a:0:2") == [sent("m", "again@1")]
    assert log.others("demo", "n", "a:0:3") == []
    assert log.others("shop", "m", "") == []


def test_an_exported_line_holds_the_bytes_as_they_came() -> None:
    assert line(record(b"\xc3\xa9"))["original"] == "é"
    assert base64.b64decode(line(record(b"\xff"))["original_base64"]) == b"\xff"
    assert line(record())["position"] == "cdp.raw.orders:0:7"


def test_an_export_is_there_when_it_is_complete_and_for_its_owner_alone(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"

    def fails(take: Any) -> None:
        take(record())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(target, fails)
    assert list(tmp_path.iterdir()) == []
    assert write(target, lambda take: take(record())) == 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(ExportError, match="is there already"):
        write(target, fails)
    with pytest.raises(ExportError, match="cannot be written"):
        write(tmp_path / "no" / "folder.jsonl", fails)
