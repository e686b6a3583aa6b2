"""What the language means: every long form, every condition, identity, and what no value does."""

# ruff: noqa: E501, ISC004 (specs and rows that stand in one line are easier to compare)

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncengine.changes import BadRow, Find, Record, StepRef
from syncengine.mapping import values as conversions
from tests.spec.helpers import HEAD, fields, mapped, spec, values


@pytest.mark.parametrize(
    ("line", "cell", "expected"),
    [
        ("f: a", "x", "x"),
        ("f: a", "  x  ", "x"),
        ("f: a", "", None),
        ("f: a", "NULL", None),
        ("f: a", "n/a", None),
        ("f: 0064", "x", "0064"),
        ("f: 9.10", "x", "9.10"),
        ("f: 1E5", "x", "1E5"),
        ("f: 1_000", "x", "1_000"),
        ("f: 0x1F", "x", "0x1F"),
        ("f: +49", "x", "+49"),
        ("f: true", "x", "true"),
        ('f: "1"', "x", "1"),
        ("f: {const: NO}", "x", "NO"),
        ("f: {const: 12:30}", "x", "12:30"),
        ("f: {const: 2024-02-30}", "x", "2024-02-30"),
        ("f: {const: 1.10}", "x", "1.10"),
        ("f: {const: =}", "x", "="),
        ("f: {const: yes}", "x", "yes"),
        ("f: {const: 0o17}", "x", "0o17"),
        ("f: {const: 190:20:30}", "x", "190:20:30"),
        ("f: {clear: true}", "x", ""),
        ("f: {from: a, default: z}", "", "z"),
        ("f: {from: a, default: z}", "x", "x"),
        ("f: {from: a, if_empty: clear}", "", ""),
        ("f: {from: a, map: {live: 1}}", " LIVE ", "1"),
        ("f: {from: a, map: {live: 1}, unmapped: keep}", "dead", "dead"),
        ("f: {from: a, map: {live: 1}, unmapped: empty, default: 9}", "dead", "9"),
        ("f: {from: a, max_length: 3, too_long: cut}", "abcdef", "abc"),
        ("f: {from: a, split: ;, join: ', '}", "p; q ;r", "p, q, r"),
        ("f: {from: a, split: ;, map: {p: 1, q: 2}, join: +}", "P;q", "1+2"),
        ("f: {first: [z, a, {const: c}]}", "x", "x"),
        ("f: {first: [z, a, {const: c}]}", "", "c"),
        ("f: {cases: [{when: {a: x}, use: {const: one}}, {otherwise: a}]}", "X", "one"),
        ("f: {cases: [{when: {a: x}, use: {const: one}}, {otherwise: a}]}", "y", "y"),
        ("f: {from: a, type: integer}", "0064", "64"),
        ("f: {from: a, type: integer}", "-007", "-7"),
        ("f: {from: a, type: decimal}", "1.50", "1.50"),
        ("f: {from: a, type: boolean}", "Yes", "true"),
        ("f: {from: a, type: boolean}", "0", "false"),
        ("f: {from: a, type: date}", "2024-02-03", "2024-02-03"),
        ("f: {from: a, type: date, format: '%d.%m.%Y'}", "03.02.2024", "2024-02-03"),
        ("f: {from: a, type: datetime}", "2024-02-03T14:30:00+01:00", "2024-02-03 13:30:00"),
        ("f: {from: a, type: datetime}", "2024-02-03T14:30:00Z", "2024-02-03 14:30:00"),
        ("f: {from: a, type: datetime, timezone: Europe/Paris}", "2024-07-03T14:30", "2024-07-03 12:30:00"),
        ('f: "{{ a | upper }}"', "x", "X"),
        ('f: {from: "{{ a }}0", type: integer}', "4", "40"),
        ('f: "{{ vars.zone }}-{{ run.date }}"', "x", "z1-2026-11-20"),
    ],
)
@pytest.mark.covers("SPEC-18", "SPEC-19", "SPEC-20", "SPEC-21", "SPEC-22", "SPEC-25", "SRC-19")
def test_a_value(tmp_path: Path, line: str, cell: str, expected: str | None) -> None:
    """Text stays text, digit for digit, unless the spec asks for something else."""
    found = fields(tmp_path, f'k,a,z\n1,"{cell}",\n', "n: k", line, head=HEAD + "vars: {zone: z1}\n")
    assert found == [{"n": "1"} if expected is None else {"n": "1", "f": expected}]


