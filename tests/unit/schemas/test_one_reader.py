"""Strangers' JSON is read in one place: every other decoder is listed here with what it reads (the benchmark reads its own only)."""

import re
from pathlib import Path

from cli.main import OURS as ROOMS

ROOT = Path(__file__).parents[3]
DECODER = re.compile(r"\b(?:json\.(?:loads?|decode|Decoder|JSONDecoder)|orjson\.loads|scanstring|raw_decode)\b")
THE_READER = {"schemas/json_text.py", "schemas/json_parts.py"}
OURS = {
    "api/collector/app.py": "the quality agent's own metrics, of which only the number is used",
    "cli/audit/served.py": "fields that `serve` has written to Redis",
    "cli/profile_history.py": "features that `profiles` has published",
    "cli/rejected/replay_log.py": "what `cdp rejected replay` has noted",
    "cli/tail_lines.py": "canonical texts of the clean topics",
    "importers/cdc/progress.py": "what the bridge has noted",
    "importers/files/progress.py": "what an import has noted",
    "importers/unmapped.py": "records that a bridge or the collector has written",
    "pipelines/features/layout.py": "the file of layouts that `cdp up` has written",
    "pipelines/quality/alert_store.py": "alerts that the job `quality` has stored",
    "pipelines/traits/claims.py": "claims that a node has packed",
    "pipelines/traits/golden.py": "canonical texts that `decode` has written",
    "profile_store/layout.py": "fields that `serve` has written to Redis",
    "profile_store/patch.py": "features that `profiles` has published",
    "profile_store/writer.py": "fields that `profiles` has published",
    "schemas/clean.py": "schema files of the project",
    "schemas/event_avro.py": "schema files of the project",
    "schemas/registry.py": "schema files of the project",
    "schemas/registry_client.py": "the schema registry's answers",
    "sinks/clickhouse.py": "ClickHouse's answers",
    "stack/board.py": "files of the supervisor",
    "stack/checkpoint_files.py": "files of the supervisor",
    "stack/run_book.py": "files of the supervisor",
    "stack/process.py": "files of the supervisor",
    "stack/requests.py": "files of the supervisor",
    "stack/transactions.py": "what `cdp transactions abort` has noted",
    "stack/watch.py": "the board of the ticker",
}


def test_nobody_else_reads_what_strangers_wrote() -> None:
    files = [path for room in sorted(ROOMS - {"bench"}) for path in (ROOT / room).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in files if DECODER.search(path.read_text())}
    assert found - THE_READER - OURS.keys() == set(), "read it by schemas/json_text.py; of what is ours, say here what it is"


def test_the_list_names_nobody_in_vain() -> None:
    assert [name for name in OURS if not DECODER.search((ROOT / name).read_text())] == []
