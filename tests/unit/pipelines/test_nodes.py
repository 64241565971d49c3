"""Identifiers become node keys: the tables of docs/identifiers.md, properties of the reading, and agreement with the oracle."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config import identity as rules_of
from config import loader
from config.identity import PhoneRegion
from config.loader import ConfigError
from pipelines.identity.nodes import Nodes
from profile_store.lookup import default_normaliser
from schemas.identifiers import UnusableError
from tests.oracle import identity as oracle
from tests.oracle.rulebook import Rulebook

DOC = Path(__file__).parents[3] / "docs" / "identifiers.md"
IDENTITY = loader.identity()
NODES = Nodes(IDENTITY, b"k" * 32)
RULEBOOK = Rulebook.read(loader.folder(), lambda tenant, namespace, value: f"<{value}>")
REFUSED = "refused"
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def cell(text: str) -> str:
    """A cell of a table: a code span in which `\\uXXXX` stands for a UTF-16 unit and `\\|` for a bar."""
    text = text.strip()
    if not text.startswith("`"):
        return text
    spelled = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text[1:-1].replace("\\|", "|"))
    return spelled.replace("\\\\", "\\").encode("utf-16", "surrogatepass").decode("utf-16")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = DOC.read_text().split(f"\n## {heading}")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell(one) for one in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[1:]]


PLAIN = [(namespace, given, key, "") for given, namespace, key in rows("Every namespace")]
PHONES = [("phone", given, key, region) for given, region, key in rows("Telephone numbers")]
EMAILS = [("email", given, key, "") for given, key in rows("E-mail addresses")]
VECTORS = PLAIN + PHONES + EMAILS


def read(namespace: str, raw: str, region: str = "") -> str:
    """The reading of the product; `refused` for what it refuses."""
    try:
        return NODES.value(namespace, raw, region)
    except UnusableError:
        return REFUSED


def test_the_tables_of_the_docs_are_read() -> None:
    assert (len(PLAIN), len(PHONES), len(EMAILS)) == (32, 26, 15)


@pytest.mark.parametrize(("namespace", "given", "key", "region"), VECTORS)
def test_a_value_is_read_as_the_docs_say(namespace: str, given: str, key: str, region: str) -> None:
    assert read(namespace, given, region) == key


@pytest.mark.parametrize(("namespace", "given", "key", "region"), VECTORS)
def test_the_oracle_reads_alike(namespace: str, given: str, key: str, region: str) -> None:
    assert (oracle.normalise(namespace, given, RULEBOOK, region) or REFUSED) == key


@pytest.mark.parametrize(("namespace", "given", "key", "region"), PLAIN)
def test_a_client_without_configuration_reads_alike(namespace: str, given: str, key: str, region: str) -> None:
    found = default_normaliser("demo", namespace, given)
    assert found == key or (key == REFUSED)


def test_a_look_up_makes_the_key_that_the_pipeline_makes() -> None:
    nodes = Nodes(IDENTITY, b"k" * 32)
    for namespace, raw in (("user_id", "\u200b17850.0"), ("phone", "020 7946 0958"), ("email", "Ann Lee <Ann@Example.com>")):
        keys, dropped = nodes.keys("demo", [(namespace, raw)])
        assert keys == [f"demo|{namespace}|{nodes.lookup_value('demo', namespace, raw)}"]
        assert dropped == []
    assert nodes.lookup_value("demo", "user_id", "(null)") is None


def test_without_the_secret_personal_identifiers_have_no_key_and_others_do() -> None:
    nodes = Nodes(IDENTITY, None)
    assert nodes.key("demo", "email", "ann@example.com") is None
    assert nodes.key("demo", "user_id", "u1") == "demo|user_id|u1"


def test_a_source_has_a_country_of_its_own() -> None:
    region = PhoneRegion(tenants={"demo": "GB"}, sources={"erp": "DE"})
    nodes = Nodes(msgspec.structs.replace(IDENTITY, phone_region=region), b"k" * 32)
    assert nodes.key("demo", "phone", "030 5555 0001", "erp") == nodes.key("demo", "phone", "+49 30 5555 0001")
    assert nodes.key("demo", "phone", "020 7946 0958") == nodes.key("demo", "phone", "+44 20 7946 0958", "erp")
    assert nodes.keys("other", [("phone", "020 7946 0958")]) == (
        [],
        [("phone", "a telephone number without country code, and no `phone_region` says whose it is")],
    )


def test_an_empty_identifier_is_absent_and_an_unusable_one_is_dropped() -> None:
    nodes = Nodes(IDENTITY, b"k" * 32)
    given = [("anonymous_id", "a1"), ("user_id", " \u200b"), ("member_id", "[object Object]"), ("elsewhere", "null")]
    assert nodes.keys("demo", given) == (["demo|anonymous_id|a1"], [("member_id", "a placeholder")])


def test_remembered_keys_are_bounded_and_stay_right() -> None:
    nodes = Nodes(IDENTITY, b"k" * 32)
    for number in range(20_000):
        assert nodes.key("demo", "user_id", f"u{number}") == f"demo|user_id|u{number}"
    assert len(nodes._made) == 16_384
    assert nodes.key("demo", "user_id", "u0") == "demo|user_id|u0"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"blocked_patterns": {"*": ["("]}}, "is no regular expression"),
        ({"blocked_patterns": {"fone": ["x"]}}, "`fone` is no namespace"),
        ({"phone_region": {"tenants": {"nobody": "GB"}}}, "`nobody` is not among the tenants"),
        ({"phone_region": {"sources": {"erp": "UK"}}}, "`UK` is no country"),
        ({"namespaces": [{"name": "user_id", "normalise": "lower"}]}, "unknown normaliser `lower`"),
    ],
)
def test_a_mistake_in_the_rules_is_named(change: dict[str, object], told: str) -> None:
    identity = msgspec.convert({**msgspec.to_builtins(IDENTITY), **change}, rules_of.Identity)
    assert told in " ".join(one.what for one in rules_of.mistakes(identity, ["demo"], ["erp"]))


def test_a_mistake_in_the_file_stops_whoever_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in loader.folder().glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text().replace("{demo: GB}", "{demo: Britain}"))
    monkeypatch.setenv("CDP_CONFIG_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match=r"identity\.yaml.*`Britain` is no country"):
        loader.identity()


MARKS = st.sampled_from(
    "\u200b\u200c\u200d\u200e\u202e\u2066\ufeff\u00ad\ufe0f\u0308\u0301\u00a0\u3000 ()-+./0157aAeE@.,;:<>xZöß中\u0627👩💻\n\t"
)
TEXTS = st.text(st.one_of(MARKS, st.characters(exclude_categories=["Cs"])), max_size=24)
NUMBERS = st.text(st.sampled_from("0123456789\uff10\uff11\u0661\u0662 ()-+./x#\u2011\u00a0\u2009"), min_size=5, max_size=24)
ADDRESSES = st.builds("{}@{}.{}".format, TEXTS, TEXTS, st.sampled_from(["com", "DE", "xn--p1ai", "рф", "中国"]))
REGIONS = st.sampled_from(["", "GB", "DE", "US", "CN", "IT", "AU"])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["user_id", "device_id", "phone", "email"]), st.one_of(TEXTS, NUMBERS, ADDRESSES), REGIONS)
@example("phone", "+49(0)30 5555 0001#7", "")
@example("user_id", "e\u200d\u0301\u200d👩", "")
@example("email", "<a@b.c>", "")
def test_the_oracle_agrees_on_any_text_and_reading_twice_changes_nothing(namespace: str, raw: str, region: str) -> None:
    value = read(namespace, raw, region)
    assert value == (oracle.normalise(namespace, raw, RULEBOOK, region) or REFUSED)
    if value != REFUSED:
        assert read(namespace, value, region) == value


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12), st.data())
def test_invisible_characters_make_no_other_person(raw: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(raw)))
    hidden = data.draw(st.sampled_from("\u200b\u200e\u200f\u202a\u2060\ufeff\u00ad"))
    assert read("user_id", raw[:at] + hidden + raw[at:]) == read("user_id", raw)