@pytest.mark.parametrize(
    ("line", "cell", "code", "level"),
    [
        ("f: {from: a, map: {live: 1}}", "dead", "unmapped-value", "fail"),
        ("f: {from: a, if_empty: error}", "", "empty-value", "fail"),
        ("f: {from: a, if_empty: skip_row}", "", "empty-value", "skip"),
        ("f: {from: a, max_length: 3}", "abcd", "too-long", "fail"),
        ("f: {from: a, type: integer}", "1.5", "not-an-integer", "fail"),
        ("f: {from: a, type: integer}", "1_000", "not-an-integer", "fail"),
        ("f: {from: a, type: integer}", "٣", "not-an-integer", "fail"),
        ("f: {from: a, type: decimal}", "1,5", "not-a-decimal", "fail"),
        ("f: {from: a, type: decimal}", "nan", "not-a-decimal", "fail"),
        ("f: {from: a, type: boolean}", "aktiv", "not-a-boolean", "fail"),
        ("f: {from: a, type: date}", "03/02/2024", "ambiguous-date", "fail"),
        ("f: {from: a, type: date}", "31.12.2019", "not-a-date", "fail"),
        ("f: {from: a, type: date}", "2024-02-30", "not-a-date", "fail"),
        ("f: {from: a, type: datetime}", "03/02/2024 14:30", "ambiguous-datetime", "fail"),
        ("f: {from: a, type: datetime}", "2024-02-03T14:30", "no-timezone", "fail"),
        ("f: {from: a, type: datetime, timezone: Europe/Paris}", "2024-03-31T02:30", "no-such-time", "fail"),
        ("f: {from: a, type: datetime}", "0001-01-01T00:00:00+14:00", "not-a-datetime", "fail"),
        ("f: {from: a, type: datetime}", "25:61:61", "not-a-datetime", "fail"),
        ("k: {from: a, split: ;}", "p;q", "nested-value", "fail"),
        ("k: \"{{ a | replace('x', 'NULL') }}\"", "x", "reserved-word", "fail"),
    ],
)
@pytest.mark.covers("SRC-32", "SRC-33")
def test_a_value_that_cannot_be_made_ends_its_row(tmp_path: Path, line: str, cell: str, code: str, level: str) -> None:
    """With a reason, at the line of the spec; the row before is made."""
    found = fields(tmp_path, f'k,a\n0,\n1,"{cell}"\n', "n: k", line)
    assert {"bad": code, "level": level} in found


def test_an_ambiguous_date_shows_both_readings(tmp_path: Path) -> None:
    """And the line to write."""
    text = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: k\n    fields:\n      f: {{from: a, type: datetime}}\n"
    found, _ = mapped(spec(tmp_path, text, rows_csv="k,a\n1,03/02/2024 14:30\n"))
    assert isinstance(found[0], BadRow)
    problem = found[0].problem
    assert "3 February 2024 or 2 March 2024" in problem.message
    assert 'format: "%d/%m/%Y %H:%M", timezone: Europe/Paris' in problem.fix
    assert str(problem.place) == "s.yaml:9:10"
    assert str(found[0].place) == "rows.csv row 1, line 2"


