"""What there is in AWS and in Tower, read for a plan to be made of it (rollcall.reconcile.plan).

Tower is read before AWS, so that a host made meanwhile is not taken for one whose instance is gone. Nothing is said of
a group of which something could not be read, and nothing at all where AWS does not answer completely.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from copy import replace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.aws.client import AWS_CALLS_AT_ONCE
from rollcall.checks.registry import read_group_settings
from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import RollcallError
from rollcall.domain.objections import require_no_objections
from rollcall.domain.settings import OPT_IN_TAG
from rollcall.domain.tag_support import name_objections
from rollcall.hosts.job_templates import find_inventory_and_template
from rollcall.hosts.jobs import deciding_job
from rollcall.hosts.stint import read_stint
from rollcall.hosts.variables import job_owed_since

from .credible_answers import CONTROLS, asked_again, require_credible
from .snapshot import (
    Place,
    Snapshot,
    copies_of,
    groups_of,
    hosts_in_use,
    is_young,
    managed,
    owners_of,
    right_by_own_variables,
    stint_beginnings,
    suspects,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Dump
    from rollcall.domain.jobs import Job, JobKind, JobTemplate
    from rollcall.domain.membership import OptedIn
    from rollcall.domain.messages import RunOptions
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

ARRIVING = ("Pending:Wait", "InService", "Standby")


@dataclass(frozen=True)
class ReadError:
    """Why something could not be read, and the groups that need it.

    of_inventory: it is an inventory, in which any other group may have hosts too.
    """

    error: RollcallError
    groups: Collection[str]
    of_inventory: bool = False


@dataclass(frozen=True)
class Reading:
    """All that was read.

    templates: of the groups that were read. dump_seconds: what each inventory took, by id. unread: the names of the
    inventories that could not be read. named: the names of the groups whose tag names an inventory that is there.
    errors: by what could not be read, in words.
    """

    snapshot: Snapshot
    templates: Mapping[str, JobTemplate | None] = EMPTY_MAPPING
    dump_seconds: Mapping[int, float] = EMPTY_MAPPING
    unread: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()
    errors: Mapping[str, ReadError] = EMPTY_MAPPING

    def errors_about(self, options: RunOptions) -> dict[str, RollcallError]:
        """What could not be read of all that a run is about: of everything, or of some groups or instances.

        A group needs the inventory that its tag names. Where one has no such tag, or an instance is requested, its host
        may be in any.
        """
        if options.groups is None and options.instances is None:
            return {what: each.error for what, each in self.errors.items()}
        about = _groups_about(self.snapshot, options)
        homeless = options.instances is not None or not about <= self.named
        return {
            what: each.error
            for what, each in self.errors.items()
            if about & set(each.groups) or (each.of_inventory and homeless)
        }


@dataclass(frozen=True)
class _Groups:
    """Where the hosts of each group belong, its job template, and why of some groups that cannot be said."""

    places: Mapping[str, Place]
    templates: Mapping[str, JobTemplate | None]
    errors: Mapping[str, ReadError]


@dataclass(frozen=True)
class _Dumps:
    """Every inventory that could be read, by id, the seconds that each took, and why the others could not be."""

    dumps: Mapping[int, Dump]
    seconds: Mapping[int, float]
    unread: tuple[str, ...]
    errors: Mapping[str, ReadError]


@dataclass(frozen=True)
class _Moments:
    """When something happened to instances, by their ids, and why that cannot be said of some groups' instances."""

    at: Mapping[str, float]
    errors: Mapping[str, ReadError]

    @property
    def unreadable(self) -> set[str]:
        """The groups of which it cannot be said."""
        return {group for each in self.errors.values() for group in each.groups}


