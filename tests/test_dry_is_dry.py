"""A plan cannot write: the doors it has open only onto what writes nothing, by the server's own account."""

import pytest

from syncengine.sandbox.routes import ROUTES
from syncengine.transport.reader import ASKS, Reader


@pytest.mark.covers("SEC-52")
def test_what_may_be_asked_is_no_route_that_writes() -> None:
    for path in ASKS:
        for route in ROUTES:
            if route.method == "POST" and route.path.fullmatch(path):
                assert not route.writes, path


@pytest.mark.covers("SEC-52")
def test_a_reader_has_no_way_to_write() -> None:
    """`save` fetches a file that the server names, by GET; the only POST of 4me that writes is its import."""
    public = {name for name in dir(Reader) if not name.startswith("_")}
    assert public == {"get", "ask", "save", "host", "base_url", "clock", "retries"}
    assert "/v1/import" not in ASKS
    writing = [route for route in ROUTES if route.writes and route.method == "POST"]
    assert writing
    for route in writing:
        assert not any(route.path.fullmatch(path) for path in ASKS)