def test_unmapped_values_are_told_together_with_their_counts(tmp_path: Path) -> None:
    """One problem for a map, whatever the number of rows."""
    text = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: k\n    fields:\n      f: {{from: a, map: {{live: 1}}}}\n"
    _, worker = mapped(spec(tmp_path, text, rows_csv="k,a\n1,dead\n2,live\n3,dead\n4,xx\n"))
    problem = worker.unmapped_problems()[0]
    assert problem.message == '2 values are not in the map of "f"'
    assert problem.found == "dead (2 rows),  xx (1; rows.csv row 4, line 5)"
    assert worker.counts.bad == 3


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("{a: X}", "12"),
        ("{a: [x, y]}", "123"),
        ("{a: {not: x}}", "345"),
        ("{a: {not: [x, y]}}", "45"),
        ("{a: {contains: Z}}", "4"),
        ("{a: {starts_with: y}}", "3"),
        ("{a: {matches: '[xy]'}}", "123"),
        ("{a: {empty: true}}", "5"),
        ("{a: {empty: false}}", "1234"),
        ("{k: {above: 3}}", "45"),
        ("{k: {below: 2.5}}", "12"),
        ("{a: x, k: {above: 1}}", "2"),
        ("\"{{ a != 'x' and k | int > 2 }}\"", "34"),
        ("\"{{ a == 'x' or k == '5' }}\"", "1" + "5"),
        ('"{% if a %}1{% endif %}"', "1234"),
    ],
)
def test_a_condition(tmp_path: Path, condition: str, kept: str) -> None:
    """Words ignore case in the map form; a template compares exactly."""
    rows = "k,a\n1,x\n2,X\n3,y\n4,zz\n5,\n"
    text = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: k\n    when: {condition}\n    fields: {{f: k}}\n"
    found, worker = mapped(spec(tmp_path, text, rows_csv=rows))
    assert "".join(one["f"] for one in values(found)) == kept
    assert worker.counts.filtered == 5 - len(kept)


def test_a_conditional_class_takes_the_first_that_fits(tmp_path: Path) -> None:
    """No match is a row error, never a silent drop."""
    rows = "k,os\n1,Windows 11\n2,Red Hat Linux\n3,AIX\n"
    for cmdb, last in (
        ("[{when: {os: {contains: windows}}, use: cmdb_ci_win_server}, {when: {os: {contains: linux}}, use: cmdb_ci_linux_server}]", None),
        ("[{when: {os: {contains: windows}}, use: cmdb_ci_win_server}, {when: \"{{ 'Linux' in os }}\", use: cmdb_ci_linux_server}, "
         "{otherwise: cmdb_ci_server}]", "cmdb_ci_server"),
        ("{from: os, map: {windows 11: cmdb_ci_win_server, red hat linux: cmdb_ci_linux_server}, default: cmdb_ci_server}", "cmdb_ci_server"),
        ("{from: os, map: {windows 11: cmdb_ci_win_server, red hat linux: cmdb_ci_linux_server}}", None),
    ):  # fmt: skip
        text = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: {cmdb}\n    key: k\n    fields: {{f: k}}\n"
        made = spec(tmp_path, text, rows_csv=rows)
        found, _ = mapped(made)
        classes = [one.class_name if isinstance(one, Record) else None for one in found]
        assert sorted(classes, key=str) == sorted(["cmdb_ci_win_server", "cmdb_ci_linux_server", last], key=str)
        assert set(made.steps["t"].classes) >= {"cmdb_ci_win_server", "cmdb_ci_linux_server"}
        if last is None:
            assert [one.problem.code for one in found if isinstance(one, BadRow)] == ["no-class"]


@pytest.mark.covers("SRC-29", "SRC-31")
def test_a_key_names_one_record(tmp_path: Path) -> None:
    """Equal rows collapse and are counted; rows that differ are an error that names the first one."""
    text = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: [k, s]\n    fields: {{f: a}}\n"
    rows = "k,s,a\n1,p,x\n1,q,x\n1,p,x\n1,p,y\n,p,x\n a ,b|c,x\n"
    found, worker = mapped(spec(tmp_path, text, rows_csv=rows))
    assert [one.key for one in found if isinstance(one, Record)] == ["1|p", "1|q"]
    bad = [one for one in found if isinstance(one, BadRow)]
    assert [one.problem.code for one in bad] == ["duplicate-key", "no-key", "bad-key"]
    assert "the first is row 1" in bad[0].problem.message
    assert worker.counts.collapsed == 1


