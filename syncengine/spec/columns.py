"""Are the columns there? Asked of the source's own header, where it can be read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from syncengine import sources
from syncengine.changes import Row
from syncengine.errors import SourceError
from syncengine.mapping.templates import RESERVED, Use
from syncengine.sources.file import SAMPLE, FileSource
from syncengine.sources.file import Options as FileOptions
from syncengine.sources.file.sniffing import doubled, sniff
from syncengine.spec.model import Source
from syncengine.spec.reader import ColumnNote, Reader
from syncengine.spec.wording import near

MAX_SHOWN = 12


class Tree(msgspec.Struct):
    """The keys that a sample of rows has, all the way down."""

    keys: dict[str, Tree] = msgspec.field(default_factory=dict)
    items: Tree | None = None
    scalar: bool = False

    @property
    def known(self) -> bool:
        """Whether anything but null was seen here."""
        return bool(self.keys) or self.items is not None or self.scalar

    def learn(self, value: Any, depth: int = 0) -> None:
        """Takes in one value."""
        if depth > 20 or value is None:
            return
        if isinstance(value, dict):
            for name, one in value.items():
                self.keys.setdefault(name, Tree()).learn(one, depth + 1)
        elif isinstance(value, list):
            if self.items is None:
                self.items = Tree()
            for one in value[:50]:
                self.items.learn(one, depth + 1)
        else:
            self.scalar = True


class Header(msgspec.Struct):
    """What is known of a source: its name, and a tree of keys (for CSV one level deep)."""

    shown: str
    tree: Tree
    flat: bool


class Headers:
    """The headers of the sources of one spec, read once."""

    def __init__(self, root: Path, found: dict[str, Source], note: Reader) -> None:
        self._root = root
        self._sources = found
        self._note = note
        self._headers: dict[str, Header | None] = {}
        self.unread: list[str] = []
        """Sources that could not be read, as the spec names their files: nothing is known of their columns."""

    def check(self, notes: Iterable[ColumnNote]) -> None:
        """Reports columns that no row has."""
        reported: set[object] = set()
        for note in notes:
            header = self._header(note.source)
            if header is None or note.position in reported:
                continue
            reported.add(note.position)
            self._one(note, header)

    def _header(self, name: str) -> Header | None:
        if name not in self._headers:
            self._headers[name] = self._read(name) if name in self._sources else None
        return self._headers[name]

    def _read(self, name: str) -> Header | None:
        source = self._sources[name]
        options = source.options
        if isinstance(options, FileOptions) and "{{" in options.file:
            return None
        opened = sources.open_source(options, self._root)
        shown = "the rows"
        try:
            flat = True
            if isinstance(opened, FileSource) and isinstance(options, FileOptions):
                files = opened.files()
                shown = files[0][1]
                self._doubled(files[0][0], shown, options, source)
                flat = opened.format(files[0][0]) in {"csv", "tsv"}
            if flat:
                columns = opened.columns()
                if columns is None:
                    return None
                return Header(shown, Tree({one: Tree(scalar=True) for one in columns}), flat=True)
            tree = Tree()
            for row in islice(opened.rows(), SAMPLE):
                if isinstance(row, Row):
                    tree.learn(row.values)
            return Header(shown, tree, flat=False) if tree.keys else None
        except SourceError as error:
            for problem in error.problems:
                if problem.code == "outside-project":
                    self._note.add(problem.code, problem.message, source.position, problem.fix)
                else:
                    fix = problem.fix or _WITHOUT
                    self._note.warn(problem.code, problem.message, source.position, _guessed(opened, options, fix))
            self.unread.append(source.path_said or name)
            return None

    def _doubled(self, path: Path, shown: str, options: FileOptions, source: Source) -> None:
        found = doubled(path, options.encoding)
        if found is not None:
            count, line, first = found
            places = "1 place" if count == 1 else f"{count} places"
            said = f'{shown} looks as if it was encoded twice, in {places}; the first is "{first[:40]}" in line {line}'
            self._note.warn("double-encoded", said, source.position, "Export it again as UTF-8; é must not read Ã©.")

    def _one(self, note: ColumnNote, header: Header) -> None:
        levels = [header.tree]
        for use in note.each:
            tree = _follow(levels, use)
            if tree is None or not tree.known:
                return
            if tree.items is None:
                levels = [tree, *levels]
                return
            levels = [tree.items, *levels]
        use = note.use
        if use.kind != "column" or use.level >= len(levels) or use.shown in self._sources[note.source].optional:
            return
        tree = levels[use.level]
        if not tree.known:
            return
        if note.bare and note.bare in tree.keys:
            return
        at: Tree | None = tree
        for part in use.parts:
            if at is None or not at.known:
                return
            below = at.items if isinstance(part, int) else at.keys.get(part)
            if below is None:
                self._unknown(note, header, at, str(part), first=at is tree)
                return
            at = below

    def _unknown(self, note: ColumnNote, header: Header, at: Tree, name: str, *, first: bool) -> None:
        columns = list(at.keys)
        if not first:
            said = f'"{note.use.shown}": there is no "{name}" there in {header.shown}'
            fix = near(name, tuple(columns)) or (
                f"Its keys are: {', '.join(columns[:MAX_SHOWN])}" if columns else "It is a plain value."
            )
            self._note.add("unknown-column", said, note.position, fix, name)
            return
        inner = note.each and note.use.level < len(note.each)
        where = f"the elements of {note.each[0].shown}" if inner else header.shown
        close = _near(name if len(note.use.parts) > 1 or inner or note.use.level else note.bare or name, columns)
        if close and note.bare and name != note.bare:
            close = note.bare.replace(name, close, 1)
        listed = ", ".join(columns[:MAX_SHOWN]) + (", ..." if len(columns) > MAX_SHOWN else "")
        if not note.bare:
            self._note.add(
                "unknown-name-in-template",
                f'"{name}" is not a column of {where}',
                note.position,
                _template_fix(close, listed),
                name,
            )
            return
        if close:
            said = f'There is no column "{note.bare}" in {where}. Did you mean "{close}"?'
            self._note.add("unknown-column", said, note.position, note.written(close), note.bare)
            return
        if not note.field:
            said = f'There is no column "{note.bare}" in {where}'
            self._note.add("unknown-column", said, note.position, f"Columns: {listed}", note.bare)
            return
        said = f'{note.written(note.bare)}  reads the column "{note.bare}", and {where} has no such column'
        constant = f"const: {note.bare}" if note.keys == ("from",) else note.written(f"{{const: {note.bare}}}")
        fix = f"For the fixed text write    {constant}\nColumns: {listed}"
        self._note.add("unknown-column", said, note.position, fix, note.bare)


_WITHOUT = "Put the file there, or say where it is; until then no column is checked."


def _guessed(opened: sources.Source, options: object, fix: str) -> str:
    """What the spec must say of a file, all at once, where it is there and looks different from what is said."""
    if not isinstance(opened, FileSource) or not isinstance(options, FileOptions):
        return fix
    try:
        guess = sniff(opened.files()[0][0])
    except SourceError:
        return fix
    said = {"delimiter": options.delimiter, "encoding": options.encoding}
    wanted = {name: getattr(guess, name) for name in said if getattr(guess, name) not in (None, said[name])}
    if "encoding" not in wanted:
        return fix
    return "It looks as if the source needs" + "".join(
        f"\n  {name}: {json.dumps(value)}" for name, value in wanted.items()
    )


def _template_fix(close: str, listed: str) -> str:
    if not close:
        return f"Columns: {listed}"
    written = close if close.isidentifier() and close not in RESERVED else f"row['{close}']"
    return f'Did you mean "{close}"?   "{{{{ {written} }}}}"'


def _near(word: str, columns: list[str]) -> str:
    def plain(text: str) -> str:
        return "".join(one for one in text.casefold() if one.isalnum())

    folded = {plain(one): one for one in columns}
    if plain(word) in folded and plain(word):
        return folded[plain(word)]
    close = get_close_matches(plain(word), list(folded), 1, 0.75)
    return folded[close[0]] if close else ""


def _follow(levels: list[Tree], use: Use) -> Tree | None:
    if use.level >= len(levels) or use.kind == "position":
        return None
    at: Tree | None = levels[use.level]
    for part in use.parts:
        if at is None:
            return None
        at = at.items if isinstance(part, int) else at.keys.get(part)
    return at
