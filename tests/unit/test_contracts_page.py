"""docs/contracts.md speaks of the topics, records and rejection codes that there are."""

import re
from pathlib import Path

from config import loader
from pipelines.history.tables import TABLES
from schemas import clean, codes

PAGE = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text()


def _section(title: str) -> str:
    return re.split(r"^## ", PAGE.split(f"## {title}\n", 1)[1], flags=re.MULTILINE)[0]


def test_the_topics_are_those_of_the_configuration() -> None:
    rows = [line for line in _section("Topics").splitlines() if line.startswith("| `")]
    named = {topic for row in rows for topic in re.findall(r"`(cdp\.[a-z._]+)`", row.split("|")[1])}
    assert named == set(loader.topics().topics)


def test_the_records_of_the_clean_topics_are_those_of_the_schemas() -> None:
    rows = [line.split("|") for line in _section("Topics").splitlines() if "Avro `" in line]
    named = {re.findall(r"`(cdp\.[a-z._]+)`", row[1])[0]: re.findall(r"Avro `([a-z_]+)`", row[4])[0] for row in rows}
    assert named == {topic: table.subject for topic, table in TABLES.items()} | {"cdp.links": "link"}
    assert set(named.values()) == set(clean.SUBJECTS)


def test_the_codes_are_those_of_the_code() -> None:
    named = re.findall(r"^\| `([a-z_]+)` \|", _section("Rejection codes"), re.MULTILINE)
    assert named == list(codes.ALL)
