"""Sensitive values in a plan: encrypted, the same text giving the same bytes, so that plans stay reproducible.

AES-SIV (RFC 5297) is deterministic and authenticates: a value moved to another field or key does not open. The key
comes from outside (SYNCENGINE_PLAN_KEY); any text of 16 characters and more will do.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from syncengine.changes import Change, StepInfo
from syncengine.errors import Problem, SpecError, StaleError

PREFIX = "\x00sealed:"
KEY_NAME = "SYNCENGINE_PLAN_KEY"
SHORTEST = 16
HIDDEN = "***"


class Sealer:
    """Seals and opens values with one key; the same key makes the same plan."""

    def __init__(self, key: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # few plans hold anything sensitive

        self._cipher = AESSIV(hashlib.sha512(b"syncengine plan\0" + key.encode()).digest())

    def seal(self, value: str, *scope: str) -> str:
        """A value as it stands in a plan."""
        sealed = self._cipher.encrypt(value.encode(), [part.encode() for part in scope])
        return PREFIX + base64.b64encode(sealed).decode()

    def open(self, value: str, *scope: str) -> str:
        """The value; raises StaleError when the key is another one or the value stood elsewhere."""
        from cryptography.exceptions import InvalidTag  # as above

        try:
            sealed = base64.b64decode(value.removeprefix(PREFIX))
            return self._cipher.decrypt(sealed, [part.encode() for part in scope]).decode()
        except (InvalidTag, ValueError):
            raise StaleError(
                Problem(
                    "plan-key",
                    "a sensitive value of the plan cannot be opened with this key",
                    fix=f"set {KEY_NAME} to the key the plan was made with",
                )
            ) from None


def sealer(key: str | None, steps: Iterable[StepInfo]) -> Sealer | None:
    """The sealer that a plan's steps need, None when none is sensitive; raises SpecError without a key."""
    wanting = [step for step in steps if step.sensitive]
    if not wanting:
        return None
    if key is None or len(key) < SHORTEST:
        fields = ", ".join(f"{step.name}.{name}" for step in wanting for name in step.sensitive)
        raise SpecError(
            Problem(
                "plan-key",
                f"sensitive fields need a key to be encrypted with: {fields}",
                wanting[0].position,
                fix=f"export {KEY_NAME}=...   (16 characters or more; apply needs the same)",
            )
        )
    return Sealer(key)


def check_of(by: Sealer | None) -> str:
    """What a plan's header keeps, so that another key is noticed before anything is sent."""
    return "" if by is None else by.seal("syncengine", "header")


def same_key(check: str, by: Sealer | None) -> None:
    """Refuse a key that the plan was not made with; raises StaleError."""
    if by is not None:
        by.open(check, "header")


def sealed(change: Change, step: StepInfo, by: Sealer | None) -> Change:
    """A change with its sensitive values sealed, in place."""
    if by is not None:
        for name in step.sensitive:
            for values in (change.values, change.before):
                if name in values:
                    values[name] = by.seal(values[name], step.name, change.key, name)
    return change


def opened(change: Change, step: StepInfo, by: Sealer | None) -> Change:
    """A change with its sensitive values open again, in place."""
    if by is not None:
        for name in step.sensitive:
            for values in (change.values, change.before):
                if name in values:
                    values[name] = by.open(values[name], step.name, change.key, name)
    return change


def shown(value: str) -> str:
    """A value for people: what is sealed stays hidden."""
    return HIDDEN if value.startswith(PREFIX) else value
