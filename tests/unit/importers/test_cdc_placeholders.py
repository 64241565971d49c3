"""A value that Debezium did not send is never taken for data, in whatever dress its placeholder comes."""

import base64
import json
import uuid
from pathlib import Path

import pytest

from config.sources import UNAVAILABLE
from importers.cdc.placeholder import Placeholder
from tests.unit.importers.bridges import bridge_of, handled

RAW = UNAVAILABLE.encode()
DRESSES = {
    "text": UNAVAILABLE,
    "bytea in base64": base64.b64encode(RAW).decode(),
    "bytea in base64 for URLs": base64.urlsafe_b64encode(RAW).decode(),
    "bytea in hex": RAW.hex(),
    "text[]": [UNAVAILABLE],
    "bytea[]": [base64.b64encode(RAW).decode()],
    "int[] and bigint[]": list(RAW),
    "uuid[]": ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"],  # as the connector writes it
    "hstore as text": json.dumps({UNAVAILABLE: UNAVAILABLE}),
    "hstore as a map": {UNAVAILABLE: UNAVAILABLE},
    "text[] as JSON": json.dumps([UNAVAILABLE]),
    "JSON text": json.dumps(UNAVAILABLE),
    "a struct": {"a": {"b": [{"c": UNAVAILABLE}]}},
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_value_that_was_not_sent_is_never_taken_for_data(tmp_path: Path, dress: str) -> None:
    bridge, lost = bridge_of(tmp_path), DRESSES[dress]
    read = handled(bridge, "u", None, {"id": "1", "notes": lost, "tags": []})
    assert read.failed is not None
    assert (read.failed.code, read.failed.field) == ("unavailable", "after.notes")
    other = handled(bridge, "u", None, {"id": "1", "notes": "x", "tags": [], "large": lost})
    assert other.failed is None
    assert other.messages[1].envelope["traits"] == {"id": "1", "notes": "x", "tags": []}, "a copy leaves the field alone"
    known = handled(bridge, "u", {"id": "1", "notes": "old", "tags": []}, {"id": "1", "notes": lost, "tags": []})
    assert [one.envelope["traits"]["notes"] for one in known.messages] == ["old", "old"]
    unknown = handled(bridge, "u", {"id": "1", "notes": None, "tags": None}, {"id": "1", "notes": lost, "tags": []})
    assert unknown.failed is not None, "a null in an old row that is told in part is no value"


def test_a_value_that_was_not_sent_is_found_in_the_old_row_in_row_and_in_the_key(tmp_path: Path) -> None:
    bridge = bridge_of(tmp_path)
    fields = [
        handled(bridge, "u", {"id": "1", "notes": UNAVAILABLE}, {"id": "1", "notes": "x", "tags": []}).failed,
        handled(bridge, "u", None, {"id": "1", "notes": "x", "tags": [UNAVAILABLE]}).failed,
        handled(bridge, "d", {"id": "1", "notes": "x", "tags": [UNAVAILABLE]}, None).failed,
        handled(bridge, "u", None, {"id": "1", "notes": "x", "tags": []}, key={"id": UNAVAILABLE}).failed,
    ]
    assert [(one.code, one.field) for one in fields if one] == [
        ("unavailable", "before.notes"), ("unavailable", "row.tags"), ("unavailable", "row.tags"), ("unavailable", "key.id"),
    ]  # fmt: skip


@pytest.mark.parametrize("told", ["[not sent]", "hex:dead00", "{}", "ä\u2713"])
def test_a_placeholder_of_ones_own_is_recognised_in_all_dresses(told: str) -> None:
    mine = Placeholder(told)
    raw = bytes.fromhex(told[4:]) if told.startswith("hex:") else told.encode()
    dressed = [base64.b64encode(raw).decode(), raw.hex(), [one - 256 if one > 127 else one for one in raw]]
    assert all(mine.stands_in(one) for one in (*dressed, [dressed[0]], {"a": dressed[0]}))
    assert told.startswith("hex:") or mine.stands_in(told)
    assert not any(mine.stands_in(one) for one in (UNAVAILABLE, "", [], {}, None, 5, str(uuid.uuid4()), "x" + dressed[0]))


@pytest.mark.parametrize("text", [f"what does {UNAVAILABLE} mean?", '{"a": "' + UNAVAILABLE + '?"}', "{" + UNAVAILABLE])
def test_a_sentence_that_speaks_of_the_placeholder_is_data(text: str) -> None:
    assert not Placeholder().stands_in(text)


def test_a_source_says_its_placeholder(tmp_path: Path) -> None:
    bridge = bridge_of(tmp_path, unavailable="n/s")
    lost = handled(bridge, "u", None, {"id": "1", "notes": "n/s", "tags": []}).failed
    assert lost is not None
    assert lost.code == "unavailable"
    assert handled(bridge, "u", None, {"id": "1", "notes": UNAVAILABLE, "tags": []}).failed is None


def test_a_column_that_was_not_sent_is_no_column_that_is_gone(tmp_path: Path) -> None:
    assert handled(bridge_of(tmp_path), "u", None, {"id": "1", "notes": UNAVAILABLE, "tags": []}).drifts == []
