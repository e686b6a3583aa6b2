"""The import types of 4me (Xurrent): their headers, what each column takes, and what finds a record.

The facts stand in `data/import_types.json`, copied from the vendor's import pages (2019 to August 2026), its REST
field pages and public clients. `exact` headers are those of the page's own example; `inferred` ones are a guess from
sibling pages; `unknown` means that no public page has them. `order` is derived from the references. It is the
product's own copy: the sandbox has another, since it is the witness.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Literal

import msgspec

ID = "ID"
SOURCE = "Source"
SOURCE_ID = "Source ID"
PAIR = (SOURCE, SOURCE_ID)
KEY_ITSELF = "@key"
"""What is taken of a record that is named by its Source ID: its key, which stands in no field."""
SOURCE_ITSELF = "@source"
"""What is taken of a record that is named by its Source: the data source of its step."""

ColumnKind = Literal[
    "string",
    "text",
    "integer",
    "decimal",
    "boolean",
    "date",
    "datetime",
    "timestamp",
    "time_of_day",
    "duration",
    "time_zone",
    "currency",
    "enum",
    "uri",
    "custom_fields",
    "ref",
    "refs",
    "special",
    "helper",
]


class ImportColumn(msgspec.Struct, frozen=True):
    """One column of a type."""

    kind: ColumnKind
    max: int = 0
    """The most characters; 0 where the pages say nothing."""
    to: str = ""
    """The type of the record that it names."""
    by: str = ""
    """The column of that record which is written."""
    values: tuple[str, ...] = ()
    defer: bool = False
    """Part of a circle of references: written in a second pass."""
    self: bool = False
    more: bool = False
    """Documented, but not in the example of the page, nor in exports as far as is known."""


class Rest(msgspec.Struct, frozen=True):
    """How REST reads the type, for what the export cannot give."""

    path: str
    filters: tuple[str, ...] = ()
    own: str = ""
    """The collection without the records of the directory account, where `path` lists those, too (documented)."""

    @property
    def of_account(self) -> str:
        """The collection of the account's own records, which are those of an export."""
        return self.own or self.path


class ImportType(msgspec.Struct, frozen=True):
    """One import type."""

    header: Literal["exact", "inferred", "unknown"]
    order: int
    identify: tuple[tuple[str, ...], ...]
    columns: dict[str, ImportColumn]
    required: tuple[str, ...] = ()
    """What a new record needs."""
    group: str = ""
    """The owner all of whose rows an import replaces, where it does."""
    many: bool = False
    """Several rows make one record, or one owner's records."""
    financial: bool = False
    """The Financial Manager has to import it."""
    export: str = ""
    page: str = ""
    rest: Rest | None = None

    @property
    def has_pair(self) -> bool:
        """Whether its records carry Source and Source ID."""
        return SOURCE_ID in self.columns or list(PAIR) in [list(one) for one in self.identify]

    @property
    def special(self) -> str:
        """The one column that finds a record where ID and pair are not given, or empty."""
        return next((one[0] for one in self.identify if len(one) == 1 and one[0] not in (ID, self.group)), "")

    @property
    def natural(self) -> tuple[tuple[str, ...], ...]:
        """The columns that find a record where neither ID nor pair is given: the first of these that are all filled."""
        return () if self.group else tuple(one for one in self.identify if one not in ((ID,), PAIR))

    @property
    def owners(self) -> tuple[str, ...]:
        """The columns that name the owner of a replace group; the first filled ones do."""
        if self.group == "CI":
            return ("CI Source", "CI Source ID", "CI Label")
        if self.group == SOURCE_ID:
            return PAIR
        return (self.group,) if self.group else ()


@functools.cache
def import_types() -> Mapping[str, ImportType]:
    """Every type by its name."""
    text = resources.files("syncengine.spec").joinpath("data/import_types.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, ImportType])
