"""Files are read strictly, in bounded memory, and told apart from what they are not."""

# ruff: noqa: E501 (a damaged file and what is said of it stand in one line)

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.changes import BadRow, Row
from syncengine.errors import Place, SourceError
from syncengine.sources import kinds, open_source
from syncengine.sources.file import FileSource, Options
from syncengine.sources.inline import Options as InlineOptions
from syncengine.spec import Project, check_specs
from tests.budget import examples


def read(path: Path, name: str, data: bytes, **options: Any) -> list[Row | BadRow]:
    """All rows of a file."""
    (path / name).write_bytes(data)
    return list(open_source(Options(name, **options), path).rows())


def refused(path: Path, name: str, data: bytes, **options: Any) -> str:
    """The code and message of a file that cannot be read."""
    with pytest.raises(SourceError) as caught:
        read(path, name, data, **options)
    problem = caught.value.problems[0]
    assert len(problem.message) <= 160
    return f"{problem.place}: {problem.code}: {problem.message}: {problem.fix}"


def values(rows: list[Row | BadRow]) -> list[Any]:
    """Values of rows; the code of bad ones."""
    return [dict(one.values) if isinstance(one, Row) else one.problem.code for one in rows]


def test_the_folder_is_the_registry() -> None:
    """A kind is a module of the folder."""
    assert kinds() == ("file", "inline", "servicenow", "sql")


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        pytest.param(b"", {}, "empty-file: r.csv is empty, not even a header", marks=pytest.mark.covers("SRC-02")),
        pytest.param(b"a,,c\n1,2,3\n", {}, "no-column-name: Column 2", marks=pytest.mark.covers("SRC-05")),
        pytest.param(b"a, A\n1,2\n", {}, "duplicate-column: The columns 1 and 2", marks=pytest.mark.covers("SRC-05")),
        pytest.param("k,é\n".encode() + b"1,caf\xe9\n", {}, "row 1, line 2: encoding: Byte 0xE9 at position 6", marks=pytest.mark.covers("SRC-08")),
        pytest.param(b"a,b\n1,2\n3,\"4\n5,6\n", {}, "row 2, line 3: unclosed-quote: The quote opened at line 3 is never closed", marks=pytest.mark.covers("SRC-11")),
        pytest.param(b"a,b\n1,\"2\"x\n", {}, "row 1, line 2: quote: There is text after a closing quote", marks=pytest.mark.covers("SRC-12")),
        pytest.param(b"a,b\n1,2\x00\n", {}, "line 2: nul: There is a NUL byte", marks=pytest.mark.covers("SRC-15")),
        pytest.param(b"a;b\n1;2\n", {}, 'delimiter: Only one column found in r.csv; its header contains ";": delimiter: ";"', marks=pytest.mark.covers("SRC-17")),
        pytest.param(b"a\tb\n1\t2\n", {}, 'its header contains "\\t"', marks=pytest.mark.covers("SRC-17")),
        pytest.param(b"a,b\n1," + b"x" * (8 * 1024 * 1024 + 10) + b"\n", {}, "field-too-long: A field is longer than 8 MiB", marks=pytest.mark.covers("SRC-18")),
        pytest.param("a,b\n1,2\n".encode("utf-16-le"), {}, "encoding: r.csv looks like UTF-16LE: encoding: utf-16-le", marks=pytest.mark.covers("SRC-07")),
        pytest.param(b"\x1f\x8b\x08\x00rest", {}, "not-text: r.csv is a gzip file", marks=pytest.mark.covers("SRC-37")),
        pytest.param(b"PK\x03\x04rest", {}, "not-text: r.csv is an Excel or zip file", marks=pytest.mark.covers("SRC-37")),
        pytest.param(b"  <!DOCTYPE html><html>", {}, "not-text: r.csv is a web page", marks=pytest.mark.covers("SRC-37")),
    ],
)  # fmt: skip
def test_a_damaged_csv_is_refused_with_its_place(
    tmp_path: Path, data: bytes, options: dict[str, Any], said: str
) -> None:
    """Nothing is shifted, filled, guessed or swallowed."""
    assert said in refused(tmp_path, "r.csv", data, **options)


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        pytest.param(b"a,b\n", {}, [], marks=pytest.mark.covers("SRC-03")),
        pytest.param(b"\xef\xbb\xbfid,b\n1,2\n", {}, [{"id": "1", "b": "2"}], marks=pytest.mark.covers("SRC-06")),
        pytest.param("id,b\n1,é\n".encode("utf-16"), {}, [{"id": "1", "b": "é"}], marks=pytest.mark.covers("SRC-07")),
        pytest.param("id,b\n1,é\n".encode("cp1252"), {"encoding": "cp1252"}, [{"id": "1", "b": "é"}], marks=pytest.mark.covers("SRC-08")),
        pytest.param(b"a,b\n1,2\n1\n1,2,3\n3,4\n", {}, [{"a": "1", "b": "2"}, "ragged-row", "ragged-row", {"a": "3", "b": "4"}], marks=pytest.mark.covers("SRC-10")),
        pytest.param(b"a,b\r\n1,\"x\r\ny\"\r\n2,\"p\nq\"\r\n", {}, [{"a": "1", "b": "x\r\ny"}, {"a": "2", "b": "p\nq"}], marks=pytest.mark.covers("SRC-13")),
        pytest.param(b"a,b\r1,2\r3,4\r", {}, [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}], marks=pytest.mark.covers("SRC-14")),
        pytest.param("a\n\u200b\u2028\u202e\n".encode(), {}, [{"a": "\u200b\u2028\u202e"}], marks=pytest.mark.covers("SRC-16")),
        pytest.param("a\n0064\n1E5\n\u0663\n\"1,000.50\"\n".encode(), {}, [{"a": "0064"}, {"a": "1E5"}, {"a": "\u0663"}, {"a": "1,000.50"}], marks=pytest.mark.covers("SRC-19")),
        (b"a;b\n1;2\n", {"delimiter": ";"}, [{"a": "1", "b": "2"}]),
        (b"\n\na,b\n\n1,2\n\n", {}, [{"a": "1", "b": "2"}]),
        (b"a.b,c\n1,2", {}, [{"a.b": "1", "c": "2"}]),
    ],
)  # fmt: skip
def test_a_csv_is_read_as_it_stands(tmp_path: Path, data: bytes, options: dict[str, Any], expected: list[Any]) -> None:
    """Text for text."""
    assert values(read(tmp_path, "r.csv", data, **options)) == expected


