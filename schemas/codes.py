"""Why a record was rejected: the closed list of codes (docs/contracts.md)."""

from typing import Final

PAYLOAD_FORMAT: Final = "payload_format"
SCHEMA_VIOLATION: Final = "schema_violation"
SIZE_VIOLATION: Final = "size_violation"
IDENTIFIER_MISSING: Final = "identifier_missing"
TIMESTAMP_OUT_OF_RANGE: Final = "timestamp_out_of_range"
QUALITY_RULE: Final = "quality_rule"
ID_CONFLICT: Final = "id_conflict"
INTERNAL: Final = "internal"

ALL: Final = (
    PAYLOAD_FORMAT,
    SCHEMA_VIOLATION,
    SIZE_VIOLATION,
    IDENTIFIER_MISSING,
    TIMESTAMP_OUT_OF_RANGE,
    QUALITY_RULE,
    ID_CONFLICT,
    INTERNAL,
)
