"""What there is in AWS and in Tower, read for a plan to be made of it (rollcall.reconcile.plan).

Tower is read before AWS, so that a host made meanwhile is not taken for one whose instance is gone. Nothing is said of
a group of which something could not be read, and nothing at all where AWS does not answer completely.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import replace
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

from rollcall.aws.fleet import CALLS_AT_ONCE, INSTANCES_PER_FILTER
from rollcall.checks.registry import read_group_settings
from rollcall.domain.errors import RollcallError, Throttled
from rollcall.domain.objections import require_none
from rollcall.domain.settings import OPT_IN_TAG
from rollcall.domain.tag_support import name_objections
from rollcall.hosts.job_templates import find_inventory_and_template
from rollcall.hosts.jobs import deciding_job
from rollcall.hosts.stint import read_stint
from rollcall.hosts.variables import job_owed_since

from .snapshot import (
    Place,
    Snapshot,
    copies_of,
    groups_of,
    homes,
    is_young,
    managed,
    owners_of,
    proven,
    since,
    suspects,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from rollcall.aws.fleet import Fleet, Membership, OptedIn
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Dump, Inventory
    from rollcall.domain.jobs import JobKind, JobTemplate
    from rollcall.domain.messages import RunOptions
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

ARRIVING = ("Pending:Wait", "InService", "Standby")
CONTROLS = (
    5  # instances that EC2 is asked about although they serve: whether it knows them tells what its answer is worth
)


@dataclass(frozen=True)
class _Trouble:
    """What could not be read, and the groups that need it. of_inventory: any other group may have hosts in it too."""

    error: RollcallError
    groups: Collection[str]
    of_inventory: bool = False


class Reading:
    """Reads one Region's groups and their inventories.

    templates: of the groups that were read. dump_seconds: what each inventory took, by id. unread: the names of the
    inventories that could not be read.
    """

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._troubles: dict[str, _Trouble] = {}
        self._named: dict[str, Inventory] = {}
        self.templates: dict[str, JobTemplate | None] = {}
        self.dump_seconds: dict[int, float] = {}
        self.unread: list[str] = []

    def read(self, options: RunOptions) -> Snapshot:
        """Everything that a plan needs to know. Raises what AWS, or Tower about all of them, did not answer."""
        places = self._places(self._fleet.opted_in(OPT_IN_TAG, members=False))
        self._named = {name: place.inventory for name, place in places.items()}
        dumps = self._dumps()
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
            owners=owners_of(dumps, self._settings.account, self._fleet.region),
        )
        asked = suspects(seen)
        seen = replace(seen, memberships={**seen.memberships, **self._fleet.memberships(asked)})
        seen = replace(seen, instances=self._instances(seen, seen.memberships.keys() | asked))
        arrived_at, unsaid = self._arrived_at(seen)
        seen = replace(seen, arrived_at=arrived_at, troubled=seen.troubled | unsaid)
        aged = self._of_age(seen, options)
        seen = replace(seen, created_at=self._tower.created_at(aged) if aged else {})
        jobs_ended, untold = self._jobs_ended(seen, options)
        return replace(
            seen,
            now=self._tower.now(),
            troubled=seen.troubled | untold,
            by_instance_id=self._by_instance_id(seen) if options.adopt else {},
            jobs_ended=jobs_ended,
        )

    def troubles(self, seen: Snapshot, options: RunOptions) -> dict[str, RollcallError]:
        """What could not be read of all that a run is about: of everything, or of some groups or instances.

        A group needs the inventory that its tag names. Where one has no such tag, or an instance is asked for, its host
        may be in any.
        """
        if options.groups is None and options.instances is None:
            return {what: each.error for what, each in self._troubles.items()}
        about = _groups_about(seen, options)
        homeless = options.instances is not None or not about <= self._named.keys()
        return {
            what: each.error
            for what, each in self._troubles.items()
            if about & set(each.groups) or (each.of_inventory and homeless)
        }

    def _instances(self, seen: Snapshot, wanted: Collection[str]) -> dict[str, Instance]:
        """What EC2 says of those whose hosts do not prove them, and of a few others, to see that it answers."""
        certain = proven(seen)
        asked = set(wanted) - certain | set(sorted(certain)[:CONTROLS])
        instances = self._fleet.instances(asked)
        require_credible({each: seen.memberships[each] for each in asked & seen.memberships.keys()}, instances)
        unknown = asked - instances.keys() - seen.memberships.keys()
        return instances | asked_again(self._fleet, seen.memberships, unknown, instances)

    def _places(self, opted_in: Mapping[str, OptedIn]) -> dict[str, Place]:
        places: dict[str, Place] = {}
        for name, each in opted_in.items():
            with self._telling(f"group {name}", {name}):
                settings = read_group_settings(each.group)
                if settings:
                    require_none(name_objections(settings))
                    inventory, self.templates[name] = find_inventory_and_template(self._tower, settings)
                    places[name] = Place(settings, inventory)
        return places

    def _dumps(self) -> dict[int, Dump]:
        dumps: dict[int, Dump] = {}
        by_id = {inventory.id: inventory for inventory in [*self._named.values(), *self._tower.marked_inventories()]}
        for inventory in by_id.values():
            began = time.monotonic()
            groups = {name for name, named in self._named.items() if named.id == inventory.id}
            with self._telling(f"inventory {inventory.name}", groups, of_inventory=True):
                dumps[inventory.id] = self._tower.dump(inventory)
            self.dump_seconds[inventory.id] = time.monotonic() - began
        self.unread = [inventory.name for inventory in by_id.values() if inventory.id not in dumps]
        return dumps

    @contextmanager
    def _telling(self, what: str, groups: Collection[str], *, of_inventory: bool = False) -> Iterator[None]:
        try:
            yield
        except RollcallError as error:
            self._troubles[what] = _Trouble(error, groups, of_inventory)

    def _by_instance_id(self, seen: Snapshot) -> dict[tuple[int, str], int]:
        """The hosts without our marker whose field instance_id names an instance that has no host yet."""
        hosted = homes(seen)
        wanted = {
            instance_id
            for instance_id, membership in seen.memberships.items()
            if (place := seen.places.get(membership.group)) and (place.inventory.id, instance_id) not in hosted
        }
        return {
            (host.inventory_id, host.instance_id): host.id for host in self._tower.hosts_of(wanted) if not host.marker
        }

    def _arrived_at(self, seen: Snapshot) -> tuple[dict[str, float], set[str]]:
        """When the instances came that have no host in use; and the groups of which AWS does not say it."""
        hosted = homes(seen)
        newly: defaultdict[str, set[str]] = defaultdict(set)
        for instance_id, membership in seen.memberships.items():
            place = seen.places.get(membership.group)
            if place and membership.state in ARRIVING and (place.inventory.id, instance_id) not in hosted:
                newly[membership.group].add(instance_id)

        def arrivals(group: str) -> dict[str, float] | None:
            with self._telling(f"scaling activities of group {group}", {group}):
                return self._fleet.arrivals(group, newly[group])
            return None

        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            said = dict(zip(newly, pool.map(arrivals, newly), strict=True))
        found = {each: at for own in said.values() if own for each, at in own.items()}
        return found, {group for group, own in said.items() if own is None}

    def _of_age(self, seen: Snapshot, options: RunOptions) -> set[int]:
        """The hosts whose age matters: of instances that AWS does not know, and those whose marker has no stint."""
        known = seen.memberships.keys() | seen.instances.keys()
        of_jobs = set(self._of_jobs(seen, options))
        return {
            host.id
            for host, marker in (*managed(seen), *copies_of(seen))
            if marker.instance_id not in known or (marker.instance_id in of_jobs and read_stint(host.variables) is None)
        }

    def _jobs_ended(self, seen: Snapshot, options: RunOptions) -> tuple[dict[str, float], set[str]]:
        """When the newest jobs ended, of those for whom it matters; and the groups of which Tower does not say it."""
        groups: defaultdict[JobKind, set[str]] = defaultdict(set)
        wanted: defaultdict[JobKind, set[str]] = defaultdict(set)
        for instance_id in self._of_jobs(seen, options):
            group = seen.memberships[instance_id].group
            if template := self.templates.get(group):
                kind = template.on(seen.places[group].inventory)
                groups[kind].add(group)
                wanted[kind].add(instance_id)
        ended: dict[str, float] = {}
        untold: set[str] = set()
        begun = since(seen)
        for kind, ids in wanted.items():
            try:
                jobs = self._tower.jobs_holding(kind, ids, min(begun.get(each, 0.0) for each in ids))
            except RollcallError as error:
                self._troubles[f"jobs of job template {kind.template_id}"] = _Trouble(error, groups[kind])
                untold |= groups[kind]
                continue
            for instance_id in ids:
                if job := deciding_job(instance_id, jobs, begun.get(instance_id, 0.0)):
                    ended[instance_id] = (job.finished_at or self._tower.now()) if job.status.final else math.inf
        return ended, untold

    def _of_jobs(self, seen: Snapshot, options: RunOptions) -> Iterator[str]:
        """The instances whose jobs matter: those that wait, and those on which one may be launched."""
        hosted = homes(seen)
        owing = {marker.instance_id for host, marker in managed(seen) if job_owed_since(host.variables) is not None}
        for instance_id, membership in seen.memberships.items():
            place, instance = seen.places.get(membership.group), seen.instances.get(instance_id)
            if not place or not instance:
                continue
            homeless = (place.inventory.id, instance_id) not in hosted
            launchable = instance_id in owing or (
                homeless and (is_young(seen, place, instance_id) or options.provision)
            )
            if membership.state == "Pending:Wait" or (membership.serving and launchable):
                yield instance_id


def _groups_about(seen: Snapshot, options: RunOptions) -> set[str]:
    """The groups that a run for some groups or instances is about; a host's marker may name a former one."""
    about = set(options.groups or ())
    for instance_id, groups in groups_of(seen).items():
        if groups & (options.groups or frozenset()) or instance_id in (options.instances or ()):
            about |= groups
    return about


