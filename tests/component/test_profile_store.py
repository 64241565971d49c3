"""The profile store on a real Redis: guards, healing, failures, reading."""

import asyncio
import itertools
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import NoPermissionError

from profile_store import layout
from profile_store.async_client import AsyncClient
from profile_store.client import Client
from profile_store.errors import IdentifierError, StoreDeniedError, StoreRefusedError, StoreUnavailableError
from profile_store.patch import Patch
from profile_store.profile import Profile
from profile_store.writer import ProfileWriter, WriteResult
from stack import redis_binary, settings
from tests.unit.test_profile_patch import histories


class Server:
    """A Redis that can be killed and brought back, empty or with its data; `options` are further words of its command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--dir", str(self.folder), "--appendonly", "yes", "--save", "", *self.options]
        self.process = subprocess.Popen([str(redis_binary.find(settings.load()).path), *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise TimeoutError("redis-server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def redis(self) -> Any:
        return Redis.from_url(self.url)


def connect(url: str) -> Any:
    """A plain client; redis-py's annotations do not tell its two kinds apart."""
    return Redis.from_url(url)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()
    shutil.rmtree(server.folder)


@pytest.fixture
def url(server: Server) -> str:
    server.redis.flushdb()
    return server.url


PII = "cdp:pii:{ab12}:demo"
EMAIL = {"email": {"value": "sealed:a", "conflicts": []}}
PHONE = {"phone": {"value": "sealed:p", "conflicts": [{"value": "sealed:q", "source": "shop", "at": 7, "verified": False}]}}


def patch(
    version: int,
    base: int,
    features: dict[str, object],
    changed: list[str] | None = None,
    incarnation: int = 7,
    pii: dict[str, Any] | None = None,
    **more: object,
) -> Patch:
    body = orjson.dumps(features)
    names = list(features) if changed is None else changed
    return Patch("demo", "ab12", incarnation, version, base, 1000 + version, body, names, pii=orjson.dumps(pii or {}), **more)  # type: ignore[arg-type]


def held_pii(url: str) -> dict[str, Any]:
    """The personal traits in the store."""
    return layout.decode_fields(connect(url).hgetall(PII))


def test_a_profile_reads_back_as_it_was_written(url: str) -> None:
    features = {
        "orders_lifetime": 3,
        "net_365d": 12.5,
        "rfm_segment": "new",
        "top_products": [["a", 2]],
        "last_order_at": None,
        "tag:loyal": 1,
    }
    ProfileWriter(url).write([patch(1, 0, features, nodes=[("user_id", "17850", 0)])])
    profile = Client(url, "demo").get("user_id:17850.0")
    assert profile == Profile("demo", "ab12", (7, 1), 1001, features)
    assert profile is not None
    assert (profile.number("orders_lifetime"), profile.number("rfm_segment"), profile.text("rfm_segment")) == (3, None, "new")
    assert profile.tags == ["loyal"]
    assert profile.age_s(now_s=3.001) == pytest.approx(2.0)


def test_a_partial_write_changes_what_it_names_and_nothing_else(url: str) -> None:
    writer = ProfileWriter(url)
    writer.write([patch(1, 0, {"a": 1, "b": 1})])
    assert writer.write([patch(2, 1, {"a": 2, "b": 999}, ["a"])]) == WriteResult(1, 0, 0)
    assert connect(url).hgetall("cdp:{ab12}:demo") == {b"_v": b"7-2", b"_at": b"1002", b"a": b"2", b"b": b"1"}


@pytest.mark.parametrize(("incarnation", "version", "base"), [(7, 2, 0), (7, 1, 0), (6, 99, 0), (7, 2, 1), (6, 3, 2)])
def test_what_is_not_newer_is_refused(url: str, incarnation: int, version: int, base: int) -> None:
    writer = ProfileWriter(url)
    writer.write([patch(2, 0, {"a": "kept"}, pii=EMAIL)])
    stale = patch(version, base, {"a": "stale", "traits": {}}, incarnation=incarnation, pii=PHONE)
    assert writer.write([stale]) == WriteResult(0, 1, 0)
    assert connect(url).hget("cdp:{ab12}:demo", "a") == b'"kept"'
    assert held_pii(url) == EMAIL


