"""What becomes of records that repeat others, and where late ones go."""

from tests.unit.oracle.cases import NODE, Writer, at, iso


def outcomes(writer: Writer) -> list[str]:
    return [code or outcome for _, outcome, code, _ in writer.log().judged]


def test_a_retry_is_a_duplicate_however_it_is_spelled() -> None:
    writer = Writer()
    writer.call(1, "identify", messageId="a", traits={"x": 1, "y": [1]}, sentAt=iso(at(1)))
    writer.call(1, "identify", messageId="a", traits={"y": [1], "x": 1}, sentAt=iso(at(1.5)), logged=1.5, context={"ip": "10.0.0.1"})
    assert outcomes(writer) == ["applied", "duplicate"]


def test_another_body_is_a_conflict_and_does_not_become_the_remembered_one() -> None:
    writer = Writer()
    for traits in ({"x": 1}, {"x": True}, {"x": 1.0}, {"x": 1}):
        writer.call(1, "identify", messageId="a", traits=traits)
    assert outcomes(writer) == ["applied", "id_conflict", "id_conflict", "duplicate"]


def test_the_memory_lasts_seven_days_of_log_time_from_the_first() -> None:
    writer = Writer()
    for logged in (1, 5, 8, 8.001):
        writer.call(1, "identify", messageId="a", logged=logged)
    assert outcomes(writer) == ["applied", "duplicate", "duplicate", "applied"]


def test_other_nodes_may_use_the_same_message_id() -> None:
    writer = Writer()
    writer.call(1, "page", messageId="a")
    writer.call(1, "page", messageId="a", userId="8")
    assert outcomes(writer) == ["applied", "applied"]


def test_a_rejected_record_is_not_remembered() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 0, 1.0), messageId="a")
    writer.order(1, "o", ("a", 1, 1.0), messageId="a")
    assert outcomes(writer) == ["quality_rule", "applied"]


def test_order_is_by_offset_not_by_the_order_of_the_list() -> None:
    writer = Writer()
    writer.call(1, "page", messageId="a", properties={"n": 1})
    writer.call(1, "page", messageId="a", properties={"n": 2})
    writer.records.reverse()
    assert outcomes(writer) == ["applied", "id_conflict"]


def test_late_events_count_and_change_nothing_else() -> None:
    writer = Writer()
    writer.order(20, "o", ("a", 1, 10.0))
    before = writer.profile(40)
    writer.order(10, "p", ("a", 1, 10.0), logged=17.5)
    writer.call(10, event="Order Cancelled", properties={"order_id": "o"}, logged=21)
    after = writer.profile(40)
    assert after.pop("late_events") == 2
    assert before.pop("late_events") == 0
    assert before == after


def test_counts_per_partition() -> None:
    writer = Writer()
    writer.raw(b'{"type":"tick"}')
    writer.raw(b"", 1)
    writer.call(1, "page", messageId="a")
    writer.call(1, "page", messageId="a")
    writer.call(1, "page", messageId="b", logged=30)
    counts = writer.log().counts()["cdp.raw.orders", 0]
    assert counts == {"tick": 1, "rejected:payload_format": 1, "applied": 2, "duplicate": 1, "late": 1}
    assert [event.message_id for _, event in writer.log().events[NODE]] == ["a", "b"]