def test_distinct_makes_one_record_of_each_value(tmp_path: Path) -> None:
    """Blank values are dropped; rows that disagree on a used column are an error."""
    text = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    distinct: site\n    key: site\n    fields: {{f: city}}\n"
    rows = "k,site,city\n1,P,Paris\n2,P,Paris\n3,,Rome\n4,L,Lyon\n5,L,Lille\n"
    found, worker = mapped(spec(tmp_path, text, rows_csv=rows))
    assert [one.key for one in found if isinstance(one, Record)] == ["P", "L"]
    assert [one.problem.code for one in found if isinstance(one, BadRow)] == ["duplicate-key"]
    assert (worker.counts.filtered, worker.counts.collapsed) == (1, 1)


def test_a_value_of_distinct_has_one_key(tmp_path: Path) -> None:
    """Two keys for it are a disagreement, too."""
    text = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    distinct: site\n    key: k\n    fields: {{f: site}}\n"
    found, _ = mapped(spec(tmp_path, text, rows_csv="k,site\n1,P\n2,P\n3,L\n"))
    assert [one.key for one in found if isinstance(one, Record)] == ["1", "3"]
    assert [one.problem.code for one in found if isinstance(one, BadRow)] == ["duplicate-key"]


def test_what_one_field_makes_of_a_column_is_not_what_another_reads(tmp_path: Path) -> None:
    lines = ("f: {from: a, default: z}", "g: a", "h: {from: a, map: {x: y}, unmapped: keep}", "i: a")
    assert fields(tmp_path, "k,a\n1,\n2,x\n", *lines) == [{"f": "z"}, {"f": "x", "g": "x", "h": "y", "i": "x"}]


def test_a_reserved_word_is_refused_where_the_source_takes_it_for_a_value(tmp_path: Path) -> None:
    """NULL is no value unless `no_value` says otherwise; then it would clear the field."""
    text = f"{HEAD}source: {{file: rows.csv, no_value: [-]}}\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: k\n    fields: {{f: a}}\n"
    found, _ = mapped(spec(tmp_path, text, rows_csv="k,a\n1,NULL\n2,-\n"))
    assert values(found) == [{"bad": "reserved-word", "level": "fail"}, {}]


