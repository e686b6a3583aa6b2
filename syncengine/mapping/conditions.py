"""The lines of a condition as functions; words ignore case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syncengine.mapping import operators, words
from syncengine.mapping.model import Test
from syncengine.mapping.values import fold


def tested(test: Test) -> Callable[[Any], bool]:
    """One line of a condition as a function."""
    operands = [fold(one) for one in test.operands]
    chosen = frozenset(operands)
    match test.operator:
        case "is":
            return lambda value: value is not None and fold(operators.text(value) or "") in chosen
        case "not":
            return lambda value: value is None or fold(operators.text(value) or "") not in chosen
        case "contains":
            return lambda value: value is not None and any(one in fold(operators.text(value) or "") for one in operands)
        case "starts_with":
            start = tuple(operands)
            return lambda value: value is not None and fold(operators.text(value) or "").startswith(start)
        case "matches":
            compiled = words.pattern(f"(?i){test.operands[0]}")
            return lambda value: value is not None and words.matches(operators.text(value) or "", compiled)
        case "above" | "below":
            limit = float(test.operands[0])
            above = test.operator == "above"

            def compare(value: Any) -> bool:
                if value is None:
                    return False
                amount = words.FILTERS["float"](value)
                return bool(amount > limit) if above else bool(amount < limit)

            return compare
        case _:
            raise AssertionError(test.operator)
