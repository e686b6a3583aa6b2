"""Files in gzip are read like any other; damage is one message, a bomb ends at its limit, archives are not unpacked."""

from __future__ import annotations

import collections
import contextlib
import gzip
import itertools
import json
import stat
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine import files
from syncengine.changes import Row
from syncengine.errors import Place, Problem, SourceError
from syncengine.sources import open_source
from syncengine.sources.file import Options, unpacking

CSV = b"a,b\n" + b"".join(b"%d,%x\n" % (n, n * 7919 % 65537) for n in range(30_000))


def read(folder: Path, name: str, data: bytes) -> list[dict[str, object]]:
    """All rows of a file."""
    (folder / name).write_bytes(data)
    return [dict(row.values) for row in open_source(Options(name), folder).rows() if isinstance(row, Row)]


def refused(folder: Path, name: str, data: bytes) -> Problem:
    """Why a file is not read."""
    with pytest.raises(SourceError) as caught:
        read(folder, name, data)
    assert caught.value.effect == "Nothing was written."
    (problem,) = caught.value.problems
    return problem


@pytest.mark.covers("SRC-34")
@pytest.mark.parametrize("cuts", [(), (1000,), (0, 5, 70_000), (200_000, 200_000)])
def test_a_packed_file_is_its_content_in_one_member_or_in_many(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    plain = read(tmp_path, "r.csv", CSV)
    ends = (0, *cuts, len(CSV))
    members = [gzip.compress(CSV[start:end]) for start, end in itertools.pairwise(ends)]
    assert read(tmp_path, "r.csv.gz", b"".join(members)) == plain
    assert read(tmp_path, "r.csv.gz", b"".join(members) + b"\0" * 700) == plain
    source = open_source(Options("r.csv.gz"), tmp_path)
    assert source.columns() == ("a", "b")
    assert source.sha256() == source.digest().sha256
    assert read(tmp_path, "r.jsonl.gz", gzip.compress(json.dumps({"a": 1}).encode())) == [{"a": 1}]
    assert len(read(tmp_path, "r.json.gz", gzip.compress(b'[{"a": 1}, {"a": 2}]'))) == 2


PACKED = gzip.compress(CSV, 6, mtime=0)
FLIPPED = PACKED[:-6] + bytes([PACKED[-6] ^ 1]) + PACKED[-5:]
DEEP = PACKED[: len(PACKED) // 2] + bytes(byte ^ 255 for byte in PACKED[len(PACKED) // 2 :][:40]) + PACKED[-90_000:]


@pytest.mark.covers("SRC-34")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PACKED[:-1], id="cut in its trailer"),
        pytest.param(PACKED[: len(PACKED) * 2 // 3], id="cut in the middle"),
        pytest.param(FLIPPED, id="one bit of the checksum"),
        pytest.param(DEEP, id="bytes in the middle"),
        pytest.param(PACKED + b"junk behind it", id="junk"),
        pytest.param(PACKED + PACKED[:4], id="a second member that is none"),
    ],
)
def test_damage_is_one_message_with_the_last_row_that_was_read(tmp_path: Path, data: bytes) -> None:
    """zlib.error, EOFError and BadGzipFile in other readers."""
    problem = refused(tmp_path, "r.csv.gz", data)
    assert problem.code == "damaged-gzip"
    assert "r.csv.gz is damaged: " in problem.message
    assert isinstance(problem.place, Place)
    assert problem.place.row > 1000
    assert problem.found == f"read up to row {problem.place.row}, line {problem.place.line}"


@pytest.mark.covers("SRC-34", "SRC-37")
def test_nothing_inside_is_an_empty_file_and_a_wrong_name_is_told(tmp_path: Path) -> None:
    assert refused(tmp_path, "r.csv.gz", b"").code == "empty-file"
    assert refused(tmp_path, "r.csv.gz", gzip.compress(b"")).code == "empty-file"
    named = refused(tmp_path, "r.csv", PACKED)
    assert (named.code, named.fix) == ("not-text", "Name it r.csv.gz.")
    assert refused(tmp_path, "r.csv.gz", CSV).code == "damaged-gzip"
    assert refused(tmp_path, "r.csv.gz", gzip.compress(PACKED)).code == "not-text"


@contextlib.contextmanager
def suppress_damage() -> Iterator[None]:
    """Lets the refusals of a damaged file pass, and no other."""
    try:
        yield
    except SourceError as error:
        if error.problems[0].code not in ("damaged-gzip", "empty-file"):
            raise


@settings(max_examples=30, deadline=None)
@given(at=st.integers(0, len(PACKED) - 1), byte=st.integers(0, 255), keep=st.integers(1, len(PACKED)))
def test_a_changed_byte_is_never_other_rows(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, keep: int
) -> None:
    """Either it does not matter (a header's time) or the file is refused."""
    data = (PACKED[:at] + bytes([byte]) + PACKED[at + 1 :])[:keep]
    folder = tmp_path_factory.mktemp("flip")
    with suppress_damage():
        assert len(read(folder, "r.csv.gz", data)) == 30_000


@pytest.mark.covers("SRC-35")
def test_a_bomb_ends_at_its_limit_and_memory_stays_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand times its size; one that stays small is read however well it was packed."""
    monkeypatch.setattr(unpacking, "UNWATCHED", 4 * 1024 * 1024)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    megabyte = (b"1," + b"x" * 1021 + b"\n") * 1024
    data = packer.compress(b"a,b\n") + b"".join(packer.compress(megabyte) for _ in range(100)) + packer.flush()
    (tmp_path / "r.csv.gz").write_bytes(data)
    tracemalloc.start()
    read_rows = itertools.count()
    with pytest.raises(SourceError, match="more than 200 times its size") as caught:
        collections.deque(zip(read_rows, open_source(Options("r.csv.gz"), tmp_path).rows(), strict=False), maxlen=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.problems[0].code == "gzip-bomb"
    assert 1000 < next(read_rows) < 60_000
    assert peak < 16 * 1024 * 1024
    assert len(read(tmp_path, "r.csv.gz", gzip.compress(b"a,b\n" + megabyte))) == 1024


def archive(path: Path, *names: str, flags: int = 0, link: bool = False, content: bytes = b"a\n1\n") -> bytes:
    """A zip file with entries of these names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.flag_bits |= flags
            if link:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            made.writestr(info, content)
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.mark.covers("SRC-36")
@pytest.mark.parametrize("suffix", ["zip", "csv", "xlsx"])
def test_an_archive_is_refused_by_its_first_bytes_and_nothing_is_unpacked(tmp_path: Path, suffix: str) -> None:
    """One file, several, encrypted, leading elsewhere, links, many, a bomb, an empty one: it is not looked into."""
    inside = tmp_path / "inside"
    inside.mkdir()
    scratch = tmp_path / "scratch"
    archives = [
        archive(scratch, "a.csv"),
        archive(scratch, "a.csv", "b.csv"),
        archive(scratch, "a.csv", flags=1),
        archive(scratch, "../evil.csv"),
        archive(scratch, "/tmp/evil.csv"),
        archive(scratch, "link", link=True, content=b"/etc/passwd"),
        archive(scratch, *(f"{n}.csv" for n in range(300))),
        archive(scratch, "a.csv", content=b"\0" * 5_000_000),
        archive(scratch),
    ]
    for number, data in enumerate(archives):
        name = f"r.{suffix}"
        (inside / name).write_bytes(data)
        with pytest.raises(SourceError) as caught:
            list(open_source(Options(name, format="csv"), inside).rows())
        (problem,) = caught.value.problems
        assert (problem.code, "zip file" in problem.message) == ("not-text", True), number
    assert [one.name for one in inside.iterdir()] == [f"r.{suffix}"]
    assert [one.name for one in tmp_path.iterdir()] == ["inside"]


@pytest.mark.covers("SRC-40", "PROC-12")
@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "r.jsonl"])
def test_a_read_that_fails_half_way_says_how_far_it_came(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a share that vanishes; the next attempt reads all of it."""
    rows = b"".join(b'{"a": "%d", "b": "%s"}\n' % (n, b"x" * 100) for n in range(20_000))
    data = {"r.csv": CSV * 4, "r.csv.gz": PACKED, "r.jsonl": rows}[name]
    monkeypatch.setattr(files, "_armed", {})
    files.arm("source.read:2=eio")
    problem = refused(tmp_path, name, data.replace(b"\na,b\n", b"\n"))
    assert (problem.code, "Input/output error" in problem.message) == ("unreadable-file", True)
    assert isinstance(problem.place, Place)
    assert problem.place.row > 1000
    assert len(list(open_source(Options(name), tmp_path).rows())) >= 20_000