@pytest.mark.covers("SRC-13")
def test_rows_and_lines_are_counted_apart(tmp_path: Path) -> None:
    """A quoted value may hold line ends; both numbers stay right afterwards."""
    rows = read(tmp_path, "r.csv", b'a,b\n1,"x\ny\nz"\n2,q\n')
    assert [one.place for one in rows] == [Place("r.csv", 1, 2), Place("r.csv", 2, 5)]


@pytest.mark.parametrize(
    ("data", "rows", "said"),
    [
        pytest.param(b'[{"a": 1}, {"a": 2}', None, "row 2, line 1: json: This is not JSON: the file ends in the middle", marks=pytest.mark.covers("SRC-25")),
        pytest.param(b'[{"a": 1},\n {"a": 2},]', None, "line 2: json: This is not JSON", marks=pytest.mark.covers("SRC-25")),
        pytest.param(b'[{"a": 1}] x', None, "json: This is not JSON: there is more after the end", marks=pytest.mark.covers("SRC-25")),
        pytest.param(b"[{'a': 1}]", None, "json: This is not JSON", marks=pytest.mark.covers("SRC-25")),
        pytest.param(b'[{"a": 1} // no\n]', None, "json: This is not JSON", marks=pytest.mark.covers("SRC-25")),
        pytest.param(b'{"hosts": []}', None, "not-a-list: The document is an object; rows must lead to a list: rows: hosts", marks=pytest.mark.covers("SRC-26")),
        pytest.param(b'{"hosts": []}', "host", 'no-such-list: There is no "host" in r.json; its keys are hosts: Did you mean hosts?', marks=pytest.mark.covers("SRC-26")),
        pytest.param(b'{"hosts": 3}', "hosts", 'not-a-list: At "hosts" there is no list', marks=pytest.mark.covers("SRC-26")),
        pytest.param(b'{"a": {"hosts": []}}', "a", 'not-a-list: At "a" there is an object; rows must lead to a list: rows: a.hosts', marks=pytest.mark.covers("SRC-26")),
        pytest.param(b'[{"a": NaN}]', None, "not-a-number: NaN is not a JSON number", marks=pytest.mark.covers("SRC-21")),
        pytest.param(b'[{"a": -Infinity}]', None, "not-a-number: -Infinity is not a JSON number", marks=pytest.mark.covers("SRC-21")),
        pytest.param(b'[{"a": "\\ud800"}]', None, "surrogate: A text contains half a character", marks=pytest.mark.covers("SRC-22")),
        pytest.param(b'[{"a": "\\u0000"}]', None, "nul: A text contains the character NUL", marks=pytest.mark.covers("SRC-15")),
        pytest.param(b'[{"a": 1, "a": 2}]', None, 'duplicate-key: The key "a" is twice in one object', marks=pytest.mark.covers("SRC-23")),
        pytest.param(b"[" * 100_000, None, "too-deep: The value is nested too deeply", marks=pytest.mark.covers("SRC-24")),
        pytest.param(b'[{"a": ' + b"9" * 5000 + b"}]", None, "number-too-long: A number has more than 4000 digits", marks=pytest.mark.covers("SRC-20")),
        pytest.param(b"", None, "empty-file: r.json is empty", marks=pytest.mark.covers("SRC-02")),
    ],
)  # fmt: skip
def test_a_damaged_document_is_refused_with_its_place(tmp_path: Path, data: bytes, rows: str | None, said: str) -> None:
    """In our words, with a line."""
    assert said in refused(tmp_path, "r.json", data, rows=rows)


