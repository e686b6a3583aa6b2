"""What may be shown of a request or an answer: no secret in any of its forms, no control character, no flood."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"
FOUND = 80
"""Longest text shown as what was found."""
SENTENCE = 160
"""Longest sentence."""
SHORT = 4
"""Secrets below this length stand in any text by chance."""
TOO_SHORT = "is so short that it stands in almost any text"
IN_A_WORD = "stands inside a word there"
_LOOKED_AT = 64 * 1024
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]"
)


_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{2,}")


class Redactor:
    """Masks the secrets it was told; shared by all that show text of one run.

    A mask in the midst of words tells what it hides: `s***rv***r` has lost an e, `***r failed` the rest of a server. So
    where a secret is that short, or stands inside a longer word, nothing of the text is shown, and `on_hidden` is told
    once which secret was to blame: its name, and why.
    """

    def __init__(
        self, secrets: Iterable[str] = (), *, on_hidden: Callable[[str, str], None] = lambda _name, _why: None
    ) -> None:
        self._names: dict[str, str] = {}
        self._on_hidden = on_hidden
        self._forms: frozenset[str] = frozenset()
        self._telling: set[str] = set()
        self._short: frozenset[bytes] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self._tells: re.Pattern[str] | None = None
        self._blamed: set[str] = set()
        self._lock = threading.Lock()
        for secret in secrets:
            self.add(secret)

    @property
    def short(self) -> list[str]:
        """The names of secrets that are so short that they stand in any text by chance."""
        return [name for secret, name in self._names.items() if len(secret) < SHORT]

    def add(self, secret: str, name: str = "") -> None:
        """Mask this from now on, and its base64, URL, JSON and HTML forms; `name` says where it comes from."""
        if not secret:
            return
        if name:
            self._names.setdefault(secret, name)
        if secret in self._forms:
            return
        with self._lock:
            self._forms |= frozenset(_forms(secret))
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._telling |= _telling(secret)
            if len(secret) < SHORT:
                self._short |= {secret.encode("utf-8", "surrogatepass")}
            # without a pattern there is no such place: an empty one would be everywhere
            self._tells = re.compile("|".join(sorted(self._telling)), re.IGNORECASE) if self._telling else None
            self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)

    def mask(self, text: str) -> str:
        """The text with every known secret as `***`."""
        pattern = self._pattern
        if pattern is None:
            return text
        if (self._tells is not None and self._tells.search(text)) or _is_packed(text, self._short):
            self._blame(text)
            return MASK
        masked = pattern.sub(MASK, text)
        # A mask may complete another secret (`a*` after `a`): then nothing of the text is worth the risk.
        return MASK if masked != text and any(form in masked for form in self._forms) else masked

    def _blame(self, text: str) -> None:
        """Tell which of the secrets that have a name hides a text, the first time it does."""
        for secret, name in list(self._names.items()):
            is_short = len(secret) < SHORT
            packed = {secret.encode("utf-8", "surrogatepass")} if is_short else ()
            inside = _telling(secret)
            if (inside and re.search("|".join(inside), text, re.IGNORECASE)) or _is_packed(text, packed):
                with self._lock:
                    is_new = name not in self._blamed
                    self._blamed.add(name)
                if is_new:
                    self._on_hidden(name, TOO_SHORT if is_short else IN_A_WORD)

    def show(self, text: str, width: int = FOUND) -> str:
        """One line fit for a terminal: masked first, then escaped, then cut."""
        # Escaping can spell a secret (`\x1b` is four letters), so what was escaped is masked again.
        shown = self.mask(escape(self.mask(text[:_LOOKED_AT])))
        return self.mask(cut(shown, width))


def _is_packed(text: str, secrets: Collection[bytes]) -> bool:
    """Whether a short secret is inside a base64, of which too few letters are its own to be looked for."""
    for run in _BASE64.findall(text) if secrets else ():
        for start in range(min(4, len(run) - 1)):
            part = run[start:].replace("-", "+").replace("_", "/")
            part = part[: len(part) - (len(part) % 4 == 1)]
            data = base64.b64decode(part + "=" * (-len(part) % 4))
            if any(secret in data for secret in secrets):
                return True
    return False


def escape(text: str) -> str:
    """Control, invisible and direction-changing characters as `\\x1b`; one line stays one line."""
    return _UNSHOWABLE.sub(_escaped, text)


def cut(text: str, width: int) -> str:
    """At most `width` characters, with `…` where something is missing."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _telling(secret: str) -> set[str]:
    """Patterns of places where a mask would tell the secret."""
    if len(secret) < SHORT:
        return {re.escape(form) for form in _forms(secret)}
    plain = re.escape(secret)
    found = set()
    if secret[0].isalpha():
        found.add(rf"(?<=[^\W\d_]){plain}")
    if secret[-1].isalpha():
        found.add(rf"{plain}(?=[^\W\d_])")
    return found


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield from (secret.upper(), secret.lower(), secret.casefold())  # some letters become two: ß, ǰ
    yield escape(secret)
    raw = secret.encode("utf-8", "surrogatepass")
    yield from _base64_forms(raw)
    for safe in ("", "/"):
        yield quote(raw, safe=safe)
        yield quote_plus(raw, safe=safe)
    yield "".join(f"%{byte:02X}" for byte in raw)
    yield raw.hex()
    for ascii_only in (True, False):
        inside = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield inside
        yield inside.replace("/", "\\/")
        yield json.dumps(inside, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(secret)
    yield repr(secret)[1:-1]


def _base64_forms(raw: bytes) -> Iterator[str]:
    """As its own base64, and as part of a longer one (`user:password`), which shifts it by 0, 1 or 2 bytes."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        for shift in range(3):
            text = encode(b"\0" * shift + raw).decode()
            inner = text[(shift * 8 + 5) // 6 : (shift + len(raw)) * 8 // 6]
            if len(inner) >= 4:
                yield inner
