"""A job that goes on under other definitions publishes what they ask for as soon as a customer is touched, past included."""

import msgspec

from config import loader
from config.definitions import Definitions
from demo.messages import iso, render
from demo.replay import Options
from demo.stream import Slice
from tests.in_process import InProcess
from tests.oracle import Log, Profiles, RawRecord, Rulebook
from tests.oracle.compare import differences
from tests.unit.pipelines.test_core_against_oracle import pseudonym, raw_records

WINDOW, LENGTH_S, HOP_MIN = "14d", 14 * 86_400, 320


def with_another_window(before: Definitions) -> Definitions:
    features = before.features
    replaced = msgspec.structs.replace(
        features,
        windows=features.windows | {WINDOW: LENGTH_S},
        tile_hop_min=features.tile_hop_min | {WINDOW: HOP_MIN},
        features=[
            msgspec.structs.replace(feature, windows=[*feature.windows, WINDOW])
            if feature.name in ("orders", "gross", "views")
            else feature
            for feature in features.features
        ],
    )
    return msgspec.structs.replace(before, features=replaced)


def look(number: int, node: str, log_ms: int) -> RawRecord:
    _, namespace, value = node.split("|")
    who = {"userId" if namespace == "user_id" else "anonymousId": value}
    body = {"type": "page", "messageId": f"look-{number}", **who, "timestamp": iso(log_ms)}
    return RawRecord("cdp.raw.service", 0, 1_000_000 + number, log_ms, render(body))


def test_a_window_added_at_a_restart_knows_the_past_of_whoever_is_touched() -> None:
    records = raw_records(Options(part=Slice(days=20, customers=30)))
    core = InProcess()
    for record in records:
        core.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    definitions = with_another_window(core.definitions)
    after = core.restarted(definitions)
    nodes = sorted({node for change in core.newest.values() for node in change.record["nodes"]})
    looks = [look(number, node, records[-1].timestamp_ms + 1000 + number) for number, node in enumerate(nodes)]
    for record in looks:
        after.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)

    base = Rulebook.read(loader.folder(), pseudonym)
    features = [
        feature | {"windows": list(found.windows)} for feature, found in zip(base.features, definitions.features.features, strict=True)
    ]
    rules = base._replace(
        features=features, windows_ms=base.windows_ms | {WINDOW: LENGTH_S * 1000}, hops_ms=base.hops_ms | {WINDOW: HOP_MIN * 60_000}
    )
    profiles = Profiles(Log(records + looks, rules), rules)
    wrong = {}
    for profile_id, fields in after.fields():
        change = after.newest[profile_id]
        found = differences(profiles.at(list(change.record["nodes"]), change.patch.at), fields)
        if found:
            wrong[profile_id] = found
    assert not wrong, f"{len(wrong)} of {len(after.newest)} profiles differ, e.g. {list(wrong.items())[:3]}"
    assert any(fields[f"orders_{WINDOW}"] for _, fields in after.fields())
