"""A spec and its files in a folder, read, mapped, and its records as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncengine.changes import BadRow, Pair, Record
from syncengine.mapping import Made, Mapper
from syncengine.spec import Spec, find_project, load_specs, mapper, open_source

HEAD = "syncengine: 1\ndata_source: Tests\n"


def folder(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """The files, written."""
    for name, text in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def spec(path: Path, text: str, **files: str | bytes) -> Spec:
    """The spec `s.yaml` beside files; a `_` of a name stands for a dot."""
    folder(path, {"s.yaml": text, **{name.replace("_", ".", 1): one for name, one in files.items()}})
    return load_specs(find_project(path), [path / "s.yaml"])[0]


def mapped(made: Spec, step: str = "", **options: Any) -> tuple[list[Made], Mapper]:
    """What a step makes, and its mapper for the counts."""
    chosen = made.steps[step] if step else next(iter(made.steps.values()))
    worker = mapper(made, chosen, run_date="2026-11-20", **options)
    return list(worker.records(open_source(made, chosen.source).rows())), worker


def values(found: list[Made]) -> list[dict[str, str]]:
    """The fields of records; a row that is bad shows its code."""
    shown = []
    for one in found:
        if isinstance(one, Record):
            shown.append(dict(one.values))
        elif isinstance(one, BadRow):
            shown.append({"bad": one.problem.code, "level": one.level})
        else:
            assert isinstance(one, Pair)
            shown.append({"type": one.type})
    return shown


def fields(path: Path, rows: str, *lines: str, head: str = HEAD, key: str = "k") -> list[dict[str, str]]:
    """The records of a step with these fields over a CSV."""
    body = "".join(f"      {line}\n" for line in lines)
    text = f"{head}source: rows.csv\nsteps:\n  t:\n    cmdb: cmdb_ci\n    key: {key}\n    fields:\n{body}"
    return values(mapped(spec(path, text, rows_csv=rows))[0])
