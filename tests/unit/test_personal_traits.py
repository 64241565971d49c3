"""`cdp profile get` shows the traits of a profile, and the personal ones to whoever holds the key."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from cli import stores
from cli.main import app
from cli.profile_personal import PersonalKeyError, opener
from pipelines.ingest.sealing import Sealer
from profile_store.errors import StoreDeniedError
from profile_store.lookup import Personal
from profile_store.profile import Profile
from sinks.clickhouse import ClickHouseError

KEY = bytes(range(64))
AT = 1_700_000_000_000
SHOP = {"source": "shop", "at": AT, "verified": False}
CRM = {"source": "crm", "at": AT + 86_400_000, "verified": True}
FIELDS: dict[str, Any] = {
    "trait:city": "Leeds",
    "trait:bio": "a very long story about nothing at all " * 20,
    "trait:address": {"city": "Leeds", "street": "1 High Street", "postcode": "LS1 4AP"},
    "traits": {
        "city": {**CRM, "conflicts": [{**SHOP, "value": "York"}, {**SHOP, "source": "", "value": "Hull"}]},
        "bio": {**SHOP, "conflicts": []},
        "address": {**SHOP, "conflicts": []},
        "email": {**CRM, "conflicts": [SHOP], "personal": True},
        "phone": {**SHOP, "conflicts": [], "personal": True},
    },
    "groups": {"account": ["acme", "globex"], "household": ["h1"]},
}
OPEN: Personal = {
    "email": {"value": "ann@example.com", "conflicts": [{**SHOP, "value": "ann@example.org"}]},
    "phone": {"value": "+441132223344", "conflicts": []},
}


def sealed(key: bytes = KEY) -> Personal:
    """`OPEN` as the store holds it."""

    def seal(name: str, value: Any) -> str:
        return Sealer(key).seal("demo", name, orjson.dumps(value).decode())

    return {
        name: {
            "value": seal(name, told["value"]),
            "conflicts": [other | {"value": seal(name, other["value"])} for other in told["conflicts"]],
        }
        for name, told in OPEN.items()
    }


class Store:
    """A profile store with one profile, whose personal traits may be denied."""

    def __init__(self, fields: dict[str, Any], personal: Personal | None) -> None:
        self.profile = Profile("demo", "0123456789abcdef", (7, 3), AT, fields)
        self._personal = personal
        self.asked = 0

    def get(self, _: str) -> Profile:
        return self.profile

    def personal(self, _: str) -> Personal:
        self.asked += 1
        if self._personal is None:
            raise StoreDeniedError("this user may not")
        return self._personal


class NoClickHouse:
    def rows(self, *_: Any) -> list[dict[str, Any]]:
        raise ClickHouseError("away")


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "pii.key"
    path.write_bytes(KEY)
    monkeypatch.setenv("CDP_PII_KEY_FILE", str(path))
    return path


def get(monkeypatch: pytest.MonkeyPatch, store: Store, *options: str, identifier: str = "user_id:ann") -> Result:
    monkeypatch.setattr(stores, "profiles", lambda _: store)
    monkeypatch.setattr(stores, "history", NoClickHouse)
    return CliRunner().invoke(app, ["profile", "get", identifier, "--tenant", "demo", *options], env={"COLUMNS": "80"})


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    found = result.output.splitlines()
    assert [line for line in found if cell_len(line) > 80] == []
    return [" ".join(line.strip("│ ").split()) for line in found]


def test_the_card_lists_traits_with_their_sources_and_who_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(FIELDS, sealed())
    said = lines(get(monkeypatch, store))
    city = said.index("city Leeds crm, verified 2023-11-15 22:13:20")
    assert said[city + 1 : city + 3] == ["2 others York shop 2023-11-14 22:13:20", "Hull - 2023-11-14 22:13:20"]
    assert 'address {"city": "Leeds", shop 2023-11-14 22:13:20' in said
    assert "groups account: acme, globex; household: h1" in said
    assert "personal: email, phone (sealed; --personal shows them)" in said
    assert store.asked == 0, "what is not to be shown is not read"


def test_with_the_key_the_card_shows_personal_traits(monkeypatch: pytest.MonkeyPatch, key_file: Path) -> None:
    said = lines(get(monkeypatch, Store(FIELDS, sealed()), "--personal"))
    assert "email ann@example.com crm, verified 2023-11-15 22:13:20" in said
    assert "1 other ann@example.org shop 2023-11-14 22:13:20" in said
    assert "phone +441132223344 shop 2023-11-14 22:13:20" in said
    assert not any("sealed" in line for line in said)
    assert "personal: none" in lines(get(monkeypatch, Store({}, {}), "--personal"))


def test_json_holds_them_in_clear_only_if_asked_to(monkeypatch: pytest.MonkeyPatch, key_file: Path) -> None:
    store = Store(FIELDS, sealed())
    assert orjson.loads(get(monkeypatch, store, "--personal", "--json").output)["personal"] == OPEN
    plain = orjson.loads(get(monkeypatch, store, "--json").output)
    assert plain.keys() == {"tenant", "profile_id", "version", "at", "fields"}
    assert plain["fields"] == FIELDS


def test_a_profile_without_traits_has_the_card_it_always_had(monkeypatch: pytest.MonkeyPatch) -> None:
    said = lines(get(monkeypatch, Store({"orders_lifetime": 1}, {})))
    assert not any(line.startswith(("trait", "groups", "personal", "kind")) for line in said)
    assert any(line.startswith("the last") for line in said)


def test_a_group_has_a_card_without_scores_and_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"kind": "account", "members": 1_234, "first_seen_at": AT, "last_seen_at": AT, "trait:plan": "gold"}
    fields |= {"traits": {"plan": {**CRM, "conflicts": []}}}
    said = lines(get(monkeypatch, Store(fields, {}), identifier="account:acme"))
    for line in (
        "known as account:acme",
        "kind account",
        "members 1,234",
        "seen 2023-11-14 22:13:20 … 2023-11-14 22:13:20",
        "plan gold crm, verified 2023-11-15 22:13:20",
    ):
        assert line in said
    assert not any(word in line for line in said for word in ("R 0", "no order yet", "the last", "judged", "activity"))


def test_a_strangers_text_neither_steers_the_terminal_nor_makes_lines_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"trait:a": "x\x1b[31m\nb  fake", "traits": {"a": {**SHOP, "source": "y\nz", "conflicts": [{**SHOP, "value": "\u202ev"}]}}}
    output = get(monkeypatch, Store(fields, {})).output
    assert "\x1b" not in output
    assert r"x\x1b[31m\nb" in output
    assert r"y\nz" in output
    assert r"\u202ev" in output


def test_a_long_list_of_others_is_counted_and_its_best_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [{**SHOP, "value": f"v{number}"} for number in range(7)]
    said = lines(get(monkeypatch, Store({"trait:a": 1, "traits": {"a": {**CRM, "conflicts": others}}}, {})))
    assert "7 others v0 shop 2023-11-14 22:13:20" in said
    assert any(line.startswith("v4 shop") for line in said)
    assert "and 2 more" in said
    assert not any(line.startswith("v5") for line in said)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "where no file is; `cdp up` makes it once"), (b"short", "has 64 bytes, not 5"), (bytes(64), "`email` cannot be opened")],
)
def test_a_key_that_is_not_there_or_another_one_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "other.key"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("CDP_PII_KEY_FILE", str(path))
    result = get(monkeypatch, Store(FIELDS, sealed()), "--personal")
    assert result.exit_code == 1
    assert says in str(result.exception)
    assert str(path) in str(result.exception)
    assert "ann@" not in result.output + str(result.exception)


def test_without_the_name_of_a_key_file_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CDP_PII_KEY_FILE", raising=False)
    with pytest.raises(PersonalKeyError, match="CDP_PII_KEY_FILE names no file"):
        opener("demo")


def test_values_of_another_tenant_or_trait_do_not_open(key_file: Path) -> None:
    told = sealed()
    with pytest.raises(PersonalKeyError, match="for another tenant"):
        opener("other")(told)
    with pytest.raises(PersonalKeyError, match="`phone` cannot be opened"):
        opener("demo")({"phone": told["email"]})


def test_a_redis_user_without_the_right_is_told_so(monkeypatch: pytest.MonkeyPatch, key_file: Path) -> None:
    result = get(monkeypatch, Store(FIELDS, None), "--personal")
    assert isinstance(result.exception, StoreDeniedError)