@pytest.mark.parametrize("before", ["nothing", "another version", "another incarnation", "a merged profile", "garbage"])
def test_a_partial_write_on_another_base_heals_into_a_whole_one(url: str, before: str) -> None:
    writer = ProfileWriter(url)
    if before == "another version":
        writer.write([patch(3, 0, {"a": 0, "gone": 0}, pii=PHONE)])
    if before == "another incarnation":
        writer.write([patch(4, 0, {"a": 0, "gone": 0}, incarnation=6, pii=PHONE)])
    if before == "a merged profile":
        writer.write([patch(4, 0, {}, merged_into="cd34")])
    if before == "garbage":
        Redis.from_url(url).hset("cdp:{ab12}:demo", mapping={"gone": "0", "_v": "x"})
    assert writer.write([patch(5, 4, {"a": 1, "b": 2}, ["a"], pii=EMAIL)]) == WriteResult(1, 0, 1)
    assert connect(url).hgetall("cdp:{ab12}:demo") == {b"_v": b"7-5", b"_at": b"1005", b"a": b"1", b"b": b"2"}
    assert held_pii(url) == EMAIL


def test_a_field_that_left_the_profile_leaves_the_store(url: str) -> None:
    writer = ProfileWriter(url)
    writer.write([patch(1, 0, {"a": 1, "b": 1})])
    writer.write([patch(2, 1, {"a": 1}, ["b"])])
    assert Client(url, "demo").get_by_id("ab12") == Profile("demo", "ab12", (7, 2), 1002, {"a": 1})


def test_repair_writes_over_the_same_version_but_never_over_a_newer_one(url: str) -> None:
    writer = ProfileWriter(url)
    writer.write([patch(2, 0, {"a": 1}, pii=EMAIL)])
    Redis.from_url(url).hset("cdp:{ab12}:demo", "a", "666")
    Redis.from_url(url).hset(PII, "stranger", "{}")
    assert writer.write([patch(2, 1, {"a": 1}, [], pii=EMAIL)], repair=True).written == 1
    assert writer.write([patch(1, 0, {"a": 0}, pii=PHONE)], repair=True).stale == 1
    assert connect(url).hget("cdp:{ab12}:demo", "a") == b"1"
    assert held_pii(url) == EMAIL


def test_an_identifier_moves_only_with_a_later_epoch(url: str) -> None:
    writer, redis = ProfileWriter(url), connect(url)
    key = layout.node_key("demo", "user_id", "1")
    for epoch, expected in ((2, b"2:ab12"), (1, b"2:ab12"), (2, b"2:ab12"), (3, b"3:ab12")):
        writer.write([patch(100 + epoch, 0, {}, incarnation=epoch, nodes=[("user_id", "1", epoch)])])
        assert redis.get(key) == expected


def test_a_very_wide_profile_is_written_whole(url: str) -> None:
    features: dict[str, object] = {f"f{number}": number for number in range(10_000)}
    pii: dict[str, Any] = {f"t{number}": {"value": f"sealed:{number}", "conflicts": []} for number in range(3_000)}
    ProfileWriter(url).write([patch(1, 0, features, pii=pii)])
    profile = Client(url, "demo").get_by_id("ab12")
    assert profile is not None
    assert profile.fields == features
    assert held_pii(url) == pii


