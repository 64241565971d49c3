"""A small Flink job for tests of the stack: counts the records of each key of `cdp.raw.service` into `cdp.pokes`.

While there is a file `$CDP_HOME/refuse`, it cannot be submitted.
"""

import os
from pathlib import Path

from pyflink.common import Types
from pyflink.datastream import KeyedStream, StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from tests.component.count_operators import Count

TEXT = Types.STRING()
PAIR = Types.ROW_NAMED(["k", "v"], [TEXT, TEXT])
KAFKA = {
    "connector": "kafka",
    "properties.bootstrap.servers": os.environ["CDP_KAFKA"],
    "key.format": "raw",
    "key.fields": "k",
    "value.format": "raw",
}


def table(tables: StreamTableEnvironment, name: str, topic: str, **options: str) -> None:
    settings = (
        KAFKA | {"topic": topic, "value.fields-include": "EXCEPT_KEY"} | {key.replace("_", "."): value for key, value in options.items()}
    )
    listed = ", ".join(f"'{key}' = '{value}'" for key, value in settings.items())
    tables.execute_sql(f"CREATE TABLE {name} (k STRING, v STRING) WITH ({listed})")


def main() -> None:
    if (Path(os.environ["CDP_HOME"]) / "refuse").exists():
        raise ValueError("config/tags.yaml: loyal: a test wants no submission\nand says so in two lines")
    env = StreamExecutionEnvironment.get_execution_environment()
    tables = StreamTableEnvironment.create(env)
    table(tables, "records", "cdp.raw.service", scan_startup_mode="earliest-offset", properties_group_id="cdp-count")
    table(tables, "counts", "cdp.pokes")
    source = tables.to_append_stream(tables.sql_query("SELECT k, v FROM records WHERE k IS NOT NULL"), PAIR)
    selector = get_gateway().jvm.org.apache.flink.streaming.api.functions.python.KeyByKeySelector()
    keyed = KeyedStream(source._j_data_stream.keyBy(selector, Types.ROW([TEXT]).get_java_type_info()), TEXT, source)
    counts = keyed.process(Count(), output_type=PAIR).uid("count").name("count")
    inserts = tables.create_statement_set()
    inserts.add_insert("counts", tables.from_data_stream(counts))
    inserts.attach_as_datastream()
    env.execute("count")


if __name__ == "__main__":
    main()
