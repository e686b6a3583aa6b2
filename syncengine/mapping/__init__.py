"""Row to record: a step's recipe is compiled once and run over batches."""

from syncengine.mapping.mapper import BATCH, Counts, Made, Mapper
from syncengine.mapping.model import Recipe

__all__ = ["BATCH", "Counts", "Made", "Mapper", "Recipe"]
