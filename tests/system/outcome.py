"""What became of what was written: read back from the topics and the profile store, and compared with the oracle."""

from collections import Counter
from typing import Any

import orjson
from redis import Redis

from cli.audit.people import Replay
from config import loader
from demo.pipeline_watch import Ends
from pipelines.identity.nodes import Nodes
from pipelines.ingest.sealing import Sealer
from profile_store import layout
from schemas import clean
from tests.oracle import Log, Profiles, Rulebook
from tests.oracle.compare import differences
from tests.oracle.kafka_log import read_raw
from tests.stacks import read_all
from tests.system.running import Running, say

TICK = b'{"type":"tick"}'
SHOWN = 5
REFRESH_MS = 3_600_000
TOLERANCE = 1e-6
WINDOWS = ("_1h", "_1d", "_7d", "_30d", "_90d", "_365d")
Owner = tuple[str, str]
Change = dict[str, Any]


def records_of(topic: str) -> list[dict[str, Any]]:
    """Every committed record of a clean topic, decoded."""
    return [clean.decode(message.value()) for message in read_all(topic)]


def outcomes(platform: Running, since: Ends) -> dict[str, dict[str, dict[str, Any]]]:
    """What became of the raw records from some offsets on, in the shape of a replay's expectation (`cdp replay --expect`)."""
    counts: dict[tuple[str, int], Counter[str]] = {place: Counter() for place in since}
    for record in read_raw(platform.bootstrap, platform.raw_topics):
        if record.offset >= since[record.topic, record.partition]:
            counts[record.topic, record.partition].update(["records", "ticks"] if record.value == TICK else ["records"])
    for topic, label in (("cdp.events", "applied"), ("cdp.duplicates", "duplicates"), ("cdp.rejected", "rejected")):
        for found in records_of(topic):
            place = found["source"], found["partition"]
            # Rejected control records are none of the raw ones.
            if place in since and found["offset"] >= since[place]:
                counts[place].update([f"rejected {found['code']}" if label == "rejected" else label])
                counts[place]["late"] += found.get("late", False)
    shaped: dict[str, dict[str, dict[str, Any]]] = {}
    for (topic, partition), count in sorted(counts.items()):
        codes = {label.removeprefix("rejected "): number for label, number in sorted(count.items()) if label.startswith("rejected ")}
        plain = {name: count[name] for name in ("records", "ticks", "applied", "late", "duplicates")}
        shaped.setdefault(topic, {})[str(partition)] = plain | {"rejected": codes}
    return shaped


def changes(*prefixes: str) -> list[Change]:
    """All committed changes of profiles that ever had a node that begins so, oldest version first; `fields` holds the features."""
    found = records_of("cdp.profile.changes")
    meant = {_owner(change) for change in found if any(node.startswith(prefixes or "") for node in change["nodes"])}
    mine = [change for change in found if _owner(change) in meant]
    for change in mine:
        change["fields"] = orjson.loads(change["features"])
    return sorted(mine, key=lambda change: (change["incarnation"], change["version"]))


def newest(found: list[Change]) -> dict[Owner, Change]:
    """The newest change of every profile that has not become part of another one."""
    return {owner: change for owner, change in {_owner(change): change for change in found}.items() if change["nodes"]}


def _differing(profiles: Profiles, change: Change) -> dict[str, Any]:
    """Fields that are not the oracle's.

    What no rule reads falls within an hour (docs/features.md, "Freshness"): of a person with several identifiers one may have spoken while
    such values of another had fallen and were not told yet. So a field may differ by what fell within that hour, identifier by identifier.
    """
    nodes, at = list(change["nodes"]), change["at"]
    found = differences(profiles.at(nodes, at), change["fields"])
    if found and len(nodes) > 1:
        fell = [(profiles.at([node], at), profiles.at([node], at - REFRESH_MS)) for node in nodes]
        found = {name: pair for name, pair in found.items() if not _lags(name, pair, fell)}
    return found


def _lags(name: str, pair: tuple[Any, Any], fell: list[tuple[dict[str, Any], dict[str, Any]]]) -> bool:
    numbers = [*pair, *(fields[name] for both in fell for fields in both)]
    if not name.endswith(WINDOWS) or not all(isinstance(number, int | float) for number in numbers):
        return False
    return bool(abs(pair[0] - pair[1]) <= sum(abs(now[name] - before[name]) for now, before in fell) + TOLERANCE)


def _owner(change: Change) -> Owner:
    return change["tenant"], change["profile_id"]


