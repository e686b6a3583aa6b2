"""What an instance is made of, read for a sandbox: one seed document that reviewers can read.

asking.py    questions that may be refused, and what to ask the admin for
tables.py    the class tree, columns, choices
rules.py     identification, dependencies, relation types, reconciliation, properties
maps.py      transform maps of staging tables
records.py   a bounded sample of records, with what identifies them and what they hang on
document.py  the document as text: the same instance gives the same bytes
"""

from __future__ import annotations

from syncengine.pull.asking import Missing
from syncengine.pull.document import written
from syncengine.pull.whole import Pulled, Wanted, pull

__all__ = ["Missing", "Pulled", "Wanted", "pull", "written"]
