"""Patches: they change what they say, nothing else, and never what they were given."""

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.rejected.fix_files import load_fix
from pipelines.rejected import fixes, paths

NAMES = st.sampled_from(["a", "b", "c"])
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=3)
STEPS = st.lists(NAMES | st.sampled_from(["[0]", "[1]", "[*]"]), max_size=3)
PATHS = st.builds(lambda first, rest: first + "".join(step if step[0] == "[" else f".{step}" for step in rest), NAMES, STEPS)


def loaded(folder: Path, text: str) -> fixes.LoadedFix:
    file = folder / "fix.yaml"
    file.write_text(text)
    return load_fix(file)


def unread(original: bytes) -> dict[str, Any]:
    return {"original_text": original.decode(errors="replace"), "original_base64": base64.b64encode(original).decode(), "code": "x"}


def test_a_patch_renames_sets_and_removes_in_this_order(tmp_path: Path) -> None:
    fix = loaded(
        tmp_path,
        """
        name: shop-7
        rename: {"properties.products[*].qty": "properties.products[*].quantity", user_id: userId}
        set: {$.properties.currency: GBP, "properties.products[*].tags[0]": x, context.app.version: "2"}
        unset: ['properties.products[1]', 'properties["a.b"]', nothing.there]
        """,
    )
    products = [{"qty": 1, "tags": ["y"]}, {"qty": 2, "tags": ["z"]}, {"tags": ["w"]}]
    fixed = fix.apply({"user_id": "u", "context": None, "properties": {"currency": "EUR", "a.b": 1, "products": products}})
    assert fixed == {
        "userId": "u",
        "context": {"app": {"version": "2"}},
        "properties": {"currency": "GBP", "products": [{"quantity": 1, "tags": ["x"]}, {"tags": ["x"]}]},
    }


def test_the_label_is_the_name_and_the_hash_of_the_file(tmp_path: Path) -> None:
    first = loaded(tmp_path, "{name: n, set: {properties.a: 1}}").label
    assert first.startswith("n@")
    assert len(first) == len("n@") + 8
    assert loaded(tmp_path, "{name: n, set: {properties.a: 2}}").label != first
    assert loaded(tmp_path, "{name: n, set: {properties.a: 1}}").label == first


@given(OBJECTS, st.dictionaries(PATHS, JSON, max_size=2), st.lists(PATHS, max_size=2), st.tuples(PATHS, PATHS))
def test_a_patch_never_changes_what_it_is_given(
    tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any], sets: dict[str, Any], unset: list[str], names: tuple[str, str]
) -> None:
    text = {"name": "n", "set": sets, "unset": unset, "rename": dict([names])}
    before = copy.deepcopy(record)
    try:
        fix = loaded(tmp_path_factory.getbasetemp(), json.dumps(text))
        fixed = fix.apply(record)
    except (fixes.FixError, fixes.FixFileError):
        assert record == before
        return
    fixed.setdefault("a", {})
    assert record == before
    again = fix.apply(record)
    again.setdefault("a", {})
    assert again == fixed


@given(OBJECTS, PATHS)
def test_what_is_removed_is_gone_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any], path: str) -> None:
    fix = loaded(tmp_path_factory.getbasetemp(), json.dumps({"name": "n", "unset": [path]}))
    steps = paths.parse(path).steps
    fixed = fix.apply(record)
    assert len(list(_leaves(record))) >= len(list(_leaves(fixed)))
    if not any(isinstance(step, int | paths.Each) for step in steps):
        assert not list(paths.places(fixed, steps))
    if not list(paths.places(record, steps)):
        assert fixed == record


def _leaves(value: Any) -> Any:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    else:
        yield value


def test_bytes_that_are_no_json_are_read_as_the_patch_says(tmp_path: Path) -> None:
    fix = loaded(tmp_path, "{name: n, text: {encoding: cp1252, replace: {\"'\": '\"'}}, set: {properties.currency: GBP}}")
    assert fix.apply(unread("{'properties': {'name': 'café'}}".encode("cp1252"))) == {"properties": {"name": "café", "currency": "GBP"}}
    for original, said in (
        (b"hello", "still no JSON after `text`"),
        (b"[1]", "still no JSON object"),
        (b"\x81", "the bytes are not cp1252"),
    ):
        with pytest.raises(fixes.FixError, match=said):
            fix.apply(unread(original))
    with pytest.raises(fixes.FixError, match="the fix has no `text`"):
        loaded(tmp_path, "{name: n, unset: [a]}").apply(unread(b"hello"))


@pytest.mark.parametrize(
    ("patch", "record", "said"),
    [
        ("{name: n, set: {a.b: 1}}", {"a": "text"}, "`a.b` cannot be set"),
        ("{name: n, set: {'a[2]': 1}}", {"a": [1]}, "cannot be set"),
        ("{name: n, rename: {a: b}}", {"a": 1, "b": 2}, "the record has both"),
    ],
)
def test_a_patch_that_does_not_fit_a_record_says_so(tmp_path: Path, patch: str, record: dict[str, Any], said: str) -> None:
    with pytest.raises(fixes.FixError, match=said):
        loaded(tmp_path, patch).apply(record)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{name: n}", "neither a patch (rename, set, text, unset) nor a mapping"),
        ("- a", "neither a patch"),
        ("{name: [", "not YAML"),
        ("{set: {a: 1}}", "missing required field `name`"),
        ("{name: n, set: {a: 1}, unsett: [b]}", "unknown field `unsett`"),
        ("{name: a@b, set: {a: 1}}", "without @"),
        ("{name: n, set: {messageId: x}}", "`messageId` is not a fix's to change"),
        ("{name: n, unset: ['$.messageId']}", "is not a fix's to change"),
        ("{name: n, set: {context.lineage.replay_of: x}}", "is not a fix's to change"),
        ("{name: n, set: {timestamp: 2026-01-31T10:00:00Z}}", "put it in quotes"),
        ("{name: n, set: {a: .nan}}", "is no JSON value"),
        ("{name: n, unset: ['a b.[']}", "is no path"),
        ("{name: n, unset: [$]}", "is the whole record"),
        ("{name: n, rename: {'a[*].b': c}}", "the same number of"),
        ("{name: n, text: {encoding: latin-99}}", "there is no encoding `latin-99`"),
        ("{name: n, text: {encoding: base64}}", "there is no encoding `base64`"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name_and_entry(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(fixes.FixFileError, match=r"fix\.yaml: ") as caught:
        loaded(tmp_path, text)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(fixes.FixFileError, match=r"nothing\.yaml: cannot be read"):
        load_fix(tmp_path / "nothing.yaml")


def test_a_field_that_holds_the_id_may_become_the_id(tmp_path: Path) -> None:
    assert loaded(tmp_path, "{name: n, rename: {message_id: messageId}}").apply({"message_id": "m"}) == {"messageId": "m"}


def test_the_nearest_place_of_a_missing_field_is_its_holder() -> None:
    document = {"properties": {"products": [{"price": 1}]}}
    assert paths.nearest(document, "$.properties.products[0].price") == (("properties", "products", 0, "price"), True)
    assert paths.nearest(document, "$.properties.products[0].quantity") == (("properties", "products", 0), False)
    assert paths.nearest(document, "$.traits.email") == ((), False)
    assert paths.nearest(document, "$") == ((), True)
    assert paths.nearest(document, "$.[") == ((), False)
