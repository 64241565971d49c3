"""`cdp identity` on a real topic of links."""

from pathlib import Path

import orjson
import pytest
import yaml
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from cli.audit.people import Replay
from cli.main import app
from config import loader
from operations import identity_limits
from operations.controls import Publisher
from operations.topics import TopicsAwayError
from pipelines.identity.link_log import Link
from schemas import clean
from tests.stacks import Stack, read_all

AT = 1_795_867_200_000  # 2026-11-28T12:00:00Z


def cdp(*arguments: str, columns: int = 80) -> Result:
    return CliRunner().invoke(app, ["identity", *arguments], env={"COLUMNS": str(columns)})


@pytest.fixture(scope="module")
def links(emptied: Stack) -> Stack:
    producer = Producer({"bootstrap.servers": loader.platform().kafka.bootstrap, "partitioner": "murmur2_random"})
    pairs = [("user_id|ann", "device_id|phone"), ("user_id|ann", "anonymous_id|v1"), ("user_id|bob", "device_id|phone")]
    for number, (a, b) in enumerate(pairs):
        place = {"source": "cdp.raw.clickstream", "partition": 0, "offset": number, "log_time": AT + number * 1000}
        record = {"tenant": "demo", "a": f"demo|{a}", "b": f"demo|{b}", "message_id": f"m-{number}", **place}
        producer.produce("cdp.links", clean.encode("link", record), "demo")
    assert producer.flush(30) == 0
    return emptied


def test_a_person_is_shown_with_what_joined_it_and_what_did_not(links: Stack) -> None:
    shown = cdp("show", "device_id:phone")
    assert shown.exit_code == 0, shown.output
    assert "3 identifiers" in shown.output
    for wanted in ("user_id:ann", "anonymous_id:v1", "2026-11-28 12:00:00", "seen", "m-0", "not joined", "refused: most:user_id", "m-2"):
        assert wanted in shown.output, wanted
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert [node for node, _ in orjson.loads(cdp("show", "user_id:ann", "--json").stdout)["nodes"]][:1] == ["demo|user_id|ann"]


def test_why_two_are_one_person_or_not_is_told(links: Stack) -> None:
    together = cdp("explain", "anonymous_id:v1", "device_id:phone")
    assert (together.exit_code, "are one person: 2 links" in together.stdout) == (0, True), together.output
    apart = cdp("explain", "user_id:ann", "user_id:bob", columns=160)
    assert (apart.exit_code, "refused: most:user_id" in apart.stdout) == (1, True), apart.output
    never = cdp("explain", "user_id:ann", "user_id:cat", columns=160)
    assert (never.exit_code, "no record shows" in never.stdout) == (1, True)
    assert "by itself" in cdp("show", "user_id:cat", columns=160).stdout
    assert cdp("show", "user_id:null").exit_code == 2


def test_other_rules_are_tried(links: Stack, tmp_path: Path) -> None:
    written = yaml.safe_load((loader.folder() / "identity.yaml").read_text())
    written["namespaces"][0]["limits"] = {"most": 2}
    file = tmp_path / "two_users.yaml"
    file.write_text(yaml.safe_dump(written))
    found = orjson.loads(cdp("simulate", "--rules", str(file), "--json").stdout)
    assert (found["people"], found["people_then"], found["refused"], found["refused_then"]) == (2, 1, 1, 0)
    assert "would be one person" in cdp("simulate", "--rules", str(file), columns=160).stdout
    written["namespaces"][0]["limits"] = {"mosst": 2}
    file.write_text(yaml.safe_dump(written))
    wrong = cdp("simulate", "--rules", str(file))
    assert wrong.exit_code == 1
    assert "did you mean `most`" in str(wrong.exception)


