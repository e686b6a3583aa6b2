"""No secret in any form, no control character, no flood."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from syncengine.transport.redaction import FOUND, IN_A_WORD, MASK, SHORT, TOO_SHORT, Redactor, _forms, cut, escape

LETTERS = st.characters(max_codepoint=0x2FF)
FORMS: list[Callable[[str], str]] = [
    str,
    str.upper,
    quote,
    quote_plus,
    html.escape,
    lambda secret: quote(secret, safe="").lower(),
    lambda secret: base64.b64encode(secret.encode()).decode(),
    lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    lambda secret: base64.b64encode(f"ada:{secret}".encode()).decode(),
    lambda secret: base64.b64encode(f"ad:{secret}:tail".encode()).decode(),
    lambda secret: base64.b64encode(f"a:{secret}".encode()).decode(),
    json.dumps,
    lambda secret: json.dumps(secret, ensure_ascii=False).replace("/", "\\/"),
    lambda secret: json.dumps(json.dumps(secret)),
    lambda secret: secret.encode().hex(),
]


@pytest.mark.covers("SEC-04")
@given(secret=st.text(LETTERS, min_size=1, max_size=12), around=st.tuples(*[st.text(LETTERS, max_size=20)] * 2))
def test_no_shown_text_contains_a_secret(secret: str, around: tuple[str, str]) -> None:
    """Property: whatever stands around it, the secret is not in what is shown (a mask apart)."""
    before, after = around
    for form in FORMS:
        shown = Redactor([secret]).show(before + form(secret) + after)
        assert secret not in shown.replace(MASK, "") or set(secret) <= {"*"}
        assert len(shown) <= FOUND


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_secret_is_masked(form: Callable[[str], str]) -> None:
    secret = 'CANARY-7f3a/p+ss"w rdé'
    shown = Redactor(["other", secret]).show(f"x {form(secret)} y", 400)
    assert MASK in shown
    for trace in ("CANARY", "7f3a", "Q0FOQVJZ", "NBTkFSWS", "DQU5BUl", "43414e"):
        assert trace.lower() not in shown.lower()


@given(st.text(max_size=400), st.integers(10, 200))
def test_what_is_shown_is_one_short_printable_line(text: str, width: int) -> None:
    shown = Redactor(["secret"]).show(text, width)
    assert len(shown) <= width
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & {chr(code) for code in (*range(32), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200B)}


def test_control_characters_are_spelled() -> None:
    assert escape("a\x1b]0;t\x07\nb\u202ec\u2028d") == "a\\x1b]0;t\\x07\\x0ab\\u202ec\\u2028d"


def test_a_cut_shows_that_something_is_missing() -> None:
    assert cut("x" * 81, 80) == "x" * 79 + "…"
    assert cut("x" * 80, 80) == "x" * 80


def test_a_secret_is_masked_before_the_cut() -> None:
    assert "CANA" not in Redactor(["CANARY-secret"]).show("x" * 75 + "CANARY-secret")


@pytest.mark.parametrize("secret", ["e", "7", "er", "rve", "serve", "Refuse", "s", "\\", "x1b"])
def test_a_mask_in_the_midst_of_words_would_tell_so_nothing_is_shown(secret: str) -> None:
    """`s***rv***r` has lost an e."""
    text = "host-7: The server refused the request\x1b[0m: x1bc \\"
    assert Redactor([secret]).show(text, 400) == MASK


@pytest.mark.parametrize("secret", ["hunter2", "serve-r", "x7f3", "refused", "7hunter7", "!Pa55!", "90210"])
def test_a_secret_that_stands_alone_is_masked_where_it_stands(secret: str) -> None:
    shown = Redactor([secret]).show(f'the login "{secret}" of ada was not taken (password={secret})')
    assert shown == 'the login "***" of ada was not taken (password=***)'


@pytest.mark.parametrize(("secret", "why"), [("f", TOO_SHORT), ("rve", TOO_SHORT), ("serve", IN_A_WORD)])
def test_the_name_of_a_secret_that_hides_a_whole_text_is_told_once(secret: str, why: str) -> None:
    """Not that of one which is masked alone."""
    told: list[tuple[str, str]] = []
    redactor = Redactor(on_hidden=lambda name, said: told.append((name, said)))
    redactor.add("hunter2", "{env: OTHER}")
    redactor.add(secret, "{env: PASSWORD}")
    assert redactor.show("hunter2 is gone") == "*** is gone"
    assert told == []
    for _ in range(2):
        assert redactor.show("the server refused hunter2") == MASK
    assert told == [("{env: PASSWORD}", why)]
    assert redactor.short == (["{env: PASSWORD}"] if why == TOO_SHORT else [])


@given(secret=st.text(LETTERS, min_size=1, max_size=SHORT - 1), around=st.tuples(*[st.text(LETTERS, max_size=20)] * 2))
def test_of_a_text_with_a_short_secret_nothing_is_shown(secret: str, around: tuple[str, str]) -> None:
    for form in FORMS:
        assert Redactor([secret]).show(around[0] + form(secret) + around[1]) == MASK


@given(secret=st.text(LETTERS, min_size=SHORT), text=st.text(st.characters(codec="ascii", categories=["L", "Zs"])))
def test_a_text_without_the_secret_stays_as_it_is(secret: str, text: str) -> None:
    redactor = Redactor([secret])
    assume(not any(form.casefold() in text.casefold() for form in _forms(secret)))
    assert redactor.mask(text) == text
