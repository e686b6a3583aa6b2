"""Guards as files write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from syncengine.spec.keys import Fields, Key, Mapped
from syncengine.spec.model import GUARDS, GuardLimits, Guards, Limit
from syncengine.spec.nodes import MapNode, Node, Scalar
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import Schema, Shape

_LIMIT = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,3})?) ?(?P<percent>%?)")


@dataclass(frozen=True)
class LimitShape(Shape[Limit]):
    """A number or a percentage."""

    percent: bool = True

    @property
    def says(self) -> str:  # type: ignore[override]
        """Both forms."""
        return "a number such as 50, or a percentage such as 5%" if self.percent else "a whole number such as 50"

    def read(self, node: Node, report: Report) -> Limit:
        found = _LIMIT.fullmatch(node.text) if isinstance(node, Scalar) else None
        if (
            found is None
            or (found["percent"] and not self.percent)
            or (not found["percent"] and "." in found["number"])
        ):
            raise self.expected(node, report)
        value = float(found["number"])
        if found["percent"] and value > 100:
            raise report.stop("out-of-range", f"A percentage is at most 100, found {value:g}", node.position)
        return Limit(value, bool(found["percent"]), node.position)

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        if not self.percent:
            return {"type": "integer", "minimum": 0}
        return {
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": "^(?:100(?:\\.0+)?|[0-9]{1,2}(?:\\.[0-9]{1,3})?) ?%$",
        }


@dataclass(frozen=True)
class GuardShape(Shape[GuardLimits]):
    """One limit for all, or limits by step."""

    percent: bool = True

    @property
    def says(self) -> str:  # type: ignore[override]
        """As the limit says it."""
        return LimitShape(self.percent).says

    def read(self, node: Node, report: Report) -> GuardLimits:
        shape = LimitShape(self.percent)
        if not isinstance(node, MapNode):
            return GuardLimits(shape.read(node, report))
        steps: dict[str, Limit] = {}
        failed = False
        for key, value in node.pairs:
            try:
                steps[key.text] = shape.read(value, report)
            except Wrong:
                failed = True
        if failed:
            raise Wrong
        return GuardLimits(None, steps)

    def schema(self, named: dict[str, Schema]) -> Schema:
        limit = LimitShape(self.percent).schema(named)
        return {"if": {"type": "object"}, "then": {"additionalProperties": limit, "minProperties": 1}, "else": limit}


_DOCS = {
    "min_rows": ("Fewer source rows stop the run; by name of source.", 1),
    "max_creates": ("Records that may be created.", None),
    "max_updates": ("Records that may be updated; percentages are of the records that are ours.", "30% (at least 10)"),
    "max_retires": ("Records that may be retired.", "10% (at least 5)"),
    "max_reclassified": ("CIs whose class may change.", 0),
    "max_bad_rows": ("Rows that rules may skip.", 0),
    "max_errors": ("Rows that the server may refuse.", "10% (at least 20)"),
    "max_touched_foreign": ("Records of other sources that may be touched as an end of a relation.", None),
}
_PLAIN = ("min_rows", "max_reclassified")
KEYS = tuple(
    Key(name, GuardShape(name not in _PLAIN), _DOCS[name][0], default=_DOCS[name][1], example=f"{name}: 10")
    for name in GUARDS
)


def _build(fields: Fields, report: Report) -> Guards:
    del report
    if fields.failed:
        raise Wrong
    return Guards(**{key.name: fields.get(key) for key in KEYS})


GUARDS_SHAPE: Mapped[Guards] = Mapped("guards", "guards", KEYS, _build)
