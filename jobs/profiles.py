"""Job `profiles`: from the raw topics to live profiles.

decode --> node --> profile --> serve --> Redis
  |         |          |
  |         |          +--> cdp.profile.changes
  |         +--> cdp.events, cdp.duplicates, cdp.links
  +---------+----------+--> cdp.rejected
"""

import argparse

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway

from config import loader
from jobs import topology
from pipelines.features.operators import NodeFunction, ProfileFunction, definitions_descriptor
from pipelines.ingest.checks import Rules
from pipelines.ingest.operators import DecodeFunction
from pipelines.operators import CHANGE, DUPLICATES, EVENTS, KEYED, LINKS, RECORD, REJECTED
from sinks.kafka import write_records
from sinks.redis import write_profiles

JOB = "profiles"
# One busy Python operator per TaskManager: two in one process would share one interpreter lock.
DECODE, NODE, PROFILE = "decode", "node", "profile"


def build(parallelism: int) -> StreamExecutionEnvironment:
    """Wire the job.

    Args:
        parallelism: of every operator; the cluster needs three slots for each unit.
    """
    platform, definitions = loader.platform(), loader.definitions()
    bootstrap, redis_url = platform.kafka.bootstrap, platform.redis.url
    env, tables = topology.environment(parallelism)
    group = f"cdp-{JOB}"

    raws = [topology.raw_source(tables, topic, bootstrap, group, platform.limits.drift_s, DECODE) for topic in loader.topics().raw()]
    aliases = topology.control_source(tables, "cdp.identity.alias", bootstrap, group, NODE)
    rosters = topology.control_source(tables, "cdp.identity.roster", bootstrap, group, PROFILE)
    pokes = topology.control_source(tables, "cdp.pokes", bootstrap, group, PROFILE)
    published = topology.control_source(tables, "cdp.definitions", bootstrap, group, PROFILE)

    decoded = raws[0].union(*raws[1:]).process(DecodeFunction(platform, loader.identity(), Rules.configured()), KEYED)
    decoded.uid(DECODE).name(DECODE).slot_sharing_group(DECODE)

    nodes = topology.key_in_jvm(decoded.union(aliases, pokes)).process(NodeFunction(definitions, platform, loader.traffic()), KEYED)
    nodes.uid(NODE).name(NODE).slot_sharing_group(NODE)

    keyed = topology.key_in_jvm(nodes.union(rosters, pokes))
    profiles = keyed.connect(published.broadcast(definitions_descriptor())).process(
        ProfileFunction(definitions, platform, redis_url), CHANGE
    )
    profiles.uid(PROFILE).name(PROFILE).slot_sharing_group(PROFILE)

    rejected = topology.side_output(decoded, REJECTED, RECORD).union(
        topology.side_output(nodes, REJECTED, RECORD), topology.side_output(profiles, REJECTED, RECORD)
    )
    write_records(rejected, "cdp.rejected", bootstrap, JOB, NODE)
    write_records(topology.side_output(nodes, EVENTS, RECORD), "cdp.events", bootstrap, JOB, NODE)
    write_records(topology.side_output(nodes, DUPLICATES, RECORD), "cdp.duplicates", bootstrap, JOB, NODE)
    write_records(topology.side_output(nodes, LINKS, RECORD), "cdp.links", bootstrap, JOB, NODE)
    write_records(profiles, "cdp.profile.changes", bootstrap, JOB, PROFILE)

    # In a thread of its own: while a batch is on its way to Redis the profile operator goes on.
    served = topology.pinned(write_profiles(tables, profiles, redis_url), "serve", PROFILE, own_thread=True)
    discard = get_gateway().jvm.org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink()
    served._j_data_stream.sinkTo(discard).uid("served").name("served").slotSharingGroup(PROFILE)
    return env


def main() -> None:
    """Build the job and hand it to the cluster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--parallelism", type=int, default=1, help="of every operator; three TaskManagers are needed for each unit (default: 1)"
    )
    build(parser.parse_args().parallelism).execute(JOB)


if __name__ == "__main__":
    main()
