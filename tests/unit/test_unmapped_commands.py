"""The parts of `cdp unmapped` that need no server: options, states, masking, what is shown."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from cli.newest import Newest
from cli.rejected.masked import MASK, foreign
from cli.rejected.selection import SelectionError
from cli.unmapped import records, selection, views
from cli.unmapped.records import Group, Seen
from cli.unmapped.replay import Example, Tally, _brought_back
from cli.unmapped.selection import Options, chosen
from config import loader
from importers.envelope import Origin, complete
from importers.mapping import Event
from importers.mended import CODES
from importers.unmapped import Kept
from pipelines.rejected.verdicts import Sent

NOW = 1_793_600_000_000
SENT = Sent("orders@12345678", "erp:orders:7:100", NOW, "demo", "cdp.raw.orders")


def kept(original: Any = None, **values: Any) -> Kept:
    body = original if isinstance(original, bytes) else json.dumps(original if original is not None else {"op": "c"}).encode()
    plain: dict[str, Any] = {"partition": 0, "offset": 7, "at": NOW, "source": "erp", "tenant": "demo", "code": "missing"}
    plain |= {"field": "events[0].properties.products[3].price", "rule": "a value", "original": body}
    return Kept(**plain | {"position": {"topic": "erp.public.orders", "partition": 1, "offset": 42}} | values)


def drawn(found: Any) -> str:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(found)
    return captured.get()


@pytest.mark.parametrize(
    ("options", "yes", "no"),
    [
        ({"source": "erp, shop"}, {"source": "shop"}, {"source": "desk"}),
        ({"code": "missing,value"}, {"code": "value"}, {"code": "internal"}),
        ({"field": "a[*].b"}, {"field": "a[12].b"}, {"field": "a[12].c"}),
        ({"field": "a[1].b"}, {"field": "a[1].b"}, {"field": "a[2].b"}),
        ({"since": "2026-11-02T00:00:00Z"}, {"at": 1_793_577_600_000}, {"at": 1_793_577_599_999}),
        ({"until": "2026-11-02T00:00:00Z"}, {"at": 1_793_577_599_999}, {"at": 1_793_577_600_000}),
    ],
)
def test_options_choose_what_they_say(options: dict[str, str], yes: dict[str, Any], no: dict[str, Any]) -> None:
    wanted = chosen(Options(**options))
    assert wanted.holds(kept(**yes))
    assert not wanted.holds(kept(**no))
    assert chosen(Options()).holds(kept(**no))


def test_an_option_that_makes_no_sense_is_named() -> None:
    with pytest.raises(SelectionError, match=r"--code: no code `mising`; did you mean `missing`\?"):
        chosen(Options(code="mising"))
    with pytest.raises(SelectionError, match="--since: "):
        chosen(Options(since="yesterday"))
    with pytest.raises(SelectionError, match="write partition:offset"):
        selection.place("cdp.rejected:0:1")
    assert selection.place("0:12") == selection.place("cdp.unmapped:0:12")


def test_a_record_is_open_until_the_ledger_knows_it_and_a_drift_never_was() -> None:
    assert selection.state(kept(), None) == "open"
    assert selection.state(kept(), SENT) == "brought back"
    assert selection.state(kept(), Sent("", "", NOW, "demo", "")) == "skipped"
    assert selection.state(kept(code="schema_drift"), None) == "mapped"


def test_groups_count_states_and_keep_the_first_and_last_time() -> None:
    group = Group(kept(at=NOW))
    for at, entry in ((NOW, None), (NOW - 5, SENT), (NOW + 5, None)):
        group.add(Seen(kept(at=at, offset=at - NOW + 5), entry))
    assert (group.records, group.states["open"], group.states["brought back"]) == (3, 2, 1)
    assert (group.first, group.last, group.example) == (NOW - 5, NOW + 5, "cdp.unmapped:0:10")
    assert group.field == "events[*].properties.products[*].price"
    assert "0:10" in drawn(views.stats_table([group]))


def test_only_the_newest_are_held() -> None:
    newest = Newest[int](2)
    for number in (3, 1, 5, 4):
        newest.add((number,), number)
    assert newest.first() == [5, 4]


def test_no_personal_value_of_a_foreign_record_is_shown_whatever_its_fields_are_called() -> None:
    lines = json.dumps([{"sku": "a", "FirstName": "Ann", "to": "ann@example.org"}])
    row = {"vorname": "Ann", "E_Mail": "ann@example.org", "tel": 441234, "seen_by": "x@example.org", "contact": "+44 20 7946 0018"}
    row |= {"order_id": 7, "lines": lines, "price": "12,50 GBP", "street": None, "who": {"type": "email", "id": "ann"}, "type": ["odd"]}
    secrets = ("Ann", "ann", "441234", "example.org", "7946")
    record = kept({"schema": {}, "payload": {"op": "c", "after": row, "x@example.org": 1}}, key=b'{"email": "ann@example.org"}')
    text = drawn(views.card(Seen(record, None), loader.identity(), plain=False))
    told = json.dumps(views.as_json(Seen(record, None), loader.identity(), plain=False))
    assert not [secret for secret in secrets if secret in text or secret in told]
    assert '"price": "12,50 GBP"' in text
    assert '"street": null' in text
    assert "schema" not in text, "only what was said, not how it is typed"
    plain = drawn(views.card(Seen(record, None), loader.identity(), plain=True))
    assert all(secret in plain for secret in secrets)


def test_json_in_a_text_is_left_as_it_was_where_nothing_in_it_is_personal() -> None:
    text = '{"sku":  "a"}'
    assert foreign({"lines": text}, loader.identity()) == {"lines": text}
    assert foreign("[" * 100_000, loader.identity()) == MASK


def test_headers_of_a_delivery_are_masked_and_not_listed() -> None:
    record = kept(position={"body_sha256": "ab" * 32, "headers": {"x-topic": "orders/create", "x-from": "ann@example.org"}})
    text = drawn(views.card(Seen(record, None), loader.identity(), plain=False))
    assert "orders/create" in text
    assert "example.org" not in text
    assert records.described(Seen(record, None))["position"] == {"body_sha256": "ab" * 32}
    assert "delivery abababababab" in drawn(views.list_table([Seen(record, None)]))


def test_bytes_that_are_no_json_are_shown_on_request_only() -> None:
    record = kept(b"\x00\x00ann\xff", code="unreadable")
    assert "they may hold personal values" in drawn(views.card(Seen(record, None), loader.identity(), plain=False))
    assert "61 6e 6e ff" in drawn(views.card(Seen(record, None), loader.identity(), plain=True))
    assert views.as_json(Seen(record, None), loader.identity(), plain=True)["original_hex"] == "0000616e6eff"
    deep = kept(b'{"a":' * 300 + b"1" + b"}" * 300)
    assert "no JSON object" in drawn(views.card(Seen(deep, None), loader.identity(), plain=False))


def test_a_hostile_record_does_not_steer_the_terminal() -> None:
    hostile = kept(
        {"a\x1b": "\x9b31m\u202e", "b": "\ud800"}, source="\x1b[2J", field="\x07", rule="\x1b]0;", key=b'{"\x1b":1}', tenant="\x1b"
    )
    hostile = Kept(
        **{name: getattr(hostile, name) for name in Kept.__struct_fields__} | {"position": {"topic": "\x1b", "partition": "\x1b"}}
    )
    seen, group = Seen(hostile, Sent("\x1b", "\x1b", NOW, "", "\x1b")), Group(hostile)
    group.add(seen)
    tally = Tally(matched=1, examples=[Example(hostile.place, "\x1b", "\x1b", "\x1b", "\x1b")])
    tally.becoming["\x1b"] += 1
    tally.failing["\x1b"] += 1
    tally.skipped["\x1b"] += 1
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        views.show_tally(console, tally, dry_run=True)
    text = captured.get() + drawn(views.list_table([seen])) + drawn(views.stats_table([group]))
    for plain in (True, False):
        text += drawn(views.card(seen, loader.identity(), plain=plain))
        text += json.dumps(views.as_json(seen, loader.identity(), plain=plain)) + drawn(
            views.card(Seen(kept(b"\x1b"), None), loader.identity(), plain=plain)
        )
    assert not [character for character in text if not character.isprintable() and character != "\n"]


def test_every_code_has_advice() -> None:
    assert set(views.ADVICE) == set(CODES)


def test_a_long_record_is_cut() -> None:
    long = kept({"after": {f"c{number}": number for number in range(500)}})
    assert "lines; --json shows all" in drawn(views.card(Seen(long, None), loader.identity(), plain=False))


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ({}, {"timestamp": "2026-11-02T06:13:20.000Z"}),
        ({"timestamp": "2026-01-01T00:00:00Z"}, {"timestamp": "2026-01-01T00:00:00Z"}),
    ],
)
def test_an_event_brought_back_says_where_it_was_and_is_as_old_as_it_was(times: dict[str, str], wanted: dict[str, str]) -> None:
    event = Event({"type": "track", "event": "A", "userId": "u", "context": {"channel": "store"}, **times}, "", 0)
    live = complete(event, Origin("erp", "demo"), "orders:7:100", {"topic": "t", "offset": 42})
    message = _brought_back(live, kept())
    assert (message.message_id, message.key) == (live.message_id, live.key)
    envelope = json.loads(message.value)
    assert envelope["context"]["lineage"] == {"topic": "t", "offset": 42, "replay_of": "cdp.unmapped:0:7"}
    assert {name: envelope[name] for name in wanted} == wanted
    assert "replay_of" not in live.envelope["context"]["lineage"]
