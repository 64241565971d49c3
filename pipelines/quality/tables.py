"""Tables of quality in ClickHouse, and the statements that make them.

`quality` replaces rows by their whole key, newest version first (ReplacingMergeTree). A minute that is computed again therefore overwrites
itself, whatever became of an attempt before: killed in the middle, or answered and forgotten. An insert's token, with which history is made
exact, would not do here: the rows of a second attempt may rightly differ from those of the first (late events), and a delete before the
insert would show readers a minute without data. Rows that a repetition no longer has are overwritten with zeros (`statements.measure`).
Hence: read with FINAL, or through the views.
"""

from typing import Final

from pipelines.quality.slices import MEASURES

KEYS: Final = (
    "minute", "tenant", "measure", "event", "field", "origin", "source", "region", "app_version", "platform", "channel",
)  # fmt: skip
"""Sort key of `quality`: what is asked for is nearly always a stretch of time."""
FACT_DAYS: Final = 9
"""Facts are compared within hours; late records are looked for a week back."""
_WORD: Final = "LowCardinality(String)"
MEASURE_TYPE: Final = "Enum8(" + ", ".join(f"'{name}' = {number}" for number, name in enumerate(MEASURES, 1)) + ")"


def tables(keep_days: int) -> dict[str, str]:
    """Statement that makes each table where it is missing.

    Args:
        keep_days: rows go so long after they were computed (by the wall clock: in a replay log time is long ago).
    """
    words = ", ".join(f"{name} {_WORD}" for name in KEYS[3:])
    expiry = f"TTL computed_at + INTERVAL {keep_days} DAY"
    return {
        "quality": f"""CREATE TABLE IF NOT EXISTS quality (minute DateTime('UTC') COMMENT 'of log time', tenant {_WORD},
  measure {MEASURE_TYPE}, {words}, passed UInt64 COMMENT 'of volume: events', total UInt64 COMMENT 'of volume: events a week before',
  version UInt64 COMMENT 'newest counts', computed_at DateTime('UTC') DEFAULT now())
ENGINE = ReplacingMergeTree(version) PARTITION BY toYYYYMM(minute) ORDER BY ({", ".join(KEYS)}) {expiry}""",
        "quality_minutes": f"""CREATE TABLE IF NOT EXISTS quality_minutes (minute DateTime('UTC') COMMENT 'of log time',
  events UInt64 COMMENT 'applied, as seen when it was computed', rejected UInt64, duplicates UInt64, version UInt64,
  computed_at DateTime('UTC') DEFAULT now())
ENGINE = ReplacingMergeTree(version) PARTITION BY toYYYYMM(minute) ORDER BY minute {expiry}""",
        "quality_facts": f"""CREATE TABLE IF NOT EXISTS quality_facts (minute DateTime('UTC'), tenant {_WORD}, event {_WORD},
  origin {_WORD}, source {_WORD}, partition Int32, offset Int64, log_time DateTime64(3, 'UTC'), region {_WORD}, app_version {_WORD},
  platform {_WORD}, channel {_WORD}, fields Map({_WORD}, String) COMMENT 'keys and values that sources are compared by', version UInt64,
  computed_at DateTime('UTC') DEFAULT now())
ENGINE = ReplacingMergeTree(version) PARTITION BY toYYYYMM(minute) ORDER BY (minute, tenant, event, source, partition, offset)
TTL computed_at + INTERVAL {FACT_DAYS} DAY""",
        "quality_progress": """CREATE TABLE IF NOT EXISTS quality_progress (name String, minute DateTime('UTC'), version UInt64)
ENGINE = ReplacingMergeTree(version) ORDER BY name""",
        "alerts": f"""CREATE TABLE IF NOT EXISTS alerts (id String, number UInt32 COMMENT 'of the change: 1, 2, 3 ...',
  change Enum8('opened' = 1, 'updated' = 2, 'closed' = 3), kind Enum8('drop' = 1, 'goal' = 2), tenant {_WORD}, measure {MEASURE_TYPE},
  event {_WORD}, field {_WORD}, origin {_WORD} COMMENT 'of a missed goal', at DateTime('UTC') COMMENT 'end of the minute that showed it',
  opened_at DateTime('UTC'), onset DateTime('UTC') COMMENT 'first minute of the drop', before Float64, after Float64, total UInt64,
  causes String COMMENT 'JSON', why {_WORD} COMMENT 'why it closed', says String, channels Array(String) COMMENT 'that should get it',
  written_at DateTime('UTC') DEFAULT now())
ENGINE = ReplacingMergeTree(written_at) ORDER BY (id, number)""",
        "alert_deliveries": """CREATE TABLE IF NOT EXISTS alert_deliveries (id String, number UInt32, channel LowCardinality(String),
  status Enum8('delivered' = 1, 'undelivered' = 2), attempts UInt32, error String, at DateTime('UTC') DEFAULT now())
ENGINE = ReplacingMergeTree(at) ORDER BY (id, number, channel)""",
    }


def alter(keep_days: int) -> list[str]:
    """Statements that bring tables made under another configuration up to date."""
    return [
        f"ALTER TABLE {name} MODIFY TTL computed_at + INTERVAL {keep_days} DAY SETTINGS materialize_ttl_after_modify = 0"
        for name in ("quality", "quality_minutes")
    ]