def require_credible(memberships: Mapping[str, Membership], instances: Collection[str]) -> None:
    """Refuse an answer of EC2 that knows nobody of those who serve and were asked for. Raises Throttled.

    It would make every instance that no group lists look gone. Of a single one EC2 may really not know yet, or any
    more, when Auto Scaling lists it; with two or more that is less likely than an empty answer.
    """
    serving = [each for each, known in memberships.items() if known.serving]
    if len(serving) > 1 and not any(each in instances for each in serving):
        raise Throttled(
            f"EC2 describes none of the {len(serving)} instances that Auto Scaling says are in service: an answer that "
            "cannot be trusted, and nothing is done; the next run asks again"
        )


def asked_again(
    fleet: Fleet, memberships: Mapping[str, Membership], unknown: Collection[str], instances: Collection[str]
) -> dict[str, Instance]:
    """What EC2 says of those it did not know, asked once more and together with some of the instances it did know.

    Raises Throttled if it does not know one of these any more: then nobody is gone for its silence.
    """
    serving = {each for each, known in memberships.items() if known.serving}
    controls = sorted(serving & set(instances))[:CONTROLS]
    found: dict[str, Instance] = {}
    for chunk in batched(sorted(unknown), INSTANCES_PER_FILTER - CONTROLS):
        answer = fleet.instances({*chunk, *controls})
        if missing := [each for each in controls if each not in answer]:
            raise Throttled(
                f"EC2 does not describe {missing[0]} any more, which it described a moment ago: an answer that cannot "
                "be trusted, and nothing is done; the next run asks again"
            )
        found |= {each: answer[each] for each in chunk if each in answer}
    return found
