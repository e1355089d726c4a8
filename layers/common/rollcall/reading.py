"""What there is in AWS and in Tower, read for a plan to be made of it (rollcall.drift).

Tower is read before AWS, so that a host made meanwhile is not taken for one whose instance is gone. Nothing is said of
a group of which something could not be read, and nothing at all where AWS does not answer completely.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import RollcallError, Throttled
from .identity import marker_of
from .provisioning import JOBS_FROM, find_in_tower, job_of
from .settings import OPT_IN_TAG, read_group_settings
from .snapshot import SETTLED, Place, Snapshot, proven, suspects

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from .fleet import Fleet, Membership, OptedIn
    from .model import Dump, Instance, Inventory, JobTemplate, Wishes
    from .settings import Settings
    from .tower import Tower

CONTROLS = (
    5  # instances that EC2 is asked about although they serve: whether it knows them tells what its answer is worth
)


class Reading:
    """Reads one Region's groups and their inventories.

    troubles: takes what cannot be read of a group or an inventory. templates: of the groups that were read.
    dump_seconds: what each inventory took, by id.
    """

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet, troubles: dict[str, RollcallError]) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._troubles = troubles
        self.templates: dict[str, JobTemplate | None] = {}
        self.dump_seconds: dict[int, float] = {}

    def read(self, wishes: Wishes) -> Snapshot:
        """Everything that a plan needs to know. Raises what AWS, or Tower about all of them, did not answer."""
        places = self._places(self._fleet.opted_in(OPT_IN_TAG, members=False))
        dumps = self._dumps([place.inventory for place in places.values()])
        opted_in = self._fleet.opted_in(OPT_IN_TAG)
        # What an inventory is called is remembered for a minute, and so may differ between its groups.
        places = {
            name: replace(place, inventory=dumps[place.inventory.id].inventory)
            for name, place in places.items()
            if place.inventory.id in dumps and name in opted_in
        }
        seen = Snapshot(
            account=self._settings.account,
            region=self._fleet.region,
            now=self._tower.now(),
            places=places,
            troubled=frozenset(opted_in.keys() - places.keys()),
            memberships={each: known for group in opted_in.values() for each, known in group.members.items()},
            instances={},
            dumps=dumps,
        )
        asked = suspects(seen)
        seen = replace(seen, memberships={**seen.memberships, **self._fleet.memberships(asked)})
        seen = replace(seen, instances=self._instances(seen, seen.memberships.keys() | asked))
        known = seen.memberships.keys() | seen.instances.keys()
        unknown = {
            host.id
            for dump in dumps.values()
            for host in dump.hosts
            if (marker := marker_of(host, seen.account, seen.region)) and marker.instance_id not in known
        }
        return replace(
            seen,
            now=self._tower.now(),
            created_at=self._tower.created_at(unknown) if unknown else {},
            by_instance_id=self._by_instance_id(seen) if wishes.adopt else {},
            jobs_ended=self._jobs_ended(seen),
        )

    def _instances(self, seen: Snapshot, wanted: Collection[str]) -> dict[str, Instance]:
        """What EC2 says of those whose hosts do not prove them, and of a few others, to see that it answers."""
        certain = proven(seen)
        asked = set(wanted) - certain | set(sorted(certain)[:CONTROLS])
        instances = self._fleet.instances(asked)
        require_credible({each: seen.memberships[each] for each in asked & seen.memberships.keys()}, instances)
        return instances

    def _places(self, opted_in: Mapping[str, OptedIn]) -> dict[str, Place]:
        places: dict[str, Place] = {}
        for name, each in opted_in.items():
            with self._telling(f"group {name}"):
                settings = read_group_settings(each.group)
                if settings:
                    inventory, self.templates[name] = find_in_tower(self._tower, settings)
                    places[name] = Place(settings, inventory)
        return places

    def _dumps(self, named: Iterable[Inventory]) -> dict[int, Dump]:
        dumps: dict[int, Dump] = {}
        by_id = {inventory.id: inventory for inventory in [*named, *self._tower.marked_inventories()]}
        for inventory in by_id.values():
            began = time.monotonic()
            with self._telling(f"inventory {inventory.name}"):
                dumps[inventory.id] = self._tower.dump(inventory)
            self.dump_seconds[inventory.id] = time.monotonic() - began
        return dumps

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except RollcallError as error:
            self._troubles[what] = error

    def _by_instance_id(self, seen: Snapshot) -> dict[tuple[int, str], int]:
        """The hosts without our marker whose field instance_id names an instance that has no host yet."""
        hosted = {
            (dump.inventory.id, marker.instance_id)
            for dump in seen.dumps.values()
            for host in dump.hosts
            if (marker := marker_of(host, seen.account, seen.region))
        }
        wanted = {
            instance_id
            for instance_id, membership in seen.memberships.items()
            if (place := seen.places.get(membership.group)) and (place.inventory.id, instance_id) not in hosted
        }
        return {
            (host.inventory_id, host.instance_id): host.id for host in self._tower.hosts_of(wanted) if not host.owner
        }

    def _jobs_ended(self, seen: Snapshot) -> dict[str, float]:
        waiting: defaultdict[int, set[str]] = defaultdict(set)
        for instance_id, membership in seen.memberships.items():
            template = self.templates.get(membership.group)
            if template and membership.state == "Pending:Wait" and instance_id in seen.instances:
                waiting[template.id].add(instance_id)
        ended: dict[str, float] = {}
        for template_id, ids in waiting.items():
            since = min(seen.instances[each].launched_at for each in ids) - JOBS_FROM
            try:
                jobs = self._tower.jobs_holding(template_id, ids, since)
            except RollcallError as error:
                self._troubles[f"jobs of job template {template_id}"] = error
                ended |= dict.fromkeys(ids, math.inf)  # nobody says that they are forgotten
                continue
            for instance_id in ids:
                if job := job_of(instance_id, jobs):
                    ended[instance_id] = (job.finished_at or self._tower.now()) if job.status.final else math.inf
        return ended


def require_credible(memberships: Mapping[str, Membership], instances: Collection[str]) -> None:
    """Refuse an answer of EC2 that knows nobody of those who serve and were asked for. Raises Throttled.

    It would make every instance that no group lists look gone. Of a single one EC2 may really not know yet, or any
    more, when Auto Scaling lists it; with two or more that is less likely than an empty answer.
    """
    serving = [each for each, known in memberships.items() if known.state in SETTLED]
    if len(serving) > 1 and not any(each in instances for each in serving):
        raise Throttled(
            f"EC2 describes none of the {len(serving)} instances that Auto Scaling says are in service: an answer that "
            "cannot be trusted, and nothing is done; the next run asks again"
        )
