"""What 4me refuses to begin with, in words that say what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncengine.errors import AuthError
from tests.targets.fourme.desk import Desk, csv_of


@pytest.mark.parametrize(
    ("login", "said", "advice"),
    [
        ({"token": "x" * 40}, "the token is refused for the account sandbox", "make a token in My Profile"),
        ({"account": "nobody"}, "needs the role Account Administrator in the account nobody", "check the account"),
    ],
)
def test_a_refused_login_names_the_account_and_what_to_do(
    desk: Desk, login: dict[str, str], said: str, advice: str
) -> None:
    """Nothing was written; the token stands in no message."""
    desk.sandbox = replace(desk.sandbox, fourme=replace(desk.sandbox.fourme, **login))
    with pytest.raises(AuthError) as refused:
        desk.plan(people_csv=csv_of(1))
    (problem,) = refused.value.problems
    assert said in problem.message
    assert advice in problem.fix
    assert "x" * 40 not in str(refused.value)
