"""EC2, Auto Scaling and target groups of load balancers, as much of them as we use, in one account and Region.

Methods raise AwsUnavailable for what passes by itself, BadEvent for an action of another account or Region, and
AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import BadEvent
from rollcall.domain.membership import Membership, holds

from .auto_scaling import AutoScaling
from .instances import Instances
from .target_groups import Targets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.domain.actions import LifecycleAction


class Fleet(AutoScaling, Instances):
    """The Auto Scaling groups and instances of one account and Region."""

    @property
    def targets(self) -> Targets:
        """The target groups of its load balancers."""
        return Targets(self._elbv2)

    def departed(self, instance_ids: Collection[str], memberships: Mapping[str, Membership]) -> set[str]:
        """Those of the instances that are gone or going.

        That Auto Scaling does not list one is not enough: it may have been detached, and live on.
        """
        unlisted = [each for each in instance_ids if each not in memberships]
        living = {each.instance_id for each in self.instances(unlisted).values() if each.living} if unlisted else set()
        return {each for each in unlisted if each not in living} | {
            each for each, known in memberships.items() if known.leaving
        }

    def held(self, actions: Collection[LifecycleAction]) -> set[LifecycleAction]:
        """Those of the actions whose instances Auto Scaling still shows as held by a hook of their transition."""
        memberships = self.memberships({action.instance_id for action in actions}) if actions else {}
        return {action for action in actions if holds(memberships.get(action.instance_id), action.transition)}


class Fleets:
    """The fleets that this installation serves: so far the one of its own account and Region."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self.own = Fleet(region)

    def of(self, action: LifecycleAction) -> Fleet:
        """The fleet an action belongs to. Raises BadEvent for an account or a Region that is not served.

        Nothing is read or done about an action before this has let it pass.
        """
        require_served(action, self._account, self.own.region)
        return self.own


def require_served(action: LifecycleAction, account: str, region: str) -> None:
    """Refuse an action of another account or Region, which a bus, a topic or a queue may forward. Raises BadEvent."""
    if (action.account, action.region) != (account, region):
        raise BadEvent(
            f"{action.instance_id} belongs to account {action.account} and Region {action.region}, and only account "
            f"{account} in {region} is served: send its events to an installation there"
        )
