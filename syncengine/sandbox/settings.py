"""What public sources leave open: each such behaviour has a name here, a value, and the reason for the default.

A system property that the service itself documents is no setting but a row of sys_properties.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Value = str | int | float | bool


class Setting(NamedTuple):
    """One open question, answered."""

    default: Value
    choices: tuple[Value, ...]
    why: str


SETTINGS: dict[str, Setting] = {
    "identify.compare": Setting(
        "folded",
        ("folded", "exact"),
        "Not documented; the usual collation ignores case, and blanks at the ends are cut.",
    ),
    "identify.dependent_by_source_key": Setting(
        "host", ("host", "alone"), "Not documented whether a dependent item matched by source key still needs its host."
    ),
    "identify.settle_dependent_duplicates": Setting(
        False, (False, True), "The duplicate properties are described for independent items only."
    ),
    "identify.duplicates_at_threshold": Setting(
        "error", ("error", "settle"), "The pages say 'less than' in one place and 'exceeds' in another."
    ),
    "update.empty_clears": Setting(
        False, (False, True), "No public example shows an empty value clearing an attribute."
    ),
    "update.touch_updates_sys_updated_on": Setting(
        False, (False, True), "last_discovered of unchanged items is written in batch without business rules."
    ),
    "columns.unknown": Setting(
        "ignore", ("ignore", "store"), "An attribute that the class does not have is left out without a word."
    ),
    "answer.style": Setting(
        "newer",
        ("newer", "older"),
        "Older examples lack the source attempt, warningCount and what became of related rows.",
    ),
    "answer.flags": Setting(
        "always", ("always", "with_summary"), "hasError, hasWarning: live answers have them, two examples do not."
    ),
    "answer.rejected_operation": Setting(
        "absent",
        ("absent", "NO_CHANGE", "INSERT_AS_INCOMPLETE"),
        "No example of a rejected item without partial payloads.",
    ),
    "answer.relation_ids": Setting(
        True, (True, False), "sysId of relations: in scripted examples and one REST example, absent in the others."
    ),
    "answer.collateral_errors": Setting(
        True, (True, False), "What an all-or-nothing call says about the good items beside a bad one."
    ),
    "answer.plain_names": Setting(
        True, (True, False), "Whether an all-or-nothing call says which of several items was bad, or only that one was."
    ),
    "calls.enhanced_pair": Setting(
        True, (True, False), "The oldest documented releases list the two plain calls only (Jakarta)."
    ),
    "table.unordered": Setting(
        "sys_id", ("sys_id", "shuffled"), "No order is promised; shuffled finds clients that rely on one."
    ),
    "table.max_url": Setting(8000, (), "Long URLs are refused; the limit differs by gateway."),
    "limits.body_bytes": Setting(10_485_760, (), "glide.rest.max_content_length, documented default."),
}


class Settings(Mapping[str, Value]):
    """The settings in force."""

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        self._values: dict[str, Value] = {name: setting.default for name, setting in SETTINGS.items()}
        for name, value in (values or {}).items():
            self.set(name, value)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterable[str]:  # type: ignore[override]
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def set(self, name: str, value: Value) -> None:
        """Change one; unknown names and values are refused."""
        setting = SETTINGS.get(name)
        if setting is None:
            raise ValueError(f"there is no setting {name!r}; there are: {', '.join(sorted(SETTINGS))}")
        if setting.choices and value not in setting.choices:
            raise ValueError(f"{name} is one of {', '.join(map(str, setting.choices))}, not {value!r}")
        if not setting.choices and type(value) is not type(setting.default):
            raise ValueError(f"{name} is a {type(setting.default).__name__}, not {value!r}")
        self._values[name] = value

    def number(self, name: str) -> int:
        """A setting that is a whole number."""
        return int(self._values[name])

    def changed(self) -> dict[str, Value]:
        """Those that differ from their default."""
        return {name: value for name, value in self._values.items() if value != SETTINGS[name].default}
