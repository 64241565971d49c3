"""Profiles into Redis: an Arrow UDF, so that a batch is written within one call and before the checkpoint barrier passes.

The UDF runs in a Python process of its own beside the TaskManager (Flink runs Pandas UDFs so in every execution mode), which keeps the
writes off the profile operator's interpreter lock.
"""

from typing import Any

from pyflink.common import Types
from pyflink.datastream import DataStream
from pyflink.table import DataTypes, StreamTableEnvironment
from pyflink.table.udf import ScalarFunction, udf

from profile_store import patch
from profile_store.writer import ProfileWriter


class WriteProfiles(ScalarFunction):
    """Writes a batch of encoded patches; returns the number of profiles written for the first row and 0 for the rest.

    Args:
        url: Redis.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self, function_context: Any) -> None:
        """One connection per process."""
        self._writer = ProfileWriter(self._url)

    def eval(self, patches: Any) -> Any:
        """Write a batch.

        Args:
            patches: pandas series of bytes.

        Raises:
            StoreUnavailableError: Redis was away for longer than the writer waits; the job restarts from its checkpoint.
        """
        import pandas as pd

        self._writer.write([patch.decode(one) for one in patches])
        return pd.Series([1] * len(patches))

    def is_deterministic(self) -> bool:
        """Writing is a side effect: the planner must not drop or fold the call."""
        return False


def write_profiles(tables: StreamTableEnvironment, changes: DataStream, url: str) -> DataStream:
    """Write the patches (third field) of a stream of changes to Redis.

    Args:
        tables: table environment of the job.
        changes: rows `(key, value, patch)`.
        url: Redis.

    Returns:
        A stream of one number a change; it has to be consumed by something.
    """
    tables.create_temporary_function(
        "write_profiles", udf(WriteProfiles(url), result_type=DataTypes.INT(), func_type="pandas", deterministic=False)
    )
    tables.create_temporary_view("changes", tables.from_data_stream(changes))
    written = tables.sql_query("SELECT write_profiles(patch) AS written FROM changes")
    return tables.to_append_stream(written, Types.ROW_NAMED(["written"], [Types.INT()]))