def test_what_is_stated_is_written_to_the_log_and_told(links: Stack) -> None:
    pair = ("device_id:phone", "anonymous_id:v1")
    tried = cdp("unlink", *pair, "--dry-run", columns=160)
    assert (tried.exit_code, "tried only" in tried.stdout, "unbound" in tried.stdout) == (0, True, True), tried.output
    assert cdp("explain", *pair).exit_code == 0

    done = orjson.loads(cdp("unlink", *pair, "--reason", "two people", "--json").stdout)
    assert done["epoch"] == 4
    assert {"unbound", "dropped", "split", "moved"} == {decision["what"] for decision in done["decisions"]}
    apart = cdp("explain", *pair, columns=160)
    assert apart.exit_code == 1
    assert "dropped: apart" in apart.stdout
    again = cdp("unlink", *pair)
    assert "it is so already" in again.stdout

    assert "merged" in cdp("link", *pair, "--reason", "they called", "--json").stdout
    assert "they called" in cdp("explain", *pair, columns=160).stdout
    assert "blocked" in cdp("block", "device_id:phone", columns=160).stdout
    assert "nobody's" in cdp("show", "device_id:phone", columns=160).stdout
    assert "released" in cdp("release", "device_id:phone", columns=160).stdout
    assert cdp("link", "user_id:ann", "user_id:ann").exit_code == 2


def test_a_log_without_records_begins_with_the_limits_and_no_other_does(links: Stack) -> None:
    tenants = loader.platform().tenants
    began = identity_limits.begin(loader.platform().kafka.bootstrap, loader.identity(), tenants)
    assert began == sorted(tenants.keys() - {"demo"})
    assert identity_limits.begin(loader.platform().kafka.bootstrap, loader.identity(), tenants) == []
    assert identity_limits.begin(loader.platform().kafka.bootstrap, loader.identity(), [*tenants, "later"]) == ["later"]
    for tenant in began:
        found = orjson.loads(cdp("rules", "--tenant", tenant, "--json").stdout)
        assert (found["in_force"]["epoch"] > 0, found["differs"]) == (True, [])
    assert "the link log of demo says no limits" in cdp("rules", columns=160).stdout
    with pytest.raises(TopicsAwayError, match="does not answer"):
        identity_limits.begin("127.0.0.1:1", loader.identity(), tenants, within_s=1.0)


def test_limits_are_changed_and_the_past_follows(links: Stack, tmp_path: Path) -> None:
    written = yaml.safe_load((loader.folder() / "identity.yaml").read_text())
    written["namespaces"][0]["limits"]["most"] = 2
    file = tmp_path / "two_users.yaml"
    file.write_text(yaml.safe_dump(written))
    # Of a device that nobody has blocked and released: links from before that are not proposed again.
    publisher = Publisher(loader.platform().kafka.bootstrap)
    for user in ("cyd", "bob"):
        publisher.state(Link("demo", 1_700_000_000_000, f"till-{user}", a=f"demo|user_id|{user}", b="demo|device_id|till"))
    tried = cdp("apply", "--rules", str(file), "--dry-run")
    assert (tried.exit_code, "tried only" in tried.stdout, "most:user_id" in tried.stdout) == (0, True, True), tried.output
    assert cdp("explain", "user_id:bob", "device_id:till").exit_code == 1

    first = cdp("apply", "--rules", str(file), "--reason", "two are allowed", columns=160)
    assert "the past stays as it is" in first.stdout, first.output
    assert cdp("explain", "user_id:bob", "device_id:till").exit_code == 1
    shown = cdp("rules", columns=160)
    assert ("two are allowed" in shown.stdout, "config/identity.yaml has others" in shown.stdout) == (True, True), shown.output

    done = orjson.loads(cdp("apply", "--rules", str(file), "--past", "--json").stdout)
    assert (done["changed"], done["records"]["rules"], done["past"]["proposed"]) == ([], False, 1)
    assert cdp("explain", "user_id:bob", "device_id:till").exit_code == 0
    assert "proposed again" in cdp("show", "user_id:bob", columns=160).stdout
    again = cdp("apply", "--rules", str(file), "--past", columns=160)
    assert (again.exit_code, "nothing was written" in again.stdout) == (0, True), again.output

    replay = Replay(loader.identity(), "demo")
    log = [message for message in read_all("cdp.links", committed=False) if message.key() == b"demo"]
    for message in sorted(log, key=lambda message: message.offset() or 0):
        replay.take(clean.decode(message.value() or b""), (message.offset() or 0) + 1)
    bob = orjson.loads(cdp("show", "user_id:bob", "--json").stdout)
    assert replay.members()[bob["profile_id"]] == {node for node, _ in bob["nodes"]}
