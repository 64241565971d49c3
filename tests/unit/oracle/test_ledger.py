"""Orders, their versions, and what refunds find."""

import itertools

from tests.unit.oracle.cases import Writer, at


def test_versions_of_an_order_first_time_last_content() -> None:
    writer = Writer()
    writer.order(2, "o", ("a", 1, 10.0), messageId="late-copy")
    writer.order(3, "o", ("a", 1, 10.0), ("b", 2, 2.5), event="Order Updated")
    writer.order(1, "o", ("a", 9, 99.0), logged=4)
    fields = writer.profile(10)
    assert fields["orders_lifetime"] == 1
    assert fields["gross_lifetime"] == 15.0
    assert fields["first_order_at"] == fields["last_order_at"] == at(1)
    assert fields["top_products"] == [["b", 2], ["a", 1]]


def test_at_the_same_time_the_one_that_was_written_later_counts() -> None:
    writer = Writer()
    writer.order(2, "o", ("a", 1, 20.0), messageId="b")
    writer.order(2, "o", ("a", 1, 10.0), messageId="a")
    assert writer.profile(3)["gross_lifetime"] == 10.0


def test_within_a_source_its_own_order_counts_whatever_the_times_say() -> None:
    for versions in itertools.permutations(((9, 3, 30.0), (10, 1, 20.0), (8, 2, 10.0))):
        writer = Writer()
        for place, day, price in versions:
            writer.order(day, "o", ("a", 1, price), context={"source": "erp", "sourceOrder": place})
        fields = writer.profile(5)
        assert (fields["gross_lifetime"], fields["first_order_at"]) == (20.0, at(1))


def test_between_sources_the_newest_of_each_are_compared_by_time() -> None:
    for versions in itertools.permutations(((1, 10, "erp", 10.0), (2, 5, "erp", 20.0), (1, 7, "shop", 30.0))):
        writer = Writer()
        for place, day, source, price in versions:
            writer.order(day, "o", ("a", 1, price), context={"source": source, "sourceOrder": place})
        assert writer.profile(20)["gross_lifetime"] == 30.0  # the second of the ERP is newer than its first, and older than the shop's


def test_a_cancelled_order_is_gone_whenever_it_is_said() -> None:
    for days in ((1, 2, 3), (3, 1, 2)):
        writer = Writer()
        writer.order(days[0], "o", ("a", 1, 10.0), logged=5)
        writer.call(days[1], event="Order Cancelled", properties={"order_id": "o"}, logged=5)
        writer.order(days[2], "o", ("a", 2, 10.0), event="Order Updated", logged=5)
        fields = writer.profile(6)
        assert fields["orders_lifetime"] == 0
        assert fields["last_order_at"] is None
        assert fields["top_products"] == []
        assert (fields["r_score"], fields["rfm_segment"]) == (0, "no_orders")


def test_amounts_are_rounded_half_up_in_pence_and_a_total_wins_over_the_lines() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 0.125), ("b", 3, 0.335))
    writer.order(2, "p", ("a", 1, 10.0), total=7.5)
    fields = writer.profile(3)
    assert fields["gross_lifetime"] == 8.64  # 0.13 + 1.01 + 7.50
    assert fields["average_basket"] == 4.32


def test_a_refund_counts_at_its_own_time_whether_or_not_its_order_is_known() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 4, 10.0))
    writer.refund(33, "r", ("a", 1, 10.0))
    writer.refund(34, "s", ("z", 1, 5.0))
    fields = writer.profile(35)
    assert (fields["gross_30d"], fields["refunded_30d"], fields["net_30d"]) == (0, 15.0, -15.0)
    assert (fields["gross_lifetime"], fields["net_lifetime"]) == (40.0, 25.0)
    assert fields["unmatched_refunds"] == 1


def test_a_refund_sent_again_counts_once_with_its_last_content() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 4, 10.0))
    writer.refund(2, "r", ("a", 1, 10.0))
    writer.refund(3, "r", ("a", 2, 10.0))
    fields = writer.profile(3.5)
    assert (fields["refunded_lifetime"], fields["refunded_1d"]) == (20.0, 0)


