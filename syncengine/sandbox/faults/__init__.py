"""Answers that go wrong on request.

rules.py       the grammar: api=ire, every=7, do=status(503), retry_after=5
exchange.py    one request and its answer, and the connection below them
content.py     answers that are well-formed but say the wrong thing
wire.py        answers that are broken on their way
serve.py       which rules meet a request, in which order
"""

from syncengine.sandbox.faults.exchange import Answer, Exchange
from syncengine.sandbox.faults.rules import RuleError
from syncengine.sandbox.faults.serve import Faults

__all__ = ["Answer", "Exchange", "Faults", "RuleError"]