def test_what_was_converted_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of a million different texts must not stay in memory."""
    monkeypatch.setattr(conversions, "CACHE", 2)
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return text

    convert = conversions.remembered(ask)
    for text in ("a", "b", "a", "c", "a"):
        assert convert(text) == text
    assert asked == ["a", "b", "c", "a"]


def test_rules_of_columns(tmp_path: Path) -> None:
    """`bad_rows` says what a broken rule does."""
    rules = ("columns:\n    k: {required: true, unique: true, matches: '[a-z][0-9]+', max_length: 3}\n"
             "    a: {one_of: [x, y]}\n  checks:\n    - {that: \"{{ k != 'b7' }}\", say: not b7, level: warn}\n")  # fmt: skip
    rows = "k,a\na1,x\na1,y\n,x\nA2,x\na123,x\nb7,y\nb8,z\n"
    for level in ("fail", "skip", "warn"):
        text = (f"{HEAD}source:\n  file: rows.csv\n  bad_rows: {level}\n  {rules}"
                "steps:\n  t:\n    cmdb: cmdb_ci\n    key: '{{ k | default(a) }}{{ a }}'\n    fields: {f: k}\n")  # fmt: skip
        found, worker = mapped(spec(tmp_path, text, rows_csv=rows))
        bad = [(one.problem.code, one.level) for one in found if isinstance(one, BadRow)]
        assert bad == [
            ("not-unique", level),
            ("required", level),
            ("no-match", level),
            ("too-long", level),
            ("check", "warn"),
            ("not-one-of", level),
        ]
        records = [one for one in found if isinstance(one, Record)]
        assert len(records) == (7 if level == "warn" else 2)
        assert worker.counts.bad == (0 if level == "warn" else 5)


NESTED = """{"hosts": [
 {"serial": "A", "name": "h1", "disks": [{"d": "sda", "parts": [{"p": 1}, {"p": 2}]}, {"d": "sdb", "parts": []}], "tags": ["x", "y"]},
 {"serial": "B", "name": "h2", "disks": null, "tags": []}]}"""


def test_each_makes_a_record_of_each_element(tmp_path: Path) -> None:
    """Inside, names are the element's; parent and position are around it."""
    text = f"""{HEAD}source: {{file: rows.json, rows: hosts}}
steps:
  disks:
    cmdb: cmdb_ci_disk
    each: disks
    key: [parent.serial, d]
    fields: {{name: d, short_description: "{{{{ position }}}} of {{{{ parent.name }}}}", n: position}}
    related: [{{class: cmdb_part, each: parts, fields: {{name: p, disk: parent.d, host: parent.parent.serial}}}}]
    relations: [{{type: "Contains::Contained by", parent: {{step: hosts, key: parent.serial}}}}]
  tags:
    cmdb: cmdb_key_value
    each: tags
    key: [parent.serial, item]
    fields: {{value: item}}
  hosts: {{cmdb: cmdb_ci_server, key: serial, fields: {{name: name}}}}
"""
    made = spec(tmp_path, text, rows_json=NESTED)
    found, _ = mapped(made, "disks")
    first, second = found
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.key == "A|sda"
    assert first.values == {"name": "sda", "short_description": "1 of h1", "n": "1"}
    assert [part.values for part in first.related] == [
        {"name": "1", "disk": "sda", "host": "A"},
        {"name": "2", "disk": "sda", "host": "A"},
    ]
    assert second.related == ()
    assert first.links[0].other == StepRef("s.hosts", "A")
    assert [one.key for one in mapped(made, "tags")[0] if isinstance(one, Record)] == ["A|x", "A|y"]


def test_a_lookup_reads_another_source(tmp_path: Path) -> None:
    """A VLOOKUP: exact, with a rule for none and for several."""
    owners = "team,email\nit,a@x\nit,b@x\nhr,c@x\nhr,c@x\n"
    rows = "k,team\n1,hr\n2,it\n3,none\n"

    def look(extra: str) -> list[dict[str, str]]:
        text = (f"{HEAD}sources: {{rows: rows.csv, owners: owners.csv}}\nsteps:\n  t:\n    source: rows\n    cmdb: cmdb_ci\n    key: k\n"
                f"    fields: {{n: k, f: {{lookup_in: owners, where: {{team: team}}, take: email{extra}}}}}\n")  # fmt: skip
        return values(mapped(spec(tmp_path, text, rows_csv=rows, owners_csv=owners))[0])

    many = {"bad": "many-rows", "level": "fail"}
    none = {"bad": "missing-row", "level": "fail"}
    assert look("") == [many, {"n": "1", "f": "c@x"}, {"n": "3"}] or look("") == [
        {"n": "1", "f": "c@x"},
        many,
        {"n": "3"},
    ]
    assert look(", many: first") == [{"n": "1", "f": "c@x"}, {"n": "2", "f": "a@x"}, {"n": "3"}]
    assert look(", many: list, join: +")[1] == {"n": "2", "f": "a@x+b@x"}
    assert none in look(", if_missing: error")


