"""Row types that flow between the stages' operators, and the names of side outputs."""

from typing import Final

from pyflink.common import Types

TEXT: Final = Types.STRING()
BYTES: Final = Types.PRIMITIVE_ARRAY(Types.BYTE())
# From a raw topic: source, partition, offset, log time (ms), value.
RAW: Final = Types.ROW_NAMED(["source", "partition", "offset", "log_time", "value"], [TEXT, Types.INT(), Types.LONG(), Types.LONG(), BYTES])
# Keyed in the JVM by its first field.
KEYED: Final = Types.ROW_NAMED(["key", "value"], [TEXT, BYTES])
# For a Kafka sink: key and value as they go on the wire.
RECORD: Final = Types.ROW_NAMED(["key", "value"], [BYTES, BYTES])
# What a profile publishes: Kafka key, Kafka value, patch for the profile store.
CHANGE: Final = Types.ROW_NAMED(["key", "value", "patch"], [BYTES, BYTES, BYTES])

REJECTED: Final = "rejected"
DUPLICATES: Final = "duplicates"
EVENTS: Final = "events"
LINKS: Final = "links"