NUMBERS = (
    b'{"a": 9.10, "b": 1E5, "c": 1.0, "d": 123456789012345678901234567890, "e": -0.0, "f": 0.1, "g": 1e999, "h": true}'
)
DIGITS = ["9.10", "1E5", "1.0", "123456789012345678901234567890", "-0.0", "0.1", "1e999", "True"]


@pytest.mark.parametrize(("name", "data"), [("r.json", b"[" + NUMBERS + b"]"), ("r.jsonl", NUMBERS + b"\n")])
@pytest.mark.covers("SRC-20")
def test_numbers_keep_their_digits(tmp_path: Path, name: str, data: bytes) -> None:
    """In documents and in lines alike; a boolean stays one."""
    (row,) = read(tmp_path, name, data)
    assert isinstance(row, Row)
    assert [str(one) for one in row.values.values()] == DIGITS


@pytest.mark.covers("SRC-26", "SRC-27")
def test_json_lines_are_rows_each_for_itself(tmp_path: Path) -> None:
    """A bad line is a bad row; blank lines are skipped, CRLF is a line end, a BOM stands only at the beginning."""
    data = b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": null}\n[1]\nnull\n{"a": 1, "a": 2}\n{"a": NaN}\n{"a": "\\udfff"}\n{"b": ""}\n\xef\xbb\xbf{"a": 1}\n{"a": 1'
    found = read(tmp_path, "r.jsonl", data)
    assert values(found) == [{"a": 1}, {"a": None}, "not-an-object", "not-an-object", "duplicate-key", "not-a-number", "surrogate", {"b": ""}, "json", "json"]  # fmt: skip
    assert [one.place.line for one in found] == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_a_list_deep_inside_a_document(tmp_path: Path) -> None:
    """What stands before and after it is skipped, but read: damage there is found, and hashed."""
    data = b'{"n": {"x": [1, {"y": 2}], "hosts": [{"a": "p"}, {"a": "q"}], "z": {}}, "end": [true]}'
    assert values(read(tmp_path, "r.json", data, rows="n.hosts")) == [{"a": "p"}, {"a": "q"}]
    assert "json" in refused(tmp_path, "r.json", data[:-3], rows="n.hosts")
    assert values(read(tmp_path, "r.json", b'{"n": {"hosts": []}}', rows="n.hosts")) == []