def test_personal_traits_lie_apart_as_they_were_told(url: str) -> None:
    ProfileWriter(url).write([patch(1, 0, {"a": 1, "traits": {}}, pii=EMAIL | PHONE)])
    assert connect(url).hgetall("cdp:{ab12}:demo") == {b"_v": b"7-1", b"_at": b"1001", b"a": b"1", b"traits": b"{}"}
    assert connect(url).hget(PII, "email") == b'{"value":"sealed:a","conflicts":[]}'
    assert held_pii(url) == EMAIL | PHONE


@pytest.mark.parametrize(
    ("changed", "told", "after"),
    [
        (["a"], {}, EMAIL),  # a partial change that does not name `traits` leaves them alone, whatever it carries
        (["a"], PHONE, EMAIL),
        (["a", "traits"], PHONE, PHONE),
        (["a", "traits"], {}, {}),
        (["a", "gone"], PHONE, PHONE),  # where a field goes, the profile is written as a whole
        (["a", "gone"], {}, {}),
    ],
)
def test_a_partial_write_replaces_personal_traits_if_it_names_the_field_traits(
    url: str, changed: list[str], told: dict[str, Any], after: dict[str, Any]
) -> None:
    writer = ProfileWriter(url)
    writer.write([patch(1, 0, {"a": 0, "traits": {}, "gone": 1}, pii=EMAIL)])
    assert writer.write([patch(2, 1, {"a": 1, "traits": {}}, changed, pii=told)]) == WriteResult(1, 0, 0)
    assert held_pii(url) == after
    assert connect(url).exists(PII) == bool(after)


@pytest.mark.parametrize("told", [{}, PHONE])
def test_a_whole_write_replaces_personal_traits_also_those_that_lost_their_profile(url: str, told: dict[str, Any]) -> None:
    connect(url).hset(PII, "old", "{}")
    ProfileWriter(url).write([patch(1, 0, {"a": 1}, pii=told)])
    assert held_pii(url) == told


@pytest.mark.parametrize("how", ["alone", "with a change before", "repaired"])
def test_a_profile_that_is_merged_away_loses_its_personal_traits(url: str, how: str) -> None:
    writer = ProfileWriter(url)
    writer.write([patch(1, 0, {"a": 1}, pii=EMAIL)])
    before = [patch(2, 1, {"a": 1, "traits": {}}, pii=PHONE)] if how == "with a change before" else []
    assert writer.write([*before, patch(3, 2, {}, merged_into="cd34", pii=EMAIL)], repair=how == "repaired").written == 1
    assert held_pii(url) == {}
    assert writer.write([patch(2, 1, {"a": 1, "traits": {}}, pii=PHONE)]).stale == 1
    assert connect(url).keys("*") == [b"cdp:{ab12}:demo"]


@given_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(histories(), st.data())
def test_batches_of_any_size_leave_both_hashes_as_one_write_after_the_other_does(
    url: str, history: list[Patch], data: st.DataObject
) -> None:
    arrivals = data.draw(st.one_of(st.just(history), st.lists(st.sampled_from(history), max_size=12)))
    redis, writer = connect(url), ProfileWriter(url)
    found = []
    for ends in ([], list(range(len(arrivals))), data.draw(st.lists(st.integers(0, len(arrivals))))):
        redis.flushdb()
        places = [0, *sorted(ends), len(arrivals)]
        for begin, end in itertools.pairwise(places):
            writer.write(arrivals[begin:end])
        keys = [key for profile in ("p", "q") for key in (layout.profile_key("t", profile), layout.pii_key("t", profile))]
        found.append([redis.hgetall(key) for key in keys])
    assert found[0] == found[1] == found[2]


def test_both_keys_of_a_profile_lie_in_one_slot_of_a_cluster(tmp_path: Path) -> None:
    server = Server(tmp_path, "--cluster-enabled", "yes")
    try:
        connect(server.url).execute_command("CLUSTER ADDSLOTS", *range(16384))
        writer = ProfileWriter(server.url)
        writer.write([patch(1, 0, {"a": 1, "traits": {}}, pii=EMAIL, nodes=[("user_id", "1", 0)])])
        assert writer.write([patch(2, 1, {"a": 1, "traits": {"b": 1}}, ["traits"], pii=PHONE)]) == WriteResult(1, 0, 0)
        assert Client(server.url, "demo").personal("user_id:1") == PHONE
    finally:
        server.kill()


