"""Whether an installation can follow a group's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .inventory_text import Refusal, refusal_of_group_name, refusal_of_text
from .objections import Objection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .groups import GroupSettings
    from .settings import Settings


def objections_to(group: GroupSettings, here: Settings) -> Iterator[Objection]:
    """What keeps this installation from following a group's settings."""
    yield from name_objections(group)
    if group.nodes and not here.chef_secret:
        yield Objection(
            "no Chef server",
            f"group {group.group!r}: tag rollcall:chef asks for a Chef server",
            "deploy with ChefSecretArn, or remove the tag",
        )


def name_objections(group: GroupSettings) -> Iterator[Objection]:
    """What keeps a group's name out of its hosts' variables, and its hosts out of the inventory groups that it names.

    Without a tag that names others its own name is such a name, and AWS lets it be nearly anything.
    """
    if why := refusal_of_text(group.group):
        yield Objection(
            "name that Tower would evaluate" if why == Refusal.EVALUATED else "name that Tower cannot store",
            f"group {group.group!r}: its name cannot be a variable of its hosts ({why})",
            "make the group anew under another name",
        )
        return
    for name in group.inventory_groups:
        if why := refusal_of_group_name(name):
            yield Objection(
                f"inventory group {name!r}",
                f"group {group.group!r}: its hosts cannot be in an inventory group {name!r} ({why})",
                "name other groups in the tag rollcall:groups",
            )
