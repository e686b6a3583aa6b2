"""A seed document as YAML that a reviewer can read: one line for what is one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_LISTS = frozenset({"choices", "relation_types", "properties"})
"""Sections whose smallest mappings are long lists."""
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Plain(yaml.representer.SafeRepresenter):
    """Writes a value again where it stands again."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def written(document: Mapping[str, Any], origin: str) -> bytes:
    """The document as text; the same document gives the same bytes."""
    lines = [
        f"# Pulled from {origin}: syncengine sandbox pull writes this file anew.",
        "# The sandbox loads it at its first start, before seed.yaml. The records are data of the instance.",
        "",
    ]
    for name, section in document.items():
        lines.append(_dumped({name: section}, name in _LISTS))
    return "\n".join(lines).encode()


def _dumped(section: Mapping[str, Any], is_list: bool) -> str:
    node = _Plain(sort_keys=False).represent_data(section)
    _shape(node, is_list)
    node.flow_style = False  # type: ignore[attr-defined]
    text: str = yaml.serialize(node, Dumper=_DUMPER, width=1_000_000, allow_unicode=True)
    return text


def _shape(node: yaml.Node, is_list: bool) -> bool:
    """Write what holds plain values only on one line; True for a plain value."""
    if isinstance(node, yaml.MappingNode):
        parts = [value for _, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        parts = list(node.value)
    else:
        return True
    plain = [_shape(part, is_list) for part in parts]
    short = all(plain) and not is_list
    if not short and isinstance(node, yaml.MappingNode) and not is_list:
        # a mapping of plain values and short lists, such as a rule's entry
        short = all(isinstance(part, yaml.ScalarNode) or (isinstance(part, yaml.SequenceNode) and part.flow_style
                    and all(isinstance(one, yaml.ScalarNode) for one in part.value)) for part in parts)  # fmt: skip
    node.flow_style = short
    return False
