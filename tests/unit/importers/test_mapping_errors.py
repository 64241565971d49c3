"""What is wrong with a mapping is told when it is loaded: which file, line and field, and what to do."""

import textwrap
from pathlib import Path

import pytest

from importers.mapping import MappingError, compile_mapping, load

GOOD = """\
events:
  - track: Ticket Opened
    identifiers: {user_id: customer}
    properties: {ticket_id: ticket}
"""


def refused(text: str, folder: Path = Path()) -> str:
    with pytest.raises(MappingError) as caught:
        compile_mapping(textwrap.dedent(text), "m.yaml", folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("events:", "evnts:"), "m.yaml: line 2: evnts: unknown key `evnts`; did you mean `events`?"),
        (("track", "trak"), "line 2: events[0].trak: unknown key `trak`; did you mean `track`?"),
        (("user_id", "userid"), "`userid` is no namespace of config/identity.yaml; did you mean `user_id`?"),
        (("ticket_id: ticket", "ticket: ticket"), "`Ticket Opened` needs `properties.ticket_id`"),
        (("ticket_id: ticket", "ticket_id: ticket, ticket_id: t"), "line 4: events[0].properties.ticket_id: is there twice (see line 4)"),
        (("ticket_id: ticket", "ticket_id: tex(ticket)"), "there is no function `tex`; did you mean `text`?"),
        (("ticket_id: ticket", "ticket_id: text()"), "text() takes 1 argument, not 0"),
        (("ticket_id: ticket", "ticket_id: \"join(',')\""), "join() takes 2 arguments, not 1"),
        (("ticket_id: ticket", "ticket_id: 'ticket['"), "events[0].properties.ticket_id: `ticket["),
        (("ticket_id: ticket", "ticket_id: Ticket No"), "`Ticket No` is no expression: `No` at character 8"),
        (("ticket_id: ticket", "ticket_id: '!a.b'"), "`!a.b` means `(!a).b` in JMESPath; write `!(a.b)`"),
        (("ticket_id: ticket", "ticket_id: 'x || !a[0].b'"), "write `!(a.b)`"),
        (("ticket_id: ticket", "ticket_id: ''"), "text is expected, not empty text"),
        (("ticket_id: ticket", "ticket_id: {$contant: 5}"), "there is no `$contant`; did you mean `$constant`?"),
        (("ticket_id: ticket", "ticket_id: {$constant: 5, $cases: []}"), "do not go together"),
        (("ticket_id: ticket", "ticket_id: {$constant: 5, other: 6}"), "unknown key `other`"),
        (("ticket_id: ticket", "ticket_id: {$cases: []}"), "at least one case"),
        (("ticket_id: ticket", "ticket_id: {$cases: [{else: a}, {when: b, then: c}]}"), "`else` stands alone, as the last case"),
        (("ticket_id: ticket", "ticket_id: {$cases: [{when: b}]}"), "`then` is missing"),
        (("ticket_id: ticket", "ticket_id: {$each: a}"), "`$item` is missing"),
        (("ticket_id: ticket", "ticket_id: \"parse_time(t, '%d/%m/%Y')\""), "says nothing of a time zone"),
        (("ticket_id: ticket", "ticket_id: \"parse_time(t, 'iso', 'Europe/Londn')\""), "there is no time zone `Europe/Londn`"),
        (("ticket_id: ticket", "ticket_id: \"parse_number(t, ';')\""), "the decimal mark is"),
        (("ticket_id: ticket", "ticket_id: \"lookup('countries', c)\""), "there is no table `countries`; add it under `tables`"),
        (("ticket_id: ticket", "ticket_id: 'lookup(countries, c)'"), "name of a table in quotes"),
        (("ticket_id: ticket", "ticket_id: lookup(countries, c)"), "inside { } an expression with a comma needs quotes"),
        (("    identifiers: {user_id: customer}\n", ""), "`identifiers` is missing: whom is the event about?"),
        (("track: Ticket Opened", "call: idntify"), "there is no call `idntify`; did you mean `identify`?"),
        (("track: Ticket Opened", "call: track"), "write `track: NAME OF THE EVENT`"),
        (("track: Ticket Opened", "when: a"), "say which event it is"),
        (("track: Ticket Opened", "{track: Ticket Opened, call: page}"), "not YAML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_its_remedy(change: tuple[str, str], said: str) -> None:
    text = "says: x\n" + GOOD if change[0] == "events:" else GOOD
    assert change[0] in text
    assert said in refused(text.replace(*change))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("skip: [{when: a}]", "line 1: skip[0]: `reason` is missing"),
        ("skip: {when: a}", "a list is expected, not a map"),
        ("input: {delimitr: x}", "did you mean `delimiter`?"),
        ("input: {delimiter: ab}", "input.delimiter: one character"),
        ("input: {encoding: utf8x}", "there is no encoding `utf8x`"),
        ("input: {header: false}", "without a header the columns need names"),
        ("input: {header: [a, a]}", "a name is there twice"),
        ("input: {skip_lines: many}", "input.skip_lines: Expected `int`"),
        ("input: {format: xml}", "input.format: Invalid enum value"),
        ("group_by: no", "the record of a group is {key, rows}: write `rows[0].customer` or the like instead of `customer`"),
        ("groups: scattered", "`groups` goes with `group_by`"),
        ("{group_by: a, groups: any}", "not YAML"),
        ("columns: {a: txt}", "a type is one of text"),
        ("tables: {t: {file: none.csv, key: a, value: b}}", "none.csv: cannot be read (No such file or directory)"),
        ("tables: {t: {file: x.csv, key: a}}", "`value` is missing"),
        ("tables: {t: {values: {a: [1]}}}", "a value of a table is text"),
        ("tables: {t: {}}", "give either `values` or `file`"),
        ("says: [1, 2", "line 2: not YAML"),
        ("? [a, b]\n: c", "a key must be a word"),
    ],
)
def test_mistakes_outside_the_events(more: str, said: str) -> None:
    assert said in refused(f"{more}\n{GOOD}")


