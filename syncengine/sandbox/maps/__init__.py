"""Staging tables and transform maps: as a seed writes them, as records, and as they are used.

definition.py  the form of a seed, and the records that stand for it
stored.py      the records, read back for use
doubts.py      what in them cannot be meant
standin.py     the declared safe forms that stand in for scripts
"""

from syncengine.sandbox.maps.definition import STOCK, DefinitionError, map_id, staging_rows, stock
from syncengine.sandbox.maps.doubts import doubts
from syncengine.sandbox.maps.stored import Entry, Map, Maps

__all__ = ["STOCK", "DefinitionError", "Entry", "Map", "Maps", "doubts", "map_id", "staging_rows", "stock"]
