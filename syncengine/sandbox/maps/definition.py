"""Staging tables and their maps as a seed writes them, and the records that stand for them.

staging:
  u_asset_import:
    label: Asset import
    columns: {u_tag: string, u_name: [string, Name, 100]}
    insert_multiple: {keys: names, mode: synchronous, active: true}
    maps:
      - name: Assets
        target: alm_asset
        order: 100
        fields:
          asset_tag: {source: u_tag, coalesce: true}
          display_name: u_name
          serial_number: {script: "{u_tag|upper}-{u_name}"}
        scripts: [{when: onBefore, if: u_name=bad, do: ignore}]

A table that is given again has only the maps that it is given then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from syncengine.sandbox.catalog import Row, data, fixed_id, table_rows
from syncengine.sandbox.maps import standin
from syncengine.sandbox.store import STAGING

_MAP = ("active", "order", "run_business_rules", "enforce_mandatory_fields", "copy_empty_fields",
        "create_new_record_on_empty_coalesce_fields")  # fmt: skip
_FIELD = {
    "coalesce": "coalesce",
    "case_sensitive": "coalesce_case_sensitive",
    "coalesce_empty": "coalesce_empty_fields",
    "choice_action": "choice_action",
    "reference_value_field": "reference_value_field",
    "date_format": "date_format",
}
_TABLE = {"label", "columns", "display", "maps", "insert_multiple", "robust"}
_MULTIPLE = {"keys", "mode", "active"}
_KEYS = {"labels": "column_label", "names": "column_name"}
# an instance puts this text into every entry and every map, whether it counts or not (observed)
_TEMPLATE = "answer = (function transformEntry(source) {\n\n\t// Add your code here\n\treturn \"\"; // return the value to be put into the target field\n\n})(source);"  # fmt: skip # noqa: E501
_MAP_TEMPLATE = "(function transformRow(source, target, map, log, isUpdate) {\n\n\t// Add your code here\n\n})(source, target, map, log, action===\"update\");"  # fmt: skip # noqa: E501


STOCK = "stock"


class DefinitionError(ValueError):
    """A staging table that cannot be made as it is written."""


def stock() -> Iterator[Row]:
    """The staging tables that are there from the start."""
    for name, table in data("staging").items():
        yield from staging_rows(name, table, STOCK)


def staging_rows(name: str, table: Mapping[str, Any], origin: str = "seed") -> Iterator[Row]:
    """The rows of one staging table, its maps and its settings; raises DefinitionError."""
    _known(f"staging.{name}", table, _TABLE)
    _shaped(f"staging.{name}", table, {"columns": dict, "maps": list})
    for column, kind in table.get("columns", {}).items():
        if not (isinstance(kind, str) or (isinstance(kind, list) and len(kind) == 3)):
            raise DefinitionError(f"staging.{name}.columns.{column}: a type, or [type, label, length]")
    if "columns" in table or "label" in table:
        label, columns = table.get("label", name), table.get("columns", {})
        yield from table_rows(name, label, STAGING, columns, table.get("display", ""))
    if "insert_multiple" in table:
        yield _multiple(name, table["insert_multiple"])
    if "robust" in table:
        values = {"sys_id": fixed_id("sys_robust_import_set_transformer", name), "name": name, "source_table": name}
        yield "sys_robust_import_set_transformer", {**values, "active": _text(bool(table["robust"]))}
    for number, one in enumerate(table.get("maps", ())):
        yield from _map_rows(name, number, one, origin)


def map_id(table: str, number: int, origin: str) -> str:
    """The sys_id of a map, the same in every sandbox; a seed's map is another record than a shipped one."""
    return fixed_id("sys_transform_map", origin, table, str(number))


def _multiple(table: str, given: Mapping[str, Any]) -> Row:
    _known(f"staging.{table}.insert_multiple", given, _MULTIPLE)
    keys, mode = given.get("keys", "labels"), given.get("mode", "asynchronous")
    if keys not in _KEYS or mode not in ("asynchronous", "synchronous"):
        raise DefinitionError(f"staging.{table}.insert_multiple: keys is labels or names, mode (a)synchronous")
    values = {
        "sys_id": fixed_id("sys_rest_insert_multiple", table),
        "name": table,
        "source_table": table,
        "transform": mode,
        "column_mapping": _KEYS[keys],
        "active": _text(given.get("active", True)),
    }
    return "sys_rest_insert_multiple", values


def _map_rows(table: str, number: int, given: Mapping[str, Any], origin: str) -> Iterator[Row]:
    where = f"staging.{table}.maps[{number}]"
    _known(where, given, {*_MAP, "name", "target", "fields", "scripts", "script"})
    _shaped(where, given, {"fields": dict, "scripts": list})
    for key in ("name", "target"):
        if not given.get(key):
            raise DefinitionError(f"{where}: {key} is missing")
    sys_id = map_id(table, number, origin)
    values = {"sys_id": sys_id, "name": given["name"], "source_table": table, "target_table": given["target"]}
    values |= {key: _text(given[key]) for key in _MAP if key in given}
    values["script"] = _MAP_TEMPLATE
    if given.get("script"):
        values |= {"run_script": "true", "script": standin.written(where, given["script"])}
    yield "sys_transform_map", values
    for target, field in (given.get("fields") or {}).items():
        whole = {"source": field} if isinstance(field, str) else field
        yield _entry(where, table, given["target"], sys_id, target, whole)
    for index, script in enumerate(given.get("scripts", ())):
        if not isinstance(script, Mapping) or script.get("when", "onBefore") not in standin.WHEN:
            raise DefinitionError(f"{where}.scripts[{index}]: a mapping with when: {', '.join(standin.WHEN)}")
        values = {
            "sys_id": fixed_id("sys_transform_script", sys_id, str(index)),
            "map": sys_id,
            "when": script.get("when", "onBefore"),
            "order": _text(script.get("order", 100)),
            "active": _text(script.get("active", True)),
            "script": standin.written(where, {k: v for k, v in script.items() if k not in ("when", "order", "active")}),
        }
        yield "sys_transform_script", values


def _entry(where: str, table: str, target_table: str, sys_id: str, target: str, field: Mapping[str, Any]) -> Row:
    _known(f"{where}.fields.{target}", field, {*_FIELD, "source", "script"})
    values = {
        "sys_id": fixed_id("sys_transform_entry", sys_id, target),
        "map": sys_id,
        "source_table": table,
        "source_field": _text(field.get("source", "")),
        "target_table": target_table,
        "target_field": target,
        "source_script": _TEMPLATE,
    }
    values |= {column: _text(field[key]) for key, column in _FIELD.items() if key in field}
    if "script" in field:
        values |= {"use_source_script": "true", "source_script": standin.written_field(field["script"])}
    return "sys_transform_entry", values


def _known(where: str, given: Any, keys: set[str]) -> None:
    if not isinstance(given, Mapping):
        raise DefinitionError(f"{where}: a mapping is due")
    unknown = sorted(set(given) - keys)
    if unknown:
        raise DefinitionError(f"{where}: unknown key {unknown[0]!r}; there are: {', '.join(sorted(keys))}")


def _shaped(where: str, given: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for key, kind in kinds.items():
        if key in given and not isinstance(given[key], kind):
            raise DefinitionError(f"{where}.{key}: a {'mapping' if kind is dict else 'list'} is due")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
