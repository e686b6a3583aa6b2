"""Stand-ins for scripts: an instance runs JavaScript here, the sandbox runs a few declared forms and nothing else.

A form stands in the script column behind a mark, so a client sees that a script decides, as it would on an instance:

    // sandbox: {"do": "ignore", "if": "u_name=bad"}
    // sandbox: "{u_first|upper} {u_last}"

A field's form is a template over the columns of the row, with the filters upper, lower, trim. A map's or script's form
is what to do where an encoded query over the row holds: ignore (the row), error (the row fails), stop (the whole
transform halts, as a script that sets `error` does: documented), set (target fields, by templates; onAfter has only
this), or nothing (there is a script, and what it does is not known here). A script that is no form, or runs at another
time than onBefore and onAfter, is not run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from syncengine.sandbox.encoded_query import Query, matches, parse

MARK = "// sandbox: "
WHEN = ("onStart", "onBefore", "onAfter", "onReject", "onComplete", "onForeignInsert", "onChoiceCreate")
_DO = ("ignore", "error", "stop", "set")
_NOTHING = "nothing"
_PLACE = re.compile(r"\{(\w+)((?:\|\w+)*)\}")
_FILTERS: dict[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower, "trim": str.strip}


class Form(NamedTuple):
    """What a script of a map does."""

    do: str
    condition: Query | None
    message: str
    values: Mapping[str, str]
    """Target fields and their templates."""

    def holds(self, row: Mapping[str, str]) -> bool:
        """Whether it does something with this row."""
        return self.condition is None or matches(self.condition, row)


def written(where: str, given: Mapping[str, Any]) -> str:
    """A form of a map as the text of a script; raises ValueError."""
    if given.get("do") not in (*_DO, _NOTHING):
        raise ValueError(f"{where}: a script does {', '.join(_DO)} or {_NOTHING}, not {given.get('do')!r}")
    if not isinstance(given.get("values", {}), Mapping):
        raise ValueError(f"{where}: values is a mapping of target fields to templates")  # noqa: TRY004 - a seed's error
    unknown = sorted(set(given) - {"do", "if", "message", "values"})
    if unknown:
        raise ValueError(f"{where}: a script has do, if, message and values, not {unknown[0]}")
    return MARK + orjson.dumps(dict(given)).decode()


def written_field(template: str) -> str:
    """A template as the text of a field's script."""
    return MARK + orjson.dumps(str(template)).decode()


def form(script: str) -> Form | None:
    """The form in a map's script; None where there is none."""
    given = _read(script)
    if not isinstance(given, dict) or given.get("do") not in _DO:
        return None
    condition = str(given.get("if", ""))
    values = {str(k): str(v) for k, v in (given.get("values") or {}).items()}
    return Form(str(given["do"]), parse(condition) if condition else None, str(given.get("message", "")), values)


def template(script: str) -> str | None:
    """The template in a field's script; None where there is none."""
    given = _read(script)
    return given if isinstance(given, str) else None


def fill(text: str, row: Mapping[str, str]) -> str:
    """A template with the row's values."""

    def value(match: re.Match[str]) -> str:
        found = row.get(match[1], "")
        for name in match[2].split("|")[1:]:
            found = _FILTERS[name](found) if name in _FILTERS else found
        return found

    return _PLACE.sub(value, text)


def _read(script: str) -> Any:
    line = script.strip()
    if not line.startswith(MARK.strip()):
        return None
    try:
        return orjson.loads(line.removeprefix(MARK.strip()).splitlines()[0])
    except (ValueError, IndexError):
        return None
