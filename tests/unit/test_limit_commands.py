"""`cdp limits` adds up what met a bound."""

from cli.limit_commands import Met, at_the_collector, in_the_pipeline


def test_notices_add_up_by_source_and_kind_and_a_stranger_does_not_hide_them() -> None:
    notices = [
        b'{"source":"shop","kind":"rate","at":"2026-11-28T10:00:00.000Z","refused":3,"sample":{}}',
        b'{"source":"shop","kind":"rate","at":"2026-11-28T09:00:00.000Z","refused":4,"sample":{}}',
        b'{"source":"","kind":"request_bytes","at":"1970-01-01T00:00:01.000Z","refused":1,"sample":{}}',
        b"garbage",
        b'{"source":"shop"}',
        b"",
    ]
    assert sorted(at_the_collector(notices)) == [
        Met("collector", "rate", "shop", 7, 1_795_860_000_000),
        Met("collector", "request_bytes", "", 1, 1000),
        Met("collector", "unreadable", "", 3, 0),
    ]


def test_flags_of_events_are_told_by_source_else_by_tenant() -> None:
    rows = [
        {"kind": "limit:links", "origin": "shop", "tenant": "demo", "events": "5", "last_ms": "7"},
        {"kind": "limit:refunds", "origin": "", "tenant": "demo", "events": 1, "last_ms": 8},
    ]
    assert in_the_pipeline(rows) == [Met("pipeline", "links", "shop", 5, 7), Met("pipeline", "refunds", "demo", 1, 8)]
