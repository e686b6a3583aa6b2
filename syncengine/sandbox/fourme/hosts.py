"""Under which names the service is known (documented: environments and regions, the old and the new spelling)."""

from __future__ import annotations

import re

_HOST = re.compile(
    r"(?P<part>api|oauth)\.(?:localhost|(?:(?:au|uk|ch|us)\.)?(?:4me|xurrent)(?:\.com|\.qa|-demo\.com))", re.IGNORECASE
)


def part(host: str) -> str:
    """`api` or `oauth` for a host of the service, else nothing.

    `api.localhost` and `oauth.localhost` are the sandbox's own, for clients that derive the one from the other.
    """
    match = _HOST.fullmatch(host)
    return match["part"].lower() if match else ""