def test_a_table_in_a_file_is_checked(tmp_path: Path) -> None:
    (tmp_path / "countries.csv").write_text("code,name\nGB,Britain\nGB,Again\n")
    assert "the key `GB` is there twice" in refused("tables: {t: {file: countries.csv, key: code, value: name}}\n" + GOOD, tmp_path)
    assert "has no column `cod`; did you mean `code`?" in refused(
        "tables: {t: {file: countries.csv, key: cod, value: name}}\n" + GOOD, tmp_path
    )
    (tmp_path / "countries.csv").write_bytes(b"code,name\nGB,\xff\n")
    assert "is not CSV in UTF-8" in refused("tables: {t: {file: countries.csv, key: code, value: name}}\n" + GOOD, tmp_path)


def test_a_file_that_is_not_there_or_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    assert refused("") == "m.yaml: is empty"
    assert "`events` is missing" in refused("says: nothing")
    assert "at least one event" in refused("events: []")


def test_an_alias_that_contains_itself_is_refused() -> None:
    assert "contains itself" in refused("events: &a [*a]\n")


def test_a_word_of_yaml_1_1_is_a_field_and_not_a_truth_value() -> None:
    rules = compile_mapping(GOOD.replace("ticket_id: ticket", "ticket_id: no, channel: on"), "m.yaml")
    outcome = rules.apply({"customer": "c", "no": "T-1", "on": "phone"})
    assert outcome.events[0].envelope["properties"] == {"ticket_id": "T-1", "channel": "phone"}


def test_what_may_be_a_mistake_is_noted() -> None:
    rules = compile_mapping(GOOD.replace("ticket_id: ticket", "ticket_id: ticket, prority: p"), "m.yaml")
    assert len(rules.notes) == 1
    assert rules.notes[0].startswith(
        "m.yaml: line 4: events[0].properties.prority: `Ticket Opened` knows no `prority`; did you mean `priority`?"
    )
    near = compile_mapping(GOOD.replace("Ticket Opened", "Ticket Opend"), "m.yaml").notes
    assert "has no contract" in near[0]
    assert "did you mean `Ticket Opened`?" in near[0]