def people(platform: Running, log: Log) -> dict[str, set[frozenset[str]]]:
    """Tenant -> who is one person by the link log, which must hold each pair of the raw records; nodes that it does not name are alone."""
    replays = {tenant: Replay(loader.identity(), tenant) for tenant in loader.platform().tenants}
    linked: set[tuple[str, str]] = set()
    for message in read_all("cdp.links", committed=False):
        offset = message.offset()
        assert offset is not None
        try:
            record = clean.decode(message.value() or b"")
        except clean.UnknownSchemaError:
            continue  # a scenario has written it to see it rejected
        replays[record["tenant"]].take(record, offset + 1)
        linked |= {(record["a"], record["b"])} if record["kind"] == "link" else set()
    shown = {(node, other) for node, told in log.events.items() for _, event in told for other in event.identifiers[1:]}
    assert shown - linked == set()
    found = {tenant: set(replay.members().values()) for tenant, replay in replays.items()}
    for node in log.events:
        tenant = node.split("|")[0]
        if node not in replays[tenant].person:
            found[tenant].add(frozenset([node]))
    return found


def opened(sealer: Sealer, tenant: str, sealed: dict[str, Any]) -> dict[str, Any]:
    """Personal traits in clear."""

    def clear(name: str, word: dict[str, Any]) -> dict[str, Any]:
        return word | {"value": orjson.loads(sealer.open(tenant, name, word["value"]))}

    return {
        name: clear(name, words) | {"conflicts": [clear(name, other) for other in words["conflicts"]]} for name, words in sealed.items()
    }


def rulebook(platform: Running) -> Rulebook:
    """The configuration as the oracle reads it; personal identifiers get the stack's own pseudonyms."""
    key = (platform.settings.data / "secrets" / "hmac.key").read_bytes()
    return Rulebook.read(loader.folder(), Nodes(loader.identity(), key).mask)


def judged(platform: Running) -> Log:
    """What the oracle says of every record of the raw topics."""
    return Log(read_raw(platform.bootstrap, platform.raw_topics), rulebook(platform))


def check_profiles(platform: Running, *prefixes: str, log: Log | None = None) -> int:
    """Every profile is what the oracle computes from the raw topics, in the topic of changes and in Redis.

    Args:
        platform: all raw records must have been processed.
        prefixes: only profiles with a node whose key begins with one of these, e.g. `demo|user_id|outage-`; all when there are none.
        log: the oracle's judgement of all that is in the raw topics, if it is at hand: to judge takes long.

    Returns:
        How many profiles were compared.
    """
    rules = rulebook(platform)
    log = log or judged(platform)
    profiles = Profiles(log, rules)
    published = newest(changes(*prefixes))
    calls = Counter(event.group for _, event in log.applied() if event.group and not event.late)
    expected = [nodes for found in people(platform, log).values() for nodes in found] + [frozenset([group]) for group in calls]
    sealer = Sealer((platform.settings.data / "secrets" / "pii.key").read_bytes())
    assert sorted(sorted(change["nodes"]) for change in published.values()) == sorted(
        sorted(nodes) for nodes in expected if any(node.startswith(prefixes or "") for node in nodes)
    )
    redis: Any = Redis.from_url(loader.platform().redis.url)
    wrong: dict[str, Any] = {}
    for (tenant, profile_id), change in published.items():
        counted = {node: calls.get(node) or len(log.events.get(node, ())) for node in change["nodes"]}
        found: dict[str, Any] = {} if counted == change["nodes"] else {"events counted": (counted, change["nodes"])}
        found |= _differing(profiles, change)
        stored = redis.hgetall(layout.profile_key(tenant, profile_id))
        found |= {f"Redis: {name}": pair for name, pair in differences(change["fields"], layout.decode_fields(stored)).items()}
        kept = redis.hgetall(layout.pii_key(tenant, profile_id))
        sealed = {name.decode(): orjson.loads(words) for name, words in kept.items()}
        personal = differences(profiles.personal(list(change["nodes"])), opened(sealer, tenant, sealed))
        found |= {f"Redis, personal: {name}": pair for name, pair in personal.items()}
        version = layout.version(change["incarnation"], change["version"]).encode()
        if (stored.get(b"_v"), stored.get(b"_at")) != (version, str(change["at"]).encode()):
            found["Redis: version"] = ((version, change["at"]), (stored.get(b"_v"), stored.get(b"_at")))
        if found:
            wrong[f"{profile_id} {list(change['nodes'])} at {change['at']} by {change['cause']}"] = found
    shown = "\n".join(f"{who}: {found}" for who, found in list(wrong.items())[:SHOWN])
    assert not wrong, f"{len(wrong)} of {len(published)} profiles differ (field: expected, found):\n{shown}"
    say(f"{len(published):,} profiles equal the oracle's, field by field, in the topic and in Redis")
    return len(published)
