"""What becomes of records that repeat others, and where late ones go."""

from tests.unit.oracle.cases import NODE, RULES, Writer, at, iso


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


def test_a_message_id_is_remembered_for_each_pair_of_object_and_node() -> None:
    writer = Writer()
    for who, order_id in (("7", "o"), ("8", "o"), (None, "o"), ("7", "p")):
        for amount in (1, 1, 2):
            writer.tell(1, "Payment Failed", order_id=order_id, reason=str(amount), messageId="a", userId=who)
    writer.call(1, "page", messageId="a")
    assert outcomes(writer) == ["applied", "duplicate", "id_conflict"] * 4 + ["applied"]


def test_a_business_key_is_remembered_for_each_pair_of_object_and_node() -> None:
    rules = RULES._replace(issuers={"shop": "s"})
    writer = Writer(rules)
    for who, context in (("7", {}), ("8", {}), (None, {}), ("7", {"source": "shop"})):
        for _ in range(2):
            writer.tell(1, "Order Cancelled", order_id="o", userId=who, context=context)
    assert outcomes(writer) == ["applied", "duplicate"] * 4


def test_objects_of_two_tenants_remember_for_themselves() -> None:
    rules = RULES._replace(money=RULES.money | {"other": RULES.money["demo"]})
    writer = Writer(rules)
    for tenant in ("demo", "other"):
        writer.tell(1, "Order Cancelled", order_id="o", userId=None, tenant=tenant, messageId="a")
    assert outcomes(writer) == ["applied", "applied"]


def test_what_names_only_an_object_is_applied_and_is_no_node() -> None:
    writer = Writer()
    writer.tell(1, "Shipment Delivered", order_id="o", shipment_id="s", userId=None)
    log = writer.log()
    assert outcomes(writer) == ["applied"]
    assert list(log.events) == []
    assert [event.object for _, event in log.nameless] == ["order||o"]
    assert log.counts()["cdp.raw.orders", 0] == {"applied": 1}


def test_traffic_is_that_of_a_node() -> None:
    rule = {"name": "burst", "events": ["Payment Failed"], "more_than": 1, "within_s": 10, "exclude": True}
    writer = Writer(RULES._replace(traffic=[rule]))
    for who in ("7", "7", None, None):
        writer.tell(1, "Payment Failed", order_id="o", reason="x", userId=who)
    assert [event.excluded for _, _, _, event in writer.log().judged if event] == [False, True, False, False]


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