@pytest.mark.covers("SRC-01", "SRC-41", "SEC-20", "SEC-22", "SEC-23", "SPEC-44")
def test_only_regular_files_of_the_project_are_read(tmp_path: Path) -> None:
    """No directory, no FIFO, no way out by dots or links; a glob is sorted and finds something."""
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (root / "folder.csv").mkdir()
    os.mkfifo(root / "pipe.csv")
    (root / "out.csv").symlink_to(tmp_path / "secret.csv")
    (root / "gone.csv").symlink_to(root / "nowhere.csv")
    (root / "b1.csv").write_text("a\n1\n")
    (root / "b2.csv").write_text("a\n2\n")

    def code(name: str) -> str:
        with pytest.raises(SourceError) as caught:
            list(open_source(Options(name), root).rows())
        return caught.value.problems[0].code

    assert code("nothing.csv") == "file-not-found"
    assert code("folder.csv") == "unreadable-file"
    assert code("pipe.csv") == "unreadable-file"
    assert code("gone.csv") == "file-not-found"
    assert code("out.csv") == "outside-project"
    assert code("../secret.csv") == "outside-project"
    assert code(str(tmp_path / "secret.csv")) == "outside-project"
    assert code("~/x.csv") == "bad-path"
    assert code("a\0b.csv") == "bad-path"
    assert code("c*.csv") == "no-file"
    assert code("/dev/stdin") in {"outside-project", "unknown-format"}
    found = list(open_source(Options("b*.csv"), root).rows())
    assert [(one.place.file, one.place.row) for one in found] == [("b1.csv", 1), ("b2.csv", 2)]
    allowed = Options("../secret.csv", allowed=(tmp_path.resolve(),))
    assert len(list(open_source(allowed, root).rows())) == 1


@pytest.mark.covers("SRC-39")
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """It grows, or is written again."""
    path = tmp_path / "r.csv"
    path.write_text("a\n" + "".join(f"{n}\n" for n in range(100)))
    rows = open_source(Options("r.csv"), tmp_path).rows()
    next(rows)
    with path.open("a") as file:
        file.write("more\n")
    with pytest.raises(SourceError, match="was changed while it was read"):
        list(rows)


@pytest.mark.covers("SRC-38")
def test_a_digest_is_of_the_bytes(tmp_path: Path) -> None:
    """The same bytes at another time are the same; another byte is not."""
    path = tmp_path / "r.csv"
    path.write_text("a\n1\n")
    source = open_source(Options("r.csv"), tmp_path)
    before = source.digest()
    assert (before.size, before.rows) == (4, 1)
    os.utime(path, (1, 1))
    assert open_source(Options("r.csv"), tmp_path).digest() == before
    path.write_text("a\n2\n")
    assert open_source(Options("r.csv"), tmp_path).digest() != before


def test_an_old_file_is_refused(tmp_path: Path) -> None:
    """`max_age`"""
    path = tmp_path / "r.csv"
    path.write_text("a\n1\n")
    os.utime(path, (1_000_000, 1_000_000))
    source = FileSource(Options("r.csv", max_age=7200), tmp_path, clock=lambda: 1_000_000 + 3 * 86_400)
    with pytest.raises(SourceError, match=r"r\.csv is 3 days old; at most 2\.0 hours are allowed"):
        list(source.rows())
    assert len(list(FileSource(Options("r.csv", max_age=7200), tmp_path, clock=lambda: 1_000_100).rows())) == 1


def test_inline_rows_are_texts() -> None:
    """A column that a row does not write is empty there."""
    source = open_source(InlineOptions(({"a": "0064"}, {"b": "x"}), "s.yaml", (4, 5)), Path())
    assert [(dict(one.values), one.place) for one in source.rows() if isinstance(one, Row)] == [
        ({"a": "0064", "b": None}, Place("s.yaml", 1, 4)),
        ({"a": None, "b": "x"}, Place("s.yaml", 2, 5)),
    ]


