"""How far the sources of a part of a plan have to be read, so that the part is the same as if they were read whole.

`--limit` wants the first records of a step, and of a step that was not selected nothing is wanted. But any row may be
what another step refers to; any row of a step with relations may say in which CI a wanted record lives; and native keys
are compared between all steps of one data source. A record that was selected by its key may come again further down,
which would make it a bad row. All these are read to their end, and so is a query, whose hash is that of all its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from syncengine.planning.selection import Selection, Wanted
from syncengine.spec.model import Spec


def enough(specs: Sequence[Spec], references: Sequence[Spec], of: Selection) -> Mapping[str, int]:
    """How many records suffice, of the steps of these specs where not all are needed; 0: the source is not read."""
    everything = [step for spec in (*specs, *references) for step in spec.steps.values()]
    named = {one.step for step in everything for one in step.references}
    writers = Counter(step.data_source for spec in specs for step in spec.steps.values() if step.kind == "cmdb")
    found: dict[str, int] = {}
    for spec in specs:
        for step in spec.steps.values():
            relates = step.kind == "relation" or any(one.role is not None for one in step.references)
            shares = step.kind == "cmdb" and writers[step.data_source] > 1
            if relates or shares or step.full_name in named or step.full_name in of.whole:
                continue
            wanted = of.steps.get(step.full_name)
            if wanted is None:
                found[step.full_name] = 0
            elif of.limit is not None and wanted == Wanted(everything=True) and spec.sources[step.source].kind != "sql":
                found[step.full_name] = of.limit
    return found