def test_personal_traits_are_found_by_identifier_and_across_merges(url: str) -> None:
    writer, client = ProfileWriter(url), Client(url, "demo")
    writer.write([patch(1, 0, {"a": 1}, pii=EMAIL, nodes=[("user_id", "1", 0)])])
    writer.write([Patch("demo", "cd34", 7, 1, 0, 5, b'{"a":1}', nodes=[("user_id", "2", 0)])])
    assert client.personal("user_id:1.0") == EMAIL
    assert client.personal("user_id:2") == {}
    assert client.personal("user_id:3") is None
    writer.write([patch(2, 1, {}, merged_into="cd34"), Patch("demo", "cd34", 7, 2, 0, 6, b"{}", pii=orjson.dumps(EMAIL | PHONE))])
    assert client.personal("user_id:1") == client.personal("user_id:2") == EMAIL | PHONE
    assert Client(url, "other").personal("user_id:1") is None
    writer.write([Patch("demo", "cd34", 7, 3, 0, 7, b"{}", merged_into="ab12")])
    assert client.personal("user_id:1") is None, "a circle"
    with pytest.raises(IdentifierError, match="namespace:value"):
        client.personal("17850")


def test_a_redis_user_of_the_documented_rights_reads_profiles_and_no_personal_traits(url: str, server: Server) -> None:
    page = (settings.PROJECT / "docs" / "traits.md").read_text()
    [line] = re.findall(r"`(ACL SETUSER marketing [^`]+)`", page)
    ProfileWriter(url).write([patch(1, 0, {"a": 1}, pii=EMAIL, nodes=[("user_id", "1", 0)])])
    admin = connect(url)
    # Redis 6.2 knows no rights by key and way of access: docs/contracts.md says what to write there.
    pattern = "%R~" if admin.info("server")["redis_version"] >= "7" else "~"
    admin.execute_command(*line.replace("%R~", pattern).split())
    try:
        password = re.findall(r" >(\S+)", line)[0]
        reader = f"redis://marketing:{password}@127.0.0.1:{server.port}/0"
        profile = Client(reader, "demo").get("user_id:1")
        assert profile is not None
        assert profile.fields == {"a": 1}
        with pytest.raises(StoreDeniedError, match=r"%R~cdp:pii:\*") as caught:
            Client(reader, "demo").personal("user_id:1")
        assert "sealed" not in str(caught.value)
        with pytest.raises(StoreDeniedError):
            asyncio.run(AsyncClient(reader, "demo").personal("user_id:1"))
        ways: list[tuple[str | int, ...]] = [("HGETALL", PII), ("HGET", PII, "email"), ("HSCAN", PII, 0), ("DUMP", PII)]
        ways += [("EVAL", "return redis.call('HGETALL', KEYS[1])", 1, PII), ("COPY", PII, "cdp:{x}:y")]
        ways += [("HSET", "cdp:{ab12}:demo", "a", "2"), ("GET", "cdp:journal:x")]
        for command in ways:
            with pytest.raises(NoPermissionError):
                connect(reader).execute_command(*command)
        admin.execute_command("ACL", "SETUSER", "marketing", f"{pattern}cdp:pii:*")
        assert Client(reader, "demo").personal("user_id:1") == EMAIL
    finally:
        admin.execute_command("ACL", "DELUSER", "marketing")