class Reader:
    """Reads one Region's groups and their inventories."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet

    def read(self, options: RunOptions) -> Reading:
        """Everything that a plan needs to know. Raises what AWS, or Tower about all of them, did not answer."""
        groups = self._groups(self._fleet.opted_in(OPT_IN_TAG, members=False))
        read = self._dumps(groups.places)
        opted_in = self._fleet.opted_in(OPT_IN_TAG)
        snapshot = self._with_instances(self._first_snapshot(groups.places, read.dumps, opted_in))
        arrivals = self._arrivals(snapshot)
        snapshot = replace(snapshot, arrived_at=arrivals.at, unreadable=snapshot.unreadable | arrivals.unreadable)
        aged = self._of_age(snapshot, options)
        snapshot = replace(snapshot, created_at=self._tower.created_at(aged) if aged else {})
        jobs = self._jobs_ended(snapshot, options, groups.templates)
        snapshot = replace(
            snapshot,
            now=self._tower.now(),
            unreadable=snapshot.unreadable | jobs.unreadable,
            by_instance_id=self._by_instance_id(snapshot) if options.adopt else {},
            jobs_ended=jobs.at,
        )
        return Reading(
            snapshot,
            groups.templates,
            read.seconds,
            read.unread,
            frozenset(groups.places),
            {**groups.errors, **read.errors, **arrivals.errors, **jobs.errors},
        )

    def _first_snapshot(
        self, places: Mapping[str, Place], dumps: Mapping[int, Dump], opted_in: Mapping[str, OptedIn]
    ) -> Snapshot:
        """Groups, their members and inventories."""
        # What an inventory is called is remembered for a minute, and so may differ between its groups.
        readable = {
            name: replace(place, inventory=dumps[place.inventory.id].inventory)
            for name, place in places.items()
            if place.inventory.id in dumps and name in opted_in
        }
        return Snapshot(
            account=self._settings.account,
            region=self._fleet.region,
            now=self._tower.now(),
            places=readable,
            unreadable=frozenset(opted_in.keys() - readable.keys()),
            memberships={each: known for group in opted_in.values() for each, known in group.members.items()},
            instances={},
            dumps=dumps,
            owners=owners_of(dumps, self._settings.account, self._fleet.region),
        )

    # Groups and inventories

    def _groups(self, opted_in: Mapping[str, OptedIn]) -> _Groups:
        places: dict[str, Place] = {}
        templates: dict[str, JobTemplate | None] = {}
        errors: dict[str, ReadError] = {}
        for name, each in opted_in.items():
            try:
                settings = read_group_settings(each.group)
                if settings:
                    require_no_objections(name_objections(settings))
                    inventory, templates[name] = find_inventory_and_template(self._tower, settings)
                    places[name] = Place(settings, inventory)
            except RollcallError as error:
                errors[f"group {name}"] = ReadError(error, {name})
        return _Groups(places, templates, errors)

    def _dumps(self, places: Mapping[str, Place]) -> _Dumps:
        """Every inventory that a group names, or that holds a host with our marker."""
        dumps: dict[int, Dump] = {}
        seconds: dict[int, float] = {}
        errors: dict[str, ReadError] = {}
        named = [place.inventory for place in places.values()]
        by_id = {inventory.id: inventory for inventory in [*named, *self._tower.marked_inventories()]}
        for inventory in by_id.values():
            began = time.monotonic()
            try:
                dumps[inventory.id] = self._tower.dump(inventory)
            except RollcallError as error:
                groups = {name for name, place in places.items() if place.inventory.id == inventory.id}
                errors[f"inventory {inventory.name}"] = ReadError(error, groups, of_inventory=True)
            seconds[inventory.id] = time.monotonic() - began
        unread = tuple(inventory.name for inventory in by_id.values() if inventory.id not in dumps)
        return _Dumps(dumps, seconds, unread, errors)

    def _by_instance_id(self, snapshot: Snapshot) -> dict[tuple[int, str], int]:
        """The hosts without our marker whose field instance_id names an instance that has no host yet."""
        hosted = hosts_in_use(snapshot)
        wanted = {
            instance_id
            for instance_id, membership in snapshot.memberships.items()
            if (place := snapshot.places.get(membership.group)) and (place.inventory.id, instance_id) not in hosted
        }
        return {
            (host.inventory_id, host.instance_id): host.id for host in self._tower.hosts_of(wanted) if not host.marker
        }

    # Instances

    def _with_instances(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what Auto Scaling and EC2 say of the suspects, and EC2 of the members."""
        asked = suspects(snapshot)
        known = replace(snapshot, memberships={**snapshot.memberships, **self._fleet.memberships(asked)})
        return replace(known, instances=self._instances(known, known.memberships.keys() | asked))

    def _instances(self, snapshot: Snapshot, wanted: Collection[str]) -> dict[str, Instance]:
        """What EC2 returns for those whose hosts are not right by themselves, and for a few others as controls."""
        certain = right_by_own_variables(snapshot)
        asked = set(wanted) - certain | set(sorted(certain)[:CONTROLS])
        instances = self._fleet.instances(asked)
        require_credible({each: snapshot.memberships[each] for each in asked & snapshot.memberships.keys()}, instances)
        unknown = asked - instances.keys() - snapshot.memberships.keys()
        return instances | asked_again(self._fleet, snapshot.memberships, unknown, instances)

    def _arrivals(self, snapshot: Snapshot) -> _Moments:
        """When the instances came that have no host in use."""
        hosted = hosts_in_use(snapshot)
        arriving: defaultdict[str, set[str]] = defaultdict(set)
        for instance_id, membership in snapshot.memberships.items():
            place = snapshot.places.get(membership.group)
            if place and membership.state in ARRIVING and (place.inventory.id, instance_id) not in hosted:
                arriving[membership.group].add(instance_id)

        def arrivals(group: str) -> Mapping[str, float] | ReadError:
            try:
                return self._fleet.arrivals(group, arriving[group])
            except RollcallError as error:
                return ReadError(error, {group})

        with ThreadPoolExecutor(AWS_CALLS_AT_ONCE) as pool:
            answers = dict(zip(arriving, pool.map(arrivals, arriving), strict=True))
        return _Moments(
            {each: at for own in answers.values() if not isinstance(own, ReadError) for each, at in own.items()},
            {
                f"scaling activities of group {group}": own
                for group, own in answers.items()
                if isinstance(own, ReadError)
            },
        )

    def _of_age(self, snapshot: Snapshot, options: RunOptions) -> set[int]:
        """The hosts whose age matters: of instances that AWS does not know, and those whose marker has no stint."""
        known = snapshot.memberships.keys() | snapshot.instances.keys()
        of_jobs = set(_of_jobs(snapshot, options))
        return {
            host.id
            for host, marker in (*managed(snapshot), *copies_of(snapshot))
            if marker.instance_id not in known or (marker.instance_id in of_jobs and read_stint(host.variables) is None)
        }

    # Jobs

    def _jobs_ended(
        self, snapshot: Snapshot, options: RunOptions, templates: Mapping[str, JobTemplate | None]
    ) -> _Moments:
        """When the newest jobs ended, of those for which it matters."""
        groups: defaultdict[JobKind, set[str]] = defaultdict(set)
        wanted: defaultdict[JobKind, set[str]] = defaultdict(set)
        for instance_id in _of_jobs(snapshot, options):
            group = snapshot.memberships[instance_id].group
            if template := templates.get(group):
                kind = template.on(snapshot.places[group].inventory)
                groups[kind].add(group)
                wanted[kind].add(instance_id)
        ended: dict[str, float] = {}
        errors: dict[str, ReadError] = {}
        stint_begins = stint_beginnings(snapshot)
        for kind, ids in wanted.items():
            try:
                jobs = self._tower.jobs_holding(kind, ids, min(stint_begins.get(each, 0.0) for each in ids))
            except RollcallError as error:
                errors[f"jobs of job template {kind.template_id}"] = ReadError(error, groups[kind])
                continue
            for instance_id in ids:
                if job := deciding_job(instance_id, jobs, stint_begins.get(instance_id, 0.0)):
                    ended[instance_id] = self._end_of(job)
        return _Moments(ended, errors)

    def _end_of(self, job: Job) -> float:
        """When a job ended; infinity while it runs."""
        return (job.finished_at or self._tower.now()) if job.status.final else math.inf


def _of_jobs(snapshot: Snapshot, options: RunOptions) -> Iterator[str]:
    """The instances whose jobs matter: those that wait, and those on which one may be launched."""
    hosted = hosts_in_use(snapshot)
    owing = {marker.instance_id for host, marker in managed(snapshot) if job_owed_since(host.variables) is not None}
    for instance_id, membership in snapshot.memberships.items():
        place, instance = snapshot.places.get(membership.group), snapshot.instances.get(instance_id)
        if not place or not instance:
            continue
        homeless = (place.inventory.id, instance_id) not in hosted
        launchable = instance_id in owing or (
            homeless and (is_young(snapshot, place, instance_id) or options.provision)
        )
        if membership.state == "Pending:Wait" or (membership.serving and launchable):
            yield instance_id


def _groups_about(snapshot: Snapshot, options: RunOptions) -> set[str]:
    """The groups that a run for some groups or instances is about; a host's marker may name a former one."""
    about = set(options.groups or ())
    for instance_id, groups in groups_of(snapshot).items():
        if groups & (options.groups or frozenset()) or instance_id in (options.instances or ()):
            about |= groups
    return about
