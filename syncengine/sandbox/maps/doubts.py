"""What in the transform maps cannot be meant: columns and tables that do not exist.

An instance says nothing about them, and neither do the imports of the sandbox; whoever writes a seed wants to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syncengine.sandbox.maps.stored import SCRIPTED
from syncengine.sandbox.store import Record
from syncengine.sandbox.tables import Tables


def doubts(tables: Tables, maps: Iterable[Record], entries: Iterable[Record]) -> Iterator[str]:
    """One sentence for each, in the order of the maps."""
    fields: dict[str, list[Record]] = {}
    for entry in entries:
        fields.setdefault(entry.values.get("map", ""), []).append(entry)
    for one in maps:
        v = one.values
        where = f"map {v.get('name', '')} of {v.get('source_table', '')}"
        source, target = tables.get(v.get("source_table", "")), tables.get(v.get("target_table", ""))
        if source is None:
            yield f"{where}: there is no staging table of this name"
        if target is None:
            yield f"{where}: there is no target table {v.get('target_table', '')}, so every row will fail"
        for entry in fields.get(one.sys_id, ()):
            e = entry.values
            column, field = e.get("source_field", ""), e.get("target_field", "")
            scripted = e.get("use_source_script") == "true" or column == SCRIPTED
            if source is not None and not scripted and column not in source.columns:
                yield f"{where}: {field} is filled from {column or 'nothing'}, which is no column of {source.name}"
            if target is not None and field not in target.columns:
                yield f"{where}: {target.name} has no column {field}, so {column or 'its script'} goes nowhere"