def test_units_are_taken_newest_first_and_only_once() -> None:
    writer = Writer()
    writer.order(1, "o1", ("a", 2, 1.0))
    writer.order(3, "o2", ("a", 2, 1.0))
    writer.refund(2, "r1", ("a", 1, 1.0))  # o1: 1 left, for o2 did not exist
    writer.refund(4, "r2", ("a", 3, 1.0))  # o2: both, then the last of o1
    writer.refund(5, "r3", ("a", 1, 1.0))  # nothing left
    assert writer.profile(6)["unmatched_refunds"] == 1


def test_a_line_that_finds_some_of_its_units_is_matched() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 1.0))
    writer.refund(2, "r", ("a", 5, 1.0))
    assert writer.profile(3)["unmatched_refunds"] == 0


def test_an_order_at_the_very_moment_of_the_refund_can_be_returned() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 1.0))
    writer.refund(1, "r", ("a", 1, 1.0))
    assert writer.profile(3)["unmatched_refunds"] == 0


def test_with_an_order_id_only_that_order_gives_units() -> None:
    writer = Writer()
    writer.order(1, "o1", ("a", 1, 1.0))
    writer.order(2, "o2", ("a", 1, 1.0))
    writer.refund(3, "r1", ("a", 1, 1.0), order_id="o1")
    writer.refund(4, "r2", ("a", 1, 1.0), order_id="o1")
    assert writer.profile(5)["unmatched_refunds"] == 1


def test_a_refund_that_names_its_order_goes_before_one_that_takes_what_fits() -> None:
    for first, second in itertools.permutations((("r1", ""), ("r2", "o2"))):
        writer = Writer()
        writer.order(1, "o1", ("a", 1, 1.0))
        writer.order(2, "o2", ("a", 1, 1.0))
        for refund_id, order_id in (first, second):
            writer.refund(3, refund_id, ("a", 1, 1.0), **({"order_id": order_id} if order_id else {}))
        assert writer.profile(5)["unmatched_refunds"] == 0
        writer.refund(4, "r3", ("a", 1, 1.0))
        assert writer.profile(5)["unmatched_refunds"] == 1


def test_money_of_a_cancelled_order_is_gone_both_ways() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 2, 20.0))
    writer.refund(2, "r", ("a", 2, 20.0), order_id="o")
    writer.call(3, event="Order Cancelled", properties={"order_id": "o"})
    fields = writer.profile(5)
    assert (fields["gross_lifetime"], fields["refunded_lifetime"], fields["net_lifetime"], fields["unmatched_refunds"]) == (0, 0, 0, 0)


def test_a_refund_without_a_currency_is_in_its_orders() -> None:
    def order(writer: Writer, day: float) -> None:
        writer.order(1, "o", ("a", 2, 20.0), currency="EUR", logged=day)

    def refund(writer: Writer, day: float) -> None:
        writer.call(2, event="Order Refunded", properties={"refund_id": "r", "order_id": "o", "total": 40.0}, logged=day)

    for told in itertools.permutations((order, refund)):  # whichever comes first
        writer = Writer()
        for day, tell in enumerate(told, 3):
            tell(writer, day)
        fields = writer.profile(5)
        assert (fields["gross_lifetime"], fields["refunded_lifetime"], fields["net_lifetime"]) == (34.72, 34.72, 0)  # 2011: 0.868


def test_what_more_went_back_than_was_paid_and_what_a_bank_took_is_counted() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 10.0))
    writer.call(2, event="Order Refunded", properties={"refund_id": "r", "order_id": "o", "total": 6.0, "kind": "goodwill"})
    fields = writer.profile(3)
    assert (fields["over_refunds"], fields["charge_backs"], fields["net_lifetime"]) == (0, 0, 4.0)
    writer.call(3, event="Order Refunded", properties={"refund_id": "s", "order_id": "o", "total": 5.0, "kind": "charge_back"})
    fields = writer.profile(4)
    assert (fields["over_refunds"], fields["charge_backs"], fields["net_lifetime"]) == (1, 1, -1.0)


def test_an_attempt_that_failed_takes_its_amount_back() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 10.0))
    for day, status in ((2, None), (3, "failed")):
        writer.call(day, event="Order Refunded", properties={"refund_id": "r", "order_id": "o", "total": 10.0, "status": status})
    assert writer.profile(4)["refunded_lifetime"] == 0