def test_a_list_is_looked_up_element_by_element(tmp_path: Path) -> None:
    """A list of a document, or what `split` makes; in its order, each value once. `if_missing` is about each element."""
    people = "id,mail,team\n1,a@x,it\n2,b@x,it\n3,c@x,hr\n"
    rows = '[{"k": "1", "who": ["2", 1, "2"], "cell": "3; 1"}, {"k": "2", "who": ["3", "9"]}, {"k": "3", "who": []}]'

    def look(where: str, extra: str = "") -> list[dict[str, str]]:
        text = (f"{HEAD}sources: {{rows: rows.json, people: people.csv}}\nsteps:\n  t:\n    source: rows\n    cmdb: cmdb_ci\n    key: k\n"
                f"    fields: {{n: k, f: {{lookup_in: people, where: {{{where}}}, take: mail, many: list, join: +{extra}}}}}\n")  # fmt: skip
        return values(mapped(spec(tmp_path, text, rows_json=rows, people_csv=people))[0])

    assert look("id: who") == [{"n": "1", "f": "b@x+a@x"}, {"n": "2", "f": "c@x"}, {"n": "3"}]
    assert look('id: {from: cell, split: ";"}')[0] == {"n": "1", "f": "c@x+a@x"}
    assert look("id: who, team: {const: it}")[1] == {"n": "2"}
    assert {"bad": "missing-row", "level": "fail"} in look("id: who", ", if_missing: error")
    assert {"bad": "missing-row", "level": "skip"} in look("id: who", ", if_missing: skip_row")


def test_references_name_records(tmp_path: Path) -> None:
    """Of a step, or on the instance; a reference without value is left out, or is an error where the field says so."""
    rows = "k,site,host\n1,Paris,2\n2,,\n"
    text = (f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: k\n    fields:\n      n: k\n"
            "      location: {find_in: cmn_location, where: {name: site, u_key: k}, if_missing: omit}\n"
            "      host: {step: t, key: host}\n")  # fmt: skip
    found, _ = mapped(spec(tmp_path, text, rows_csv=rows))
    first, second = found
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.refs == (
        ("location", Find("cmn_location", (("name", "Paris"), ("u_key", "1")), "sys_id", "omit")),
        ("host", StepRef("s.t", "2")),
    )
    assert second.refs == ()
    assert first.values == {"n": "1"}


def test_a_formatter_changes_nothing(tmp_path: Path) -> None:
    """Other quotes and another order of keys are the same spec."""
    one = f"{HEAD}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: k\n    when: {{a: {{not: y}}}}\n    fields: {{n: k, f: '{{{{ a | upper }}}}', g: {{from: a, map: {{x: 1}}, default: 2}}}}\n"
    two = 'source: "rows.csv"\nsteps:\n  "t":\n    fields:\n      n: "k"\n      f: "{{ a | upper }}"\n      g: {default: "2", map: {"x": "1"}, from: "a"}\n    when:\n      a: {not: "y"}\n    key: "k"\n    cmdb: "cmdb_ci"\ndata_source: "Tests"\nsyncengine: 1\n'
    rows = "k,a\n1,x\n2,\n3,y\n"
    first: Any = mapped(spec(tmp_path, one, rows_csv=rows))[0]
    second: Any = mapped(spec(tmp_path, two, rows_csv=rows))[0]
    assert first == second
    assert len(first) == 2


@pytest.mark.parametrize(
    ("value", "form"),
    [("31.12.2019", "%d.%m.%Y"), ("12/31/2019", "%m/%d/%Y"), ("3-2-2021 14:05:09", "%d-%m-%Y %H:%M:%S")],
)
def test_a_date_of_another_notation_is_told_with_the_format_that_reads_it(
    tmp_path: Path, value: str, form: str
) -> None:
    """One reading is not called ambiguous; what the fix says does read the value."""
    text = f"{HEAD}source: r.csv\nsteps: {{t: {{cmdb: cmdb_ci, key: k, fields: {{f: {{from: a, type: date}}}}}}}}\n"
    made = spec(tmp_path, text, r_csv=f"k,a\n1,{value}\n")
    (bad,) = mapped(made)[0]
    assert isinstance(bad, BadRow)
    assert f'format: "{form}"' in bad.problem.fix
    assert ("could be" in bad.problem.message) == (value == "3-2-2021 14:05:09")
    (record,) = mapped(spec(tmp_path, text.replace("type: date", f'type: date, format: "{form}"')))[0]
    assert isinstance(record, Record)
