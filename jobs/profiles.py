"""Job `profiles`: from the raw topics to live profiles.

decode --> object --> node --> profile --> cdp.profile.changes, which job `serve` brings into Redis
  |          |        | ^         ^
  |          |        | +-- who --+
  |          |        v         |
  |          |    cdp.links --> resolver --> cdp.identity.updates
  |          +--> cdp.objects
  |          +--------+--> cdp.events, cdp.duplicates
  +----------+--------+---------+--> cdp.rejected

Events that concern no object go from decode to node at once.
"""

import argparse

from pyflink.datastream import StreamExecutionEnvironment

from config import loader
from jobs import topology
from pipelines.features import layout
from pipelines.features.operators import NodeFunction, ProfileFunction, definitions_descriptor
from pipelines.identity.operators import ResolverFunction
from pipelines.ingest.checks import Rules
from pipelines.ingest.operators import DecodeFunction
from pipelines.objects.operators import ObjectFunction
from pipelines.operators import DUPLICATES, EVENTS, KEYED, LINKS, OBJECTS, RECORD, REJECTED, ROSTERS, UPDATES
from sinks.kafka import AT_ONCE_MS, write_records

JOB = "profiles"
# One busy Python operator per TaskManager: two in one process would share one interpreter lock.
DECODE, NODE, PROFILE = "decode", "node", "profile"
# They have little to do, new links and events of objects, so they share the TaskManager of the stage with most to spare.
RESOLVER, OBJECT = "resolver", "object"


def build(parallelism: int) -> StreamExecutionEnvironment:
    """Wire the job.

    Args:
        parallelism: of every operator; the cluster needs three slots for each unit.
    """
    platform, definitions, layouts = loader.platform(), loader.definitions(), layout.known()
    bootstrap = platform.kafka.bootstrap
    env, tables = topology.environment(parallelism)
    group = f"cdp-{JOB}"

    raws = [topology.raw_source(tables, topic, bootstrap, group, platform.limits, DECODE) for topic in loader.topics().raw()]
    # Every link counts that was ever written, also of an attempt that was undone: a merge must not wait for a commit.
    links = topology.control_source(tables, "cdp.links", bootstrap, group, DECODE, topology.UNCOMMITTED)
    pokes = topology.control_source(tables, "cdp.pokes", bootstrap, group, PROFILE)
    published = topology.control_source(tables, "cdp.definitions", bootstrap, group, PROFILE)

    decoded = raws[0].union(*raws[1:]).process(DecodeFunction(platform, loader.identity(), Rules.configured(), definitions.traits), KEYED)
    decoded.uid(DECODE).name(DECODE).slot_sharing_group(DECODE)

    aliases = topology.key_in_jvm(links).process(ResolverFunction(loader.identity(), list(platform.tenants)), KEYED)
    aliases.uid(RESOLVER).name(RESOLVER).slot_sharing_group(DECODE)
    rosters = topology.side_output(aliases, ROSTERS, KEYED)

    about_objects = topology.key_in_jvm(topology.side_output(decoded, OBJECTS, KEYED))
    objects = about_objects.process(ObjectFunction(platform, loader.identity()), KEYED)
    objects.uid(OBJECT).name(OBJECT).slot_sharing_group(DECODE)

    nodes = topology.key_in_jvm(decoded.union(objects, aliases, pokes)).process(
        NodeFunction(definitions, platform, loader.traffic(), layouts), KEYED
    )
    nodes.uid(NODE).name(NODE).slot_sharing_group(NODE)

    keyed = topology.key_in_jvm(nodes.union(rosters, pokes))
    profiles = keyed.connect(published.broadcast(definitions_descriptor())).process(
        ProfileFunction(definitions, platform, topology.run_number(), layouts), RECORD
    )
    profiles.uid(PROFILE).name(PROFILE).slot_sharing_group(PROFILE)

    rejected = topology.side_output(decoded, REJECTED, RECORD).union(
        *(topology.side_output(stream, REJECTED, RECORD) for stream in (objects, aliases, nodes, profiles))
    )
    write_records(rejected, "cdp.rejected", bootstrap, JOB, NODE)
    events, duplicates = (
        topology.side_output(nodes, name, RECORD).union(topology.side_output(objects, name, RECORD)) for name in (EVENTS, DUPLICATES)
    )
    write_records(events, "cdp.events", bootstrap, JOB, NODE)
    write_records(duplicates, "cdp.duplicates", bootstrap, JOB, NODE)
    write_records(topology.side_output(objects, OBJECTS, RECORD), "cdp.objects", bootstrap, JOB, DECODE)
    write_records(topology.side_output(nodes, LINKS, RECORD), "cdp.links", bootstrap, JOB, NODE, linger_ms=AT_ONCE_MS)
    write_records(topology.side_output(aliases, UPDATES, RECORD), "cdp.identity.updates", bootstrap, JOB, DECODE)
    # Job `serve` waits for each of them.
    write_records(profiles, "cdp.profile.changes", bootstrap, JOB, PROFILE, linger_ms=AT_ONCE_MS)
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