@pytest.mark.parametrize("name", ["r.csv", "r.json", "r.jsonl"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, name: str) -> None:
    """Ten times the rows, the same peak."""
    peaks = []
    for count in (5_000, 50_000):
        one = {"a": "x" * 20, "b": "y" * 20}
        with (tmp_path / name).open("w") as file:
            if name.endswith("csv"):
                file.write("a,b\n" + f"{one['a']},{one['b']}\n" * count)
            elif name.endswith("jsonl"):
                file.write((json.dumps(one) + "\n") * count)
            else:
                file.write('{"rows": [' + ",".join([json.dumps(one)] * count) + "]}")
        source = open_source(Options(name, rows="rows" if name == "r.json" else None), tmp_path)
        tracemalloc.start()
        assert sum(1 for _ in source.rows()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + 4 * 1024 * 1024


@settings(max_examples=examples(150), deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["r.csv", "r.json", "r.jsonl", "r.tsv"]))
@pytest.mark.covers("SRC-47")
def test_random_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    """Never another exception."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / name).write_bytes(data)
    with contextlib.suppress(SourceError):
        rows = list(open_source(Options(name), folder).rows())
        assert all(one.place.row == number for number, one in enumerate(rows, 1))


_cells = st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.lists(_cells, min_size=2, max_size=2), max_size=6), st.sampled_from([",", ";", "\t"]))
@pytest.mark.covers("SRC-47")
def test_a_row_accepted_is_the_text_of_the_source(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str
) -> None:
    """Whatever a CSV writer writes comes back, text for text."""
    folder = tmp_path_factory.mktemp("round")
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["k", "v"])
    writer.writerows(rows)
    (folder / "r.csv").write_bytes(text.getvalue().encode())
    found = list(open_source(Options("r.csv", delimiter=delimiter), folder).rows())
    assert [list(one.values.values()) for one in found if isinstance(one, Row)] == rows


_json = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(alphabet="ab\"\\:{}[], é", max_size=6)),
                     lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(alphabet='ab": ', max_size=3), inner, max_size=3)),
                     max_leaves=8)  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.dictionaries(st.text(alphabet='ab": ', max_size=3), _json, max_size=3), max_size=4),
    st.sampled_from([(",", ":"), (", ", " : ")]),
)
@pytest.mark.covers("SRC-47")
def test_documents_and_lines_give_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], separators: tuple[str, str]
) -> None:
    """The fast parser of lines and the exact one agree with the values that were written."""
    folder = tmp_path_factory.mktemp("json")
    (folder / "r.json").write_text(json.dumps({"rows": rows}, separators=separators))
    (folder / "r.jsonl").write_text(
        "".join(json.dumps(one, separators=separators, ensure_ascii=False) + "\n" for one in rows)
    )
    document = values(list(open_source(Options("r.json", rows="rows"), folder).rows()))
    assert document == rows
    if rows:
        assert values(list(open_source(Options("r.jsonl"), folder).rows())) == rows


@pytest.mark.covers("SRC-09")
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_text_that_was_encoded_twice_is_told_with_the_first_place(tmp_path: Path, encoding: str) -> None:
    """A warning with the number of places; text that is right, in whatever language, is not suspected."""
    twice = "é ü ’ Straße".encode().decode(encoding, "ignore")
    spec = "syncengine: 1\ndata_source: T\nsource: rows.csv\nsteps: {t: {cmdb: cmdb_ci_server, key: k, fields: {name: n}}}\n"
    (tmp_path / "s.yaml").write_text(spec)
    (tmp_path / "rows.csv").write_text(f"k,n\n1,plain\n2,{twice}\n3,Größe\n", "utf-8")
    (problem,) = check_specs(Project(tmp_path), [tmp_path / "s.yaml"]).problems
    assert (problem.code, problem.severity) == ("double-encoded", "warning")
    assert "line 3" in problem.message
    for right in ("Ünïcödé – “quoted” naïve señor âge", "Âge Ãngela ÂME", "中文 русский ελληνικά", "50 € â 3"):
        (tmp_path / "rows.csv").write_text(f"k,n\n1,{right}\n", "utf-8")
        assert check_specs(Project(tmp_path), [tmp_path / "s.yaml"]).problems == []
