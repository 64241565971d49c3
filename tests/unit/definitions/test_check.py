"""`cdp check`: whatever is wrong in what people write is found before anything runs by it, all at once, each with its place."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# ruff: noqa: E501 - a table of mistakes is read by its rows
from schemas import contracts
from schemas.documents import Problem
from stack import preflight
from stack.errors import StackError
from tests.stacks import config_copy
from tests.unit.test_cli import run


class Written:
    """Copies of the configuration and the event contracts, to be spoilt."""

    def __init__(self, folder: Path) -> None:
        self.config = config_copy(folder / "config")
        self.events = folder / "events"
        shutil.copytree(contracts.FOLDER, self.events)

    def path(self, file: str) -> Path:
        return self.events / file.removeprefix("events/") if file.startswith("events/") else self.config / file

    def change(self, file: str, old: str, new: str) -> None:
        text = self.path(file).read_text()
        assert old in text, f"{file} has no longer: {old}"
        self.path(file).write_text(text.replace(old, new, 1))

    def problems(self) -> list[Problem]:
        return preflight.problems(self.config, self.events)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("definitions"))


@pytest.fixture
def written(copies: Written) -> Iterator[Written]:
    before = {path: path.read_bytes() for folder in (copies.config, copies.events) for path in folder.rglob("*.yaml")}
    yield copies
    for path, content in before.items():
        path.write_bytes(content)


def test_what_is_shipped_is_right(written: Written) -> None:
    assert preflight.problems() == []
    assert written.problems() == []


# file, what stands there, what is written instead, what is said of it: line text, place, problem and remedy.
MISTAKES = [
    ("features.yaml", "windows: [30d], minus", "windows: [14d], minus", "features[7].windows[0]: unknown window `14d`; did you mean `1d`?"),
    ("features.yaml", "{name: orders, series: orders", "{name: orders, series: oders", "features[0].series: unknown series `oders`; did you mean `orders`?"),
    ("features.yaml", "measure: count", "measure: cuont", "features[0].measure: there is no measure `cuont`; did you mean `count`?"),
    ("features.yaml", "measure: count, ", "", "features[0].measure: `measure` is missing; one of amount, average, count"),
    ("features.yaml", "[gross, refunded]", "[gros, refunded]", "features[3].difference[0]: there is no plain feature `gros`; did you mean `gross`?"),
    ("features.yaml", "[gross, refunded]", "[gross]", "features[3].difference: a difference is of two features, not 1"),
    ("features.yaml", "[gross, refunded]", "[gross, orders]", "features[3].difference: an amount and a count cannot be subtracted"),
    ("features.yaml", "{30d: 60d}", "{30d: 60dd}", "features[7].minus.30d: unknown window `60dd`; did you mean `60d`?"),
    ("features.yaml", "{30d: 60d}", "{30d: 7d}", "features[7].minus.30d: `7d` is not longer than `30d`"),
    ("features.yaml", "{30d: 60d}", "{1h: 60d}", "features[7].minus.1h: `1h` is none of this feature's windows"),
    ("features.yaml", "[Product Viewed]", "[Product Viewd]", "series.views.events[0]: there is no event `Product Viewd`; did you mean `Product Viewed`?"),
    ("features.yaml", "types: [page, screen]", "types: [pages, screen]", "series.interactions.types[0]: there is no call `pages`; did you mean `page`?"),
    ("features.yaml", "{ledger: orders}", "{ledger: ordres}", "series.orders.ledger: the text `ordres` is not one of the values there are; did you mean `orders`?"),
    ("features.yaml", "{ledger: orders}", "{}", "series.orders: a series has either `events` and `types`, or `ledger`"),
    ("features.yaml", "name: net,", "name: gross,", "features[3].name: there is another feature `gross`"),
    ("features.yaml", "name: views, series", "name: total-views, series", "features[4].name: `total-views` is no name for a field"),
    ("features.yaml", "exact_entries: 64", "exact_entries: many", "exact_entries: a whole number is expected, not the text `many`"),
    ("features.yaml", "exact_entries: 64", "exact_entrys: 64", "exact_entrys: unknown key `exact_entrys`; did you mean `exact_entries`?"),
    ("features.yaml", "exact_entries: 64", "exact_entries: 0", "exact_entries: 0 is out of range; it must be at least 1"),
    ("features.yaml", "60d: 1280,", "60d: 1300,", "tile_hop_min.60d: must be a multiple of 30d's (640 min)"),
    ("features.yaml", "1d: 20, 7d: 160", "7d: 160", "windows.1d: window `1d` has no `tile_hop_min`"),
    ("features.yaml", "365d: 7680}", "365d: 7680, 2d: 1}", "tile_hop_min.2d: there is no window `2d`"),
    ("features.yaml", "measure: count, windows: [30d], english", "measure: amount, windows: [30d], english", "features[6].measure: `amount` takes numbers, and series `interactions` has no values; give it, or one of its own, `of: PROPERTY`"),
    ("features.yaml", "views: {events: [Product Viewed]}", "views: {events: [Product Viewed], of: prize}", "series.views.of: `Product Viewed` has no field `prize`; did you mean `price`?"),
    ("features.yaml", "views: {events: [Product Viewed]}", "views: {events: [Product Viewed], where: \"prize > 3\"}", "series.views.where: unknown field `prize` of Product Viewed; did you mean `price`?"),
    ("features.yaml", "views: {events: [Product Viewed]}", "views: {events: [Product Viewed], where: \"price > 'x'\"}", "series.views.where: `price` is a number and `'x'` is a text"),
    ("features.yaml", "orders: {ledger: orders}", "orders: {ledger: orders, where: \"total > 3\"}", "series.orders: `where` and `of` are for series of events"),
    ("features.yaml", "name: gross, series: orders, measure: amount", "name: gross, series: orders, measure: max", "features[1].measure: `max` cannot be made of the ledger, whose orders change"),
    ("features.yaml", "name: views, series: views, measure: count", "name: views, series: views, measure: values", "features[4].measure: `values` takes texts, and series `views` has no values"),
    ("tags.yaml", "m_score >= 4 and recency_days", "m_score >= 4 and recency_day", "7:27: [1].when: unknown field `recency_day`; did you mean `recency_days`?"),
    ("tags.yaml", "f_score >= 4 and", "f_score => 4 and", "[0].when: `>` where a field, a value or `(` is wanted"),
    ("tags.yaml", "f_score >= 4 and", "f_score and", "[0].when: `f_score` is a number, not a condition; compare it with something"),
    ("tags.yaml", "name: high_value_dormant", "name: loyal", "[1].name: there is another tag `loyal`"),
    ("tags.yaml", "  when: \"f_score", "  wenn: \"f_score", "[0].wenn: unknown key `wenn`; did you mean `when`?"),
    ("segments.yaml", "r_score == 3", "r_scroe == 3", "[6].when: unknown field `r_scroe`; did you mean `r_score`?"),
    ("segments.yaml", "name: champions", "name: lost", "[8].name: there is another segment `lost`"),
    ("segments.yaml", 'when: "true"', "when: true", "[8].when: text is expected, not true; put quotes around it"),
    ("rfm.yaml", "frequency: orders_365d", "frequency: order_365d", "frequency: unknown field `order_365d`; did you mean `orders_365d`?"),
    ("rfm.yaml", "[0.2, 0.4, 0.6, 0.8]", "[0.2, 0.4, 0.8]", "quantiles: 4 values are needed for scores from 1 to 5, not 3"),
    ("rfm.yaml", "[14, 30, 60, 120]", "[14, 60, 30, 120]", "initial.recency: the values must ascend"),
    ("rfm.yaml", "tolerance: 0.05", "tolerance: 5%", "tolerance: a number is expected, not the text `5%`; write a number, without quotes and units"),
    ("identity.yaml", "{name: open_id,", "{name: user_id,", "namespaces[4].name: there is another namespace `user_id`"),
    ("identity.yaml", "{most: 3,", "{most: 0,", "namespaces[1].limits.most"),
    ("identity.yaml", "  tenants: {}\n", "  tenants: {dmo: {}}\n", "graph.tenants.dmo"),
    ("identity.yaml", "  tenants: {}\n", "  tenants: {demo: {mail: {most: 1}}}\n", "graph.tenants.demo.mail: `mail` is no namespace"),
    ("identity.yaml", "strip_float_suffix: [user_id, member_id]", "strip_float_suffix: [user_id, membr_id]", "strip_float_suffix[1]: there is no namespace `membr_id`; did you mean `member_id`?"),
    ("platform.yaml", "default_tenant: demo", "default_tenant: dmeo", "default_tenant: there is no tenant `dmeo`; did you mean `demo`?"),
    ("platform.yaml", "minor_units: 2}", "minor_units: 2, plan: shoop}", "tenants.demo.plan: there is no tracking plan `shoop` in config/plans; did you mean `shop`?"),
    ("platform.yaml", "currency: GBP", "currency: gbp", "tenants.demo.currency: `gbp` is not of the form expected"),
    ("platform.yaml", "event_bytes: 32768", "event_bytes: 32k", "limits.event_bytes: a whole number is expected, not the text `32k`"),
    ("platform.yaml", "event_bytes: 32768", "event_byte: 32768", "limits: `event_bytes` is missing"),
    ("topics.yaml", "cdp.duplicates:", "cdp.duplicate:", "topics: the platform's own topic `cdp.duplicates` is missing; did you mean `cdp.duplicate`?"),
    ("topics.yaml", 'retention.ms: "-1"', "retention.ms: -1", "topics.cdp.raw.clickstream.config.retention.ms: text is expected, not the number -1; put quotes around it"),
    ("topics.yaml", "partitions: 2, replication: 1", "partitions: 0, replication: 1", "defaults.partitions: 0 is out of range; it must be at least 1"),
    ("sources.yaml", "topic: cdp.raw.clickstream", "topic: cdp.raw.clicks", "web-shop.topic: `cdp.raw.clicks` is no raw topic of topics.yaml"),
    ("sources.yaml", "kind: webhook", "kind: webhok", "tickets.kind: the text `webhok` is not one of the values there are; did you mean `webhook`?"),
    ("sources.yaml", "mapping: webhooks/tickets.yaml", "mapping: webhooks/ticket.yaml", "tickets.mapping: there is no mapping `webhooks/ticket.yaml` in config/mappings; did you mean `webhooks/tickets.yaml`?"),
    ("sources.yaml", "mapping: webhooks/tickets.yaml", "mapping: tickets.yaml", "tickets.mapping: tickets.yaml: reads"),
    ("sources.yaml", "owner: ERP team", "plan: shoop", "erp.plan: there is no tracking plan `shoop` in config/plans; did you mean `shop`?"),
    ("sources.yaml", "write_key: demo-server", "write_key: demo-web-shop", "server.write_key: has the write_key of source `web-shop`"),
    ("currencies.yaml", "demo:", "dmeo:", "dmeo: there is no tenant `dmeo`; did you mean `demo`?"),
    ("currencies.yaml", "2010-01-01: 0.858", "2010-13-01: 0.858", "`2010-13-01`: month must be in 1..12"),
    ("currencies.yaml", "2010-01-01: 0.858", "2010-01-01: 0", "demo.EUR.2010-01-01: a rate must be above 0, not 0"),
    ("currencies.yaml", "  EUR:", "  Euro:", "demo.Euro: `Euro` is no currency"),
    ("traffic.yaml", "within_ms: 300", "within_s: 300", "[0]: needs either `same` and `within_ms`, or `more_than` and `within_s`"),
    ("traffic.yaml", "Product Viewed, Product Added, Product Removed, Promotion", "Product Viewed, Product Added, Order Completed, Promotion", "[0]: `Order Completed` feeds the order ledger"),
    ("traffic.yaml", "Promotion Clicked]\n  same", "Promotion Clikced]\n  same", "[0].events[3]: there is no event `Promotion Clikced`; did you mean `Promotion Clicked`?"),
    ("traffic.yaml", "[product_id, promotion_id]", "[prodct_id, promotion_id]", "[0].same[0]: none of these events has a field `prodct_id`; did you mean `product_id`?"),
    ("plans/shop.yaml", "Product Added: {required: [quantity]}", "Product Added: {required: [quantiy]}", "events.Product Added.required[0]: requires `quantiy`, which neither its contract nor the plan describes; did you mean `quantity`?"),
    ("plans/shop.yaml", "  Cart Viewed: {}", "  Cart Veiwed: {}", "events.Cart Veiwed: there is no event `Cart Veiwed`, and the plan does not describe one; did you mean `Cart Viewed`?"),
    ("plans/shop.yaml", "type: integer", "type: integr", "properties.list_position.type: the text `integr` is not one of the values there are; did you mean `integer`? allowed: `boolean`"),
    ("quality.yaml", "Product Added: [price, quantity]", "Product Added: [prize, quantity]", "expected.Product Added[0]: there is no field `prize`; did you mean `price`?"),
    ("quality.yaml", "told_by: {origin: web-shop}", "told_by: {origin: webshop}", "consistency.between[0].told_by.origin: there is no source `webshop`; did you mean `web-shop`?"),
    ("quality.yaml", "sum(products.price * products", "sum(product.price * products", "consistency.within[0].holds: "),
    ("quality.yaml", "kafka: cdp.alerts}\nkeep", "kafka: cdp.alert}\nkeep", "delivery.kafka: there is no topic `cdp.alert`; did you mean `cdp.alerts`?"),
    ("quality.yaml", "goals: {accuracy: 95", "goals: {acuracy: 95", "goals.acuracy: the text `acuracy` is not one of the values there are; did you mean `accuracy`?"),
    ("mappings/tickets.yaml", "lookup('priorities', Priority)", "lookup('prioritys', Priority)", "events[0].properties.priority: "),
    ("jobs.yaml", "entry: jobs/history.py", "entry: jobs/histroy.py", "history.entry: there is no file `jobs/histroy.py`; did you mean `jobs/history.py`?"),
    ("jobs.yaml", "needs: [kafka, clickhouse], group", "needs: [kafka, clickhose], group", "history.needs[1]: there is no service `clickhose`; did you mean `clickhouse`?"),
    ("jobs.yaml", "port: collector", "port: colector", "collector.port: stack.yaml has no port `colector`; did you mean `collector`?"),
    ("jobs.yaml", "parallelism: 1", "parallelism: 2", "profiles.parallelism: needs 6 slots, there are 3 (stack.yaml: flink.task_managers, one slot each)"),
    ("stack.yaml", "redis: 16379", "redis: 19092", "ports.redis: port 19092 is taken by `kafka`"),
    ("stack.yaml", "task_managers: 3", "task_managers: three", "flink.task_managers: a whole number is expected, not the text `three`"),
    ("stack.yaml", "appendfsync: everysec", "appendfsink: everysec", "redis.appendfsink: unknown key `appendfsink`; did you mean `appendfsync`?"),
    ("events/commerce.yaml", "type: integer, min: 0", "type: integr, min: 0", "events.Products Searched.fields.results.type: the text `integr` is not one of the values there are; did you mean `integer`? allowed: `boolean`, `choice`, `country`"),
    ("events/commerce.yaml", "with: [product]}", "with: [prodct]}", "events.Product Viewed.with[0]: unknown part `prodct`; did you mean `product`?"),
    ("events/commerce.yaml", "  Cart Viewed:", "  Product Viewed:", "the key `Product Viewed` is there twice (first in line"),
    ("events/engagement.yaml", "owner:", "ownr:", "ownr: unknown key `ownr`; did you mean `owner`?"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "said"), MISTAKES, ids=[f"{file}-{new}" for file, _, new, _ in MISTAKES])
def test_a_mistake_is_told_with_its_place_and_what_was_meant(written: Written, file: str, old: str, new: str, said: str) -> None:
    written.change(file, old, new)
    found = [problem for problem in written.problems() if said in str(problem)]
    assert found, "\n".join(map(str, written.problems()))
    assert found[0].file == str(written.path(file))
    assert found[0].line > 0
    assert found[0].column > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- name: loyal\n\twhen: \"true\"\n", "2:1: not YAML: found character '\\t' that cannot start any token; indent with spaces"),
        ("- name: loyal\n  when: \"true\n", "not YAML: found unexpected end of stream"),
        ("- {name: loyal, when: \"true\"\n", "not YAML: expected ',' or '}'"),
        ("name: loyal\nwhen: \"true\"\n", "1:1: a list is expected, not a map"),
        ("- loyal\n", "1:3: [0]: a map of fields is expected, not the text `loyal`"),
        ("- {name: loyal, name: big, when: \"true\"}\n", "1:17: [0].name: the key `name` is there twice (first in line 1)"),
        ("- name: loyal\n", "1:3: [0]: `when` is missing; add `when: ...`, text"),
        ("- {name: 1, when: \"true\"}\n", "1:10: [0].name: text is expected, not the number 1; put quotes around it"),
        ("- {name: loyal, when: !!python/object:os.system x}\n", "could not determine a constructor for the tag"),
        ("a: &a [*a]\n", "nested too deeply, or an alias that contains itself"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_such_file_says_what_it_is(written: Written, text: str, said: str) -> None:
    written.path("tags.yaml").write_text(text)
    assert said in "\n".join(str(problem) for problem in written.problems() if problem.file.endswith("tags.yaml"))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00a", b"- name: \x00\n"])
def test_bytes_that_are_no_text_are_a_mistake_of_that_file_alone(written: Written, content: bytes) -> None:
    written.path("tags.yaml").write_bytes(content)
    assert {Path(problem.file).name for problem in written.problems()} == {"tags.yaml"}


def test_files_that_are_missing_are_named_all_of_them(written: Written) -> None:
    files = sorted(written.config.glob("*.yaml"))
    for file in files:
        file.unlink()
    said = "\n".join(map(str, written.problems()))
    for file in files:
        assert f"{file}: cannot be read (No such file or directory)" in said


def test_all_mistakes_are_told_at_once_in_the_order_of_files_and_lines(written: Written) -> None:
    written.change("features.yaml", "[1h, 1d, 7d, 30d, 90d, 365d, lifetime]", "[1h, 14d, 7d, 30d, 90dd, 365d, lifetime]")
    written.change("tags.yaml", "m_score >= 4 and recency_days > 90", "m_scor >= 4 and recency_dayz > 90")
    written.change("segments.yaml", "r_score == 3", "r_scroe == 3")
    written.change("events/commerce.yaml", "type: integer, min: 0", "type: integr, min: 0")
    written.change("mappings/tickets.yaml", "lower(Category)", "lowr(Category)")
    written.change("mappings/tickets.yaml", "csat: parse_number(", "csat: parse_numbr(")
    found = written.problems()
    assert found == sorted(found)
    said = "\n".join(map(str, found))
    for part in ("`14d`", "`90dd`", "`m_scor`", "`recency_dayz`", "`r_scroe`", "`integr`"):
        assert part in said
    assert "Product Viewed" not in said, "an event whose file cannot be read is not reported as unknown everywhere"


def test_every_event_and_skip_rule_of_a_mapping_is_looked_at(written: Written) -> None:
    written.change("mappings/tickets.yaml", "Status == 'spam'", "Status = 'spam'")
    written.change("mappings/tickets.yaml", "lower(Category)", "lowr(Category)")
    written.change("mappings/tickets.yaml", "csat: parse_number(", "csat: parse_numbr(")
    lines = [problem.line for problem in written.problems()]
    text = written.path("mappings/tickets.yaml").read_text().splitlines()
    assert lines == [next(n for n, line in enumerate(text, 1) if part in line) for part in ("Status = ", "lowr(", "parse_numbr(")]


def test_a_rule_that_reads_a_feature_with_a_mistake_is_not_wrong_for_that(written: Written) -> None:
    written.change("features.yaml", "{name: orders, series: orders", "{name: orders, series: oders")
    assert {Path(problem.file).name for problem in written.problems()} == {"features.yaml"}


def test_a_stack_with_a_mistake_is_not_started_and_says_all_of_them(written: Written, tmp_path: Path) -> None:
    written.change("tags.yaml", "recency_days > 90", "recency_dayz > 90")
    written.change("features.yaml", "[1h, 1d, 7d,", "[1h, 14d, 7d,")
    home = tmp_path / "home"
    for command in (("up",), ("job", "start", "profiles"), ("job", "stop", "profiles")):
        said = run(*command, CDP_CONFIG_DIR=str(written.config), CDP_HOME=str(home))
        assert said.returncode == 1
        assert said.stderr.startswith("error: 2 mistakes in the definitions, ")
        assert "unknown window `14d`" in said.stderr
        assert "unknown field `recency_dayz`" in said.stderr
    assert not home.exists()


def test_the_command_prints_mistakes_one_a_line_or_as_json(written: Written) -> None:
    where = {"CDP_CONFIG_DIR": str(written.config), "CDP_EVENTS_DIR": str(written.events)}
    right = run("check", **where)
    assert (right.returncode, right.stdout) == (0, f"all definitions can be used ({written.config}, {written.events})\n")
    written.path("stack.yaml").write_text("")  # the file that every other command needs
    written.change("tags.yaml", "recency_days > 90", "recency_dayz > 90")
    wrong = run("check", **where)
    assert wrong.returncode == 1
    assert [line.partition(": ")[0].rpartition("/")[2] for line in wrong.stdout.splitlines()[:-1]] == ["stack.yaml:1:1", "tags.yaml:7:27"]
    assert wrong.stdout.splitlines()[-1] == "2 mistakes in 2 files; nothing was changed"
    told = json.loads(run("check", "--json", **where).stdout)
    assert told[1] == {
        "file": str(written.path("tags.yaml")),
        "line": 7,
        "column": 27,
        "where": "[1].when",
        "what": "unknown field `recency_dayz`",
        "remedy": "did you mean `recency_days`?",
    }


def test_what_is_checked_is_what_the_jobs_build(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the checks have not foreseen is still found: the jobs' own constructors are run."""

    def refuse(*_: object) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr("definitions.check.Checks", refuse)
    assert [problem.what for problem in written.problems()] == ["no such thing"]


def test_a_refusal_says_what_goes_on(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    written.change("tags.yaml", "recency_days > 90", "recency_dayz > 90")
    monkeypatch.setenv("CDP_CONFIG_DIR", str(written.config))
    with pytest.raises(StackError, match="1 mistake in the definitions, nothing was started:") as caught:
        preflight.require("nothing was started")
    assert caught.value.remedy == "mend the files (`cdp check` looks again); what runs goes on by the definitions it was started with"


@pytest.mark.parametrize("spoil", [lambda text: "", lambda text: f"surprise: 1\n{text}", lambda text: "[" + text])
@pytest.mark.parametrize("folder", ["", "mappings"])
def test_no_file_can_be_spoilt_unnoticed(written: Written, folder: str, spoil: Callable[[str], str]) -> None:
    files = [path for path in written.config.rglob("*.yaml") if (path.parent.name in ("mappings", "cdc", "webhooks")) == bool(folder)]
    for path in files:
        path.write_text(spoil(path.read_text()))
    found = {problem.file for problem in written.problems()}
    assert found >= {str(path) for path in files}
