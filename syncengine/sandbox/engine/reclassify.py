"""What happens when the record found has another class than the item (documented: page on reclassification)."""

from __future__ import annotations

from syncengine.sandbox.engine.payload import Fault, Item
from syncengine.sandbox.world import World


def direction(world: World, old: str, new: str) -> str:
    """Upgrade goes down the tree, downgrade up, switch across."""
    if world.tables.isa(new, old):
        return "Upgrade"
    return "Downgrade" if world.tables.isa(old, new) else "Switch"


def reclassify(world: World, item: Item) -> None:
    """Settle the item's class: change it, keep the old one, or reject the item."""
    assert item.record is not None  # noqa: S101 - only for items that were found
    old, new = item.record.table, item.cls
    item.new_class = new
    if old == new:
        return
    way = direction(world, old, new)
    # the order is documented: the item's flag or the property, then restriction rules, then glide.class.*.enabled
    kept = f"updateWithout{way}" in item.flags or world.enabled(
        f"glide.identification_engine.update_without_{way.lower()}_enabled"
    )
    if kept or _restricted(world, item, way, old, new):
        item.new_class = old
        item.info.append(
            {
                "code": f"SKIPPED_CLASS_{way.upper()}",
                "message": f"CI Reclassification not allowed from class: [{old}] to [{new}] "
                "by a reclassification restriction rule",
                "ruleSysId": "",
            }
        )
        return
    allowed = f"class{way}" in item.flags or world.enabled(f"glide.class.{way.lower()}.enabled")
    if not allowed or world.rules.rule(old) is not item.rule:
        item.errors.append(
            Fault("RECLASSIFICATION_NOT_ALLOWED", f"CI Reclassification not allowed from class: [{old}] to [{new}]")
        )
        return
    item.operation = f"UPDATE_WITH_{way.upper()}"


def _restricted(world: World, item: Item, way: str, old: str, new: str) -> bool:
    # documented: restriction rules hold for downgrade and switch only
    if way == "Upgrade" or "skipReclassificationRestrictionRules" in item.flags:
        return False
    if not world.enabled("glide.identification_engine.reclassification_restriction_rules_enabled"):
        return False
    return any(
        rule.get("from_class") in world.tables[old].path and rule.get("to_class", new) in ("", *world.tables[new].path)
        for rule in world.restrictions
    )