def test_reading_follows_merges_and_gives_up_on_a_circle(url: str) -> None:
    writer = ProfileWriter(url)
    writer.write([patch(1, 0, {}, merged_into="cd34", nodes=[("user_id", "1", 0)]), Patch("demo", "cd34", 7, 1, 0, 5, b'{"a":1}')])
    writer.write([Patch("demo", "x", 7, 1, 0, 5, b"{}", merged_into="y"), Patch("demo", "y", 7, 1, 0, 5, b"{}", merged_into="x")])
    client = Client(url, "demo")
    profile = client.get("user_id:1")
    assert profile is not None
    assert profile.profile_id == "cd34"
    assert client.get_by_id("x") is None
    assert client.get_many(["user_id:1", "user_id:2"]) == {"user_id:1": profile, "user_id:2": None}
    assert client.get_many([]) == {}


def test_tenants_do_not_see_each_other(url: str) -> None:
    ProfileWriter(url).write([patch(1, 0, {"a": 1}, nodes=[("user_id", "1", 0)])])
    assert Client(url, "other").get("user_id:1") is None
    assert Client(url, "other").get_by_id("ab12") is None


@pytest.mark.parametrize("identifier", ["17850", ":1", "user_id:", "user_id:   "])
def test_a_malformed_identifier_is_named(url: str, identifier: str) -> None:
    with pytest.raises(IdentifierError, match="namespace:value"):
        Client(url, "demo").get(identifier)


def test_watching_tells_each_new_version(url: str) -> None:
    writer = ProfileWriter(url)
    seen = Client(url, "demo").watch("user_id:1", every_s=0, sleep=lambda _: None)
    assert next(seen) is None
    for version in (1, 2):
        writer.write([patch(version, 0, {"a": version}, nodes=[("user_id", "1", 0)])])
        profile = next(seen)
        assert profile is not None
        assert profile["a"] == version


def test_the_async_client_reads_the_same(url: str) -> None:
    ProfileWriter(url).write([patch(1, 0, {"a": 1}, pii=EMAIL, nodes=[("user_id", "1", 0)])])

    async def read() -> tuple[object, ...]:
        client = AsyncClient(url, "demo")
        seen = client.watch("user_id:1")
        first = await anext(seen)
        await seen.aclose()  # type: ignore[attr-defined]
        found = await client.get_many(["user_id:1", "user_id:2"]), await client.get_by_id("ab12"), first, await client.personal("user_id:1")
        await client.close()
        return found

    many, one, watched, personal = asyncio.run(read())
    client = Client(url, "demo")
    assert many == client.get_many(["user_id:1", "user_id:2"])
    assert one == watched == client.get_by_id("ab12")
    assert personal == client.personal("user_id:1") == EMAIL


def test_writes_go_on_after_redis_was_killed_and_after_it_forgot_the_scripts(server: Server, url: str) -> None:
    writer = ProfileWriter(url, retry_for_s=20)
    writer.write([patch(1, 0, {"a": 1})])
    server.redis.script_flush()
    writer.write([patch(2, 1, {"a": 2})])
    server.kill()
    threading.Timer(0.5, server.start).start()
    started = time.monotonic()
    assert writer.write([patch(3, 2, {"a": 3})]).written == 1
    assert 0.3 < time.monotonic() - started < 15
    assert server.redis.hget("cdp:{ab12}:demo", "_v") == b"7-3"


def test_a_server_that_stays_away_is_a_typed_error_without_values(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.kill()
    with pytest.raises(StoreUnavailableError, match="is it running") as caught:
        ProfileWriter(server.url, retry_for_s=0.3).write([patch(1, 0, {"name": "secret"})])
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreUnavailableError):
        Client(server.url, "demo", retry_for_s=0.1).get("user_id:1")


def test_an_error_that_waiting_does_not_cure_is_raised_at_once_without_values(url: str) -> None:
    Redis.from_url(url).set("cdp:{ab12}:demo", "a string")
    with pytest.raises(StoreRefusedError) as caught:
        ProfileWriter(url).write([patch(1, 0, {"name": "secret"})])
    assert "secret" not in str(caught.value)
    assert "secret" not in str(caught.value.__cause__)
