"""Transform maps of staging tables, in the form of a seed.

Columns of sys_transform_map, sys_transform_entry and sys_transform_script: observed in exported maps (meanings: fluent
-import-sets-api); of sys_rest_insert_multiple and sys_robust_import_set_transformer: inferred. The text of a script is
never taken along: that one runs, and when, is all that a plan needs. Only the declared stand-ins of a sandbox are kept.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from syncengine.pull.asking import Asking, Row
from syncengine.transport.import_set import ROLE

_STAND_IN = "// sandbox:"
"""What the scripts of a sandbox begin with."""
_SCRIPTED = "[Script]"
_MAP = ("name", "active", "order", "source_table", "target_table", "enforce_mandatory_fields", "copy_empty_fields",
        "create_new_record_on_empty_coalesce_fields", "run_business_rules", "run_script", "script")  # fmt: skip
_ENTRY = ("map", "source_field", "target_field", "coalesce", "coalesce_case_sensitive", "coalesce_empty_fields",
          "choice_action", "reference_value_field", "date_format", "use_source_script", "source_script")  # fmt: skip
_FLAGS = {
    "copy_empty_fields": "false",
    "create_new_record_on_empty_coalesce_fields": "false",
    "run_business_rules": "true",
}
_FIELD_FLAGS = {"coalesce": "coalesce", "case_sensitive": "coalesce_case_sensitive",
                "coalesce_empty": "coalesce_empty_fields"}  # fmt: skip
_USUAL = {"choice_action": ("create", ""), "reference_value_field": ("",), "date_format": ("yyyy-MM-dd HH:mm:ss", "")}


def staging(asking: Asking, tables: Collection[str]) -> dict[str, dict[str, Any]]:
    """The maps of some staging tables, by table; a table whose maps cannot be read is not there."""
    what = f"transform maps of {', '.join(sorted(tables))}"
    maps = asking.listed("sys_transform_map", "source_table", tables, _MAP, what=what, role=f"role {ROLE}")
    if not maps:
        if maps is not None and not asking.rows(
            "sys_transform_map", "", ("name",), most=1, what=what, role=f"role {ROLE}"
        ):
            fix = f"ask the admin for read access to sys_transform_map: role {ROLE}"
            asking.note(what, "no transform map can be seen", fix)
        return {}
    ids = [row["sys_id"] for row in maps]
    how = {"what": what, "role": f"role {ROLE}"}
    entries = asking.listed("sys_transform_entry", "map", ids, _ENTRY, **how)
    scripts = asking.listed("sys_transform_script", "map", ids, ("map", "active", "order", "when", "script"), **how)
    if entries is None or scripts is None:
        return {}
    multiple = asking.listed("sys_rest_insert_multiple", "source_table", tables,
                             ("source_table", "transform", "column_mapping", "active"),
                             what="settings of insertMultiple")  # fmt: skip
    robust = asking.listed("sys_robust_import_set_transformer", "source_table", tables, ("source_table", "active"),
                           what="robust transformers")  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(tables):
        own = [row for row in maps if row.get("source_table") == name and row.get("active") != "false"]
        own.sort(key=lambda row: (_number(row.get("order")), row.get("name", ""), row["sys_id"]))
        table: dict[str, Any] = {"maps": [_map(asking, row, entries, scripts) for row in own]}
        for row in multiple or ():
            if row.get("source_table") == name:
                table["insert_multiple"] = _multiple(row)
        if any(row.get("source_table") == name and row.get("active") != "false" for row in robust or ()):
            table["robust"] = True
        found[name] = table
    return found


def _map(asking: Asking, row: Row, entries: list[Row], scripts: list[Row]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": row.get("name", ""), "target": row.get("target_table", "")}
    made["order"] = _number(row.get("order"))
    made |= {key: row[key] == "true" for key, usual in _FLAGS.items() if row.get(key, usual) not in (usual, "")}
    if row.get("enforce_mandatory_fields", "No") not in ("No", ""):
        made["enforce_mandatory_fields"] = row["enforce_mandatory_fields"]
    if row.get("run_script") == "true":
        made["script"] = _form(row.get("script", ""))
    fields: dict[str, Any] = {}
    own = [one for one in entries if one.get("map") == row["sys_id"]]
    for one in sorted(own, key=lambda each: (each.get("target_field", ""), each["sys_id"])):
        target = one.get("target_field", "")
        if target in fields:
            fix = "have one of them removed on the instance: which one counts is not defined"
            asking.note(f"a second field map onto {target} in {made['name']}", "a seed has one for each field", fix)
        elif target:
            fields[target] = _field(one)
    made["fields"] = fields
    made["scripts"] = [_script(one) for one in _sorted(scripts) if one.get("map") == row["sys_id"]]
    if not made["scripts"]:
        del made["scripts"]
    return made


def _field(row: Row) -> dict[str, Any] | str:
    made: dict[str, Any] = {key: True for key, column in _FIELD_FLAGS.items() if row.get(column) == "true"}
    made |= {key: row[key] for key, usual in _USUAL.items() if row.get(key, "") not in usual}
    if row.get("use_source_script") == "true" or row.get("source_field") == _SCRIPTED:
        template = _stand_in(row.get("source_script", ""))
        made["script"] = template if isinstance(template, str) else ""
        return made
    source = row.get("source_field", "")
    return {"source": source, **made} if made else source


def _script(row: Row) -> dict[str, Any]:
    return {"when": row.get("when") or "onBefore", "order": _number(row.get("order")), **_form(row.get("script", ""))}


def _sorted(scripts: list[Row]) -> list[Row]:
    active = [row for row in scripts if row.get("active") != "false"]
    return sorted(active, key=lambda row: (_number(row.get("order")), row.get("when", ""), row["sys_id"]))


def _form(script: str) -> dict[str, Any]:
    """What stands for a script: the stand-in of a sandbox, or only that there is one."""
    found = _stand_in(script)
    return found if isinstance(found, dict) and "do" in found else {"do": "nothing"}


def _stand_in(script: str) -> Any:
    line = script.strip()
    if not line.startswith(_STAND_IN):
        return None
    try:
        return json.loads(line.removeprefix(_STAND_IN).splitlines()[0])
    except (ValueError, IndexError):
        return None


def _multiple(row: Row) -> dict[str, Any]:
    names = "name" in row.get("column_mapping", "")
    synchronous = row.get("transform", "").lower().startswith("sync")
    made: dict[str, Any] = {
        "keys": "names" if names else "labels",
        "mode": "synchronous" if synchronous else "asynchronous",
    }
    if row.get("active") == "false":
        made["active"] = False
    return made


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 100
