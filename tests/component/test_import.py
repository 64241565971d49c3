"""Files into a real Kafka: the same messages each time, and every row once whatever kills the import."""

import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from demo import dataset
from stack import topics
from stack.settings import PROJECT
from tests.stacks import Stack, eventually, kill_nine, read_all

RETAIL = PROJECT / "data" / "online_retail.parquet"
TOPIC = "cdp.raw.orders"
WHOLE_INVOICES = 240_012  # so many first lines end with an invoice; enough of them that three kills come before the end


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "cli.main", "import", *map(str, arguments)]


def imported(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"COLUMNS": "160"}
    done = subprocess.run(command(*arguments), cwd=PROJECT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def accounted(progress: Path) -> int:
    """Rows that an import has noted as acknowledged."""
    return max((json.loads(file.read_text())["state"]["rows"] for file in progress.glob("*.json")), default=0)


def killed_on_the_way(arguments: tuple[str | Path, ...], progress: Path, between_batches: bool) -> int:
    """Start an import and kill it when its messages arrive, or when it has noted that they did; the rows accounted for by then."""
    before, noted = len(ids("killed")), accounted(progress)
    process = subprocess.Popen(command(*arguments), cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        far = (lambda: accounted(progress) > noted) if between_batches else (lambda: len(ids("killed")) > before)
        eventually(lambda: process.poll() is not None or far(), "messages arrive", 120)
        assert process.poll() is None, process.communicate()[0].decode()
    finally:
        if process.poll() is None:
            kill_nine(process.pid)
        process.wait()
    return accounted(progress)


def values_of(source: str) -> list[bytes]:
    return [message.value() for message in read_all(TOPIC) if message.value() and f'"source":"{source}"'.encode() in message.value()]


def happened_ms(value: bytes) -> int:
    return int(dt.datetime.fromisoformat(json.loads(value)["timestamp"]).timestamp() * 1000)


def ids(source: str) -> Counter[str]:
    return Counter(json.loads(value)["messageId"] for value in values_of(source))


def slice_of(path: Path, first: int, rows: int) -> Path:
    """A file with some lines of the data set; 20,000 are 925 invoices."""
    pq.write_table(pq.read_table(RETAIL).slice(first, rows), path)
    return path


def test_a_file_imported_twice_has_the_same_message_ids_and_bytes(stack: Stack, tmp_path: Path) -> None:
    invoices = slice_of(tmp_path / "slice.parquet", 0, 20_000)
    first = imported(invoices, "-m", "online_retail", "--source", "twice")
    assert first.returncode == 0, first.stderr
    assert "20,000 rows of slice.parquet" in first.stdout
    once = values_of("twice")
    assert sum(ids("twice").values()) == len(ids("twice")) > 800

    again = imported(invoices, "-m", "online_retail", "--source", "twice")
    assert "imported already" in again.stdout
    assert len(values_of("twice")) == len(once)

    assert imported(invoices, "-m", "online_retail", "--source", "twice", "--again").returncode == 0
    assert set(ids("twice").values()) == {2}
    assert Counter(values_of("twice")) == Counter({value: 2 for value in once})


def test_a_failed_row_is_kept_beside_the_file_and_the_exit_code_says_so(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "leads.jsonl"
    file.write_text('{"id":"L-1","submitted_at":"2026-11-02T10:15:00Z","visitor":"v"}\n{"id":"L-2","submitted_at":"soon","visitor":"v"}\n')
    done = imported(file, "-m", "leads", "--source", "failing")
    assert done.returncode == 1
    assert "failed" in done.stdout
    (kept,) = (tmp_path / "leads.jsonl.failed.jsonl").read_text().splitlines()
    assert (json.loads(kept)["row"], json.loads(kept)["error"]["field"]) == (2, "events[0].timestamp")
    assert ids("failing") == {"failing:L-1": 1}


def test_a_killed_import_goes_on_and_every_row_is_there_once_by_its_id(stack: Stack, tmp_path: Path) -> None:
    part = slice_of(tmp_path / "part.parquet", 0, WHOLE_INVOICES)
    numbers = set(pq.read_table(part, columns=["InvoiceNo"])[0].to_pylist())
    arguments = (part, "-m", "online_retail", "--source", "killed")
    progress = stack.settings.data / "imports"
    killed_at = [killed_on_the_way(arguments, progress, between_batches=number == 1) for number in range(3)]
    last = imported(*arguments)
    assert last.returncode == 0, last.stderr
    assert "going on after row" in last.stdout

    sold = [one for one in dataset.load().invoices if one.number in numbers and (one.is_refund or one.is_sale)]
    found = ids("killed")
    assert set(found) == {f"killed:{one.number}" for one in sold}
    assert f"{WHOLE_INVOICES:,} rows of part.parquet, {len(numbers):,} records" in last.stdout
    assert f"{sum(not one.is_refund for one in sold):,}  sent     Order Completed" in last.stdout
    assert f"{sum(one.is_refund for one in sold):,}  sent     Order Refunded" in last.stdout
    repeated = sum(found.values()) - len(found)
    assert 0 <= repeated <= 3 * 2 * 2000, f"more than the batches in hand were sent again: {repeated} ({killed_at})"


def test_a_first_load_writes_the_events_on_their_own_clock_and_in_order(emptied: Stack, tmp_path: Path) -> None:
    topics.set_clock("replay")
    invoices = slice_of(tmp_path / "slice.parquet", 0, 4_000)
    refused = imported(invoices, "-m", "online_retail")
    assert refused.returncode == 1
    assert "is on the producer's clock" in refused.stderr
    began_ms = int(time.time() * 1000)
    done = imported(invoices, "-m", "online_retail", "--clock", "event", "--then-live")
    assert done.returncode == 0, done.stderr
    messages = read_all(TOPIC)
    events = [message for message in messages if message.value() != b'{"type":"tick"}']
    assert len({json.loads(message.value())["messageId"] for message in events}) == len(events) > 100
    by_partition: dict[int, list[int]] = {}
    for message in messages:
        by_partition.setdefault(message.partition(), []).append(message.timestamp()[1])
    assert all(times == sorted(times) and times[-1] < began_ms for times in by_partition.values())
    assert all(happened_ms(one.value()) == one.timestamp()[1] for one in events)
    assert "imported already" in imported(invoices, "-m", "online_retail", "--clock", "event").stdout
    late = imported(slice_of(tmp_path / "other.parquet", 100, 50), "-m", "online_retail", "--clock", "event")
    assert "the log's clock cannot go back" in late.stderr
