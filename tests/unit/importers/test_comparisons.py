"""Comparisons in mappings: text is never taken for a number in silence."""

from typing import Any

import pytest

from importers.mapping.document import Node
from importers.mapping.expressions import Language
from importers.mapping.unfit import Unfit


def value(text: str, record: Any) -> Any:
    return Language({}).compile(Node(text, 1, "", "m.yaml"))(record)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("total > '20'", {"total": "100"}),
        ("total == `0`", {"total": "0"}),
        ("total != `0`", {"total": "0.00"}),
        ("lines[?qty != `0`]", {"lines": [{"qty": "0"}]}),
        ("max(rows[].total)", {"rows": [{"total": "9"}, {"total": "10"}]}),
        ("min(rows[].total)", {"rows": [{"total": "-9"}, {"total": "-8"}]}),
        ("sort(rows[].total)", {"rows": [{"total": "9,5"}, {"total": "10"}]}),
    ],
)
def test_texts_that_are_numbers_are_refused(text: str, record: Any) -> None:
    with pytest.raises(Unfit, match="parse_number"):
        value(text, record)


@pytest.mark.parametrize(
    ("text", "record", "found"),
    [
        ("total > `20`", {"total": 100}, True),
        ("total > `20`", {"total": None}, None),
        ("day > '20261128'", {"day": "20261129"}, True),
        ("at < '2026-11-28T10:00:00.000Z'", {"at": "2026-11-28T09:00:00.000Z"}, True),
        ("state == 'paid'", {"state": "paid"}, True),
        ("code == '007'", {"code": "007"}, True),
        ("code == `0`", {"code": "none"}, False),
        ("flag == `true`", {"flag": "1"}, False),
        ("max(rows[].at)", {"rows": [{"at": "2026-11-28"}, {"at": "2026-11-29"}]}, "2026-11-29"),
        ("max(rows[].n)", {"rows": [{"n": 9}, {"n": 10}]}, 10),
    ],
)
def test_all_else_is_compared(text: str, record: Any, found: Any) -> None:
    assert value(text, record) == found
