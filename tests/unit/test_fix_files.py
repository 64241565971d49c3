"""`cdp rejected replay --fix` takes patches and mappings."""

from pathlib import Path

import pytest

from cli.rejected.fix_files import load_fix
from pipelines.rejected.fixes import FixError, FixFileError

MAPPING = """
says: sales of the old till as orders
skip:
  - {when: "properties.test == `true`", reason: a test}
events:
  - track: Order Completed
    identifiers: {user_id: userId}
    timestamp: parse_time(timestamp, 'iso')
    properties:
      order_id: properties.number
      products:
        $each: properties.items
        $item: {product_id: sku, quantity: parse_integer(pieces), price: parse_money(each)}
"""
RECORD = {
    "messageId": "m",
    "event": "Sale",
    "userId": "u",
    "timestamp": "2026-11-01T10:00:00Z",
    "properties": {"number": "o1", "items": [{"sku": "a", "pieces": "2", "each": "£1.50"}]},
}


def written(folder: Path, text: str) -> Path:
    path = folder / "till.yaml"
    path.write_text(text)
    return path


def test_a_mapping_makes_another_event_of_the_record_under_its_own_id(tmp_path: Path) -> None:
    fix = load_fix(written(tmp_path, MAPPING))
    before = repr(RECORD)
    found = fix.apply(RECORD)
    assert repr(RECORD) == before
    assert fix.label.startswith("till@")
    assert (found["messageId"], found["event"], found["userId"]) == ("m", "Order Completed", "u")
    assert found["properties"] == {"order_id": "o1", "products": [{"product_id": "a", "quantity": 2, "price": 1.5}]}


@pytest.mark.parametrize(
    ("properties", "says"),
    [({"test": True}, "skips it: a test"), ({"number": "o", "items": [{"sku": "a", "pieces": "two", "each": "1"}]}, "quantity")],
)
def test_what_the_mapping_does_not_make_an_event_of_is_not_replayed(tmp_path: Path, properties: dict[str, object], says: str) -> None:
    with pytest.raises(FixError, match=says):
        load_fix(written(tmp_path, MAPPING)).apply({**RECORD, "properties": properties})


def test_a_file_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FixFileError, match="neither a patch"):
        load_fix(written(tmp_path, "name: x\n"))
    with pytest.raises(FixFileError, match="till"):
        load_fix(written(tmp_path, MAPPING.replace("parse_money", "parse_mony")))
