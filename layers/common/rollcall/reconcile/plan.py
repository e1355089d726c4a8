"""What has to change so that Tower and EC2 agree. Pure: everything here is told what was read, and asks nobody."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain.actions import Transition
from rollcall.domain.inventories import MARKER
from rollcall.domain.inventory_text import refusal_of_value
from rollcall.domain.shell_commands import make_command, options
from rollcall.domain.timing import RETRY_MAX, is_due
from rollcall.hosts.ownership import address_key, address_of, marker_of, why_gone
from rollcall.hosts.removal_limit import is_too_many
from rollcall.hosts.resting import is_disabled_for_rest, is_enabled_on_return, resting_variables
from rollcall.hosts.stint import new_stint, read_stint
from rollcall.hosts.variables import (
    OWED_SINCE,
    RESTING,
    STINT,
    host_variables,
    identity_in,
    is_resting,
    job_owed_since,
    left_out,
    with_our_variables,
    with_state,
)

from .snapshot import copies_of, homes, is_young, since
from .steps import Addition, Change, Finding, Kind, Plan, Removal, Requeue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollcall.aws.fleet import Membership
    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import DumpedHost, Inventory
    from rollcall.domain.messages import RunOptions
    from rollcall.hosts.ownership import Marker

    from .snapshot import Place, Snapshot

JOB_FORGOTTEN = 900.0  # seconds beyond a group's timeout after which nobody looks at an ended job any more


def plan(seen: Snapshot, options: RunOptions, kept: frozenset[int] = frozenset()) -> Plan:
    """What to do about what was seen. Every step and every finding has its reason.

    kept: ids of inventories from which nothing may be removed.
    """
    return _Planning(seen, options, kept).plan()


def too_many(removals: Iterable[Removal], managed: Mapping[int, int], share: float) -> dict[int, list[Removal]]:
    """By inventory id, the removals that the breaker stops.

    managed: hosts of ours in each inventory; share: the fraction of them that may go in one run.
    """
    by_inventory: defaultdict[int, list[Removal]] = defaultdict(list)
    for removal in removals:
        if not removal.copied:
            by_inventory[removal.inventory.id].append(removal)
    return {
        inventory_id: own
        for inventory_id, own in by_inventory.items()
        if is_too_many(len(own), managed[inventory_id], share)
    }


class _Planning:
    """One pass over a snapshot, in the order of plan()."""

    def __init__(self, seen: Snapshot, options: RunOptions, kept: frozenset[int]) -> None:
        self._seen = seen
        self._options = options
        self._kept = kept
        # In an order of our own, so that the same world makes the same plan however it was listed.
        self._dumps = [
            (dump.inventory, sorted(dump.hosts, key=lambda each: each.id)) for _, dump in sorted(seen.dumps.items())
        ]
        self._members = sorted(seen.memberships.items())
        self._removals: list[Removal] = []
        self._changes: list[Change] = []
        self._additions: list[Addition] = []
        self._requeues: list[Requeue] = []
        self._findings: list[Finding] = []
        self._at_home: dict[tuple[int, str], DumpedHost] = {}
        self._hosted: set[tuple[int, str]] = set()
        self._hosts_of: defaultdict[str, list[DumpedHost]] = defaultdict(list)
        self._staying: dict[int, DumpedHost] = {}
        self._named: dict[tuple[int, str], DumpedHost] = {}
        self._in_use = homes(seen)
        self._begun = since(seen)
        self._copied = {host.id: (host, marker) for host, marker in copies_of(seen)}
        self._copies: defaultdict[str, list[DumpedHost]] = defaultdict(list)
        for host, marker in self._copied.values():
            if host.inventory_id not in kept:
                self._copies[marker.instance_id].append(host)

    def plan(self) -> Plan:
        for inventory, hosts in self._dumps:
            for host in sorted(hosts, key=self._is_renamed):
                if marker := self._seen.owners.get(host.id):
                    self._hosted.add((inventory.id, marker.instance_id))
                    self._hosts_of[marker.instance_id].append(host)
                    self._judge(inventory, host, marker)
        self._judge_copies()
        self._see_who_stays()
        self._add_missing()
        self._take_back_what_cannot_be()
        self._find_foreign()
        self._find_conflicts()
        self._find_mixed_groups()
        self._requeue_the_lost()
        self._find_renamed()
        self._find_copies()
        self._find_retained()
        return Plan(
            tuple(self._removals),
            tuple(self._changes),
            tuple(self._additions),
            tuple(self._requeues),
            tuple(self._findings),
        )

    def _concerns(self, instance_id: str, *groups: str) -> bool:
        """Whether the run is about this instance of one of these groups, and all of them could be read."""
        return not self._seen.troubled & set(groups) and self._is_about(instance_id, *groups)

    def _is_about(self, instance_id: str, *groups: str) -> bool:
        """Whether the run is about this instance of one of these groups."""
        if self._options.instances is not None and instance_id not in self._options.instances:
            return False
        return self._options.groups is None or bool(self._options.groups & set(groups))

    def _is_about_host(self, marker: Marker) -> bool:
        membership = self._seen.memberships.get(marker.instance_id)
        return self._is_about(marker.instance_id, marker.group, *([membership.group] if membership else []))

    def _find(self, kind: Kind, inventory: Inventory, subject: str, reason: str, instance_id: str = "") -> None:
        self._findings.append(Finding(kind, inventory, subject, reason, instance_id))

    # Hosts of ours

    def _judge(self, inventory: Inventory, host: DumpedHost, marker: Marker) -> None:
        membership = self._seen.memberships.get(marker.instance_id)
        instance = self._seen.instances.get(marker.instance_id)
        if not self._concerns(marker.instance_id, marker.group, *([membership.group] if membership else [])):
            return
        if membership and membership.resting:
            self._let_rest(inventory, host, marker, membership)
            return
        if membership and membership.retained:
            self._remove(
                inventory, host, marker, f"its instance is {membership.state}, and is not of its group any more"
            )
            return
        if membership and (membership.entering or membership.leaving):
            return  # its lifecycle action is at work on it
        if gone := why_gone(instance, membership, self._age(host)):
            self._remove(inventory, host, marker, gone)
        elif membership and membership.group in self._seen.places:
            if membership.serving and instance:
                self._keep_true(inventory, host, marker, self._seen.places[membership.group], instance)
        elif instance or membership:
            self._left_over(inventory, host, marker, membership)

    def _age(self, host: DumpedHost) -> float | None:
        created_at = self._seen.created_at.get(host.id)
        return None if created_at is None else self._seen.now - created_at

    def _remove(
        self, inventory: Inventory, host: DumpedHost, marker: Marker, reason: str, *, moved: bool = False
    ) -> None:
        if inventory.id in self._kept:
            return
        self._removals.append(Removal(inventory, host, marker.instance_id, reason, moved))
        for copied in () if moved else self._copies.pop(marker.instance_id, ()):
            where = self._seen.dumps[copied.inventory_id].inventory
            words = f"it is a copy of host {host.name} of inventory {inventory.name!r}, which goes: {reason}"
            self._removals.append(Removal(where, copied, marker.instance_id, words, copied=True))

    def _judge_copies(self) -> None:
        """Those without an original: they go for the same reasons as a host of ours whose instance is gone."""
        for host, marker in self._copied.values():
            membership = self._seen.memberships.get(marker.instance_id)
            instance = self._seen.instances.get(marker.instance_id)
            if host.inventory_id in self._kept or self._hosts_of[marker.instance_id]:
                continue
            if not self._concerns(marker.instance_id, marker.group, *([membership.group] if membership else [])):
                continue
            if membership and (membership.resting or membership.entering or membership.leaving):
                continue
            if gone := why_gone(instance, membership, self._age(host)):
                inventory = self._seen.dumps[host.inventory_id].inventory
                reason = f"it is a copy from another inventory, and its instance is gone: {gone}"
                self._removals.append(Removal(inventory, host, marker.instance_id, reason, copied=True))

    def _let_rest(self, inventory: Inventory, host: DumpedHost, marker: Marker, membership: Membership) -> None:
        """The host of an instance that keeps its id and is out of service: disabled, and marked as resting."""
        if membership.held or is_disabled_for_rest(host):
            return  # its lifecycle action is at work on it, or was
        variables = resting_variables(host, self._seen.now)
        reason = f"its instance is {membership.state}: no job is to reach it"
        self._changes.append(Change(inventory, host, marker.instance_id, reason, variables, enabled=False))

    def _left_over(self, inventory: Inventory, host: DumpedHost, marker: Marker, membership: Membership | None) -> None:
        """The host of an instance that lives in no group of ours."""
        if marker.group in self._options.forget:
            self._remove(inventory, host, marker, f"group {marker.group!r} is to be forgotten")
        elif membership:
            self._find(
                Kind.NOT_OPTED_IN,
                inventory,
                host.name,
                f"its instance lives in group {membership.group!r}, which has no tag rollcall:inventory: put the tag "
                f"back, or remove the hosts of {marker.group!r}: {_forgetting(marker.group)}",
                marker.instance_id,
            )
        else:
            self._find(
                Kind.DETACHED,
                inventory,
                host.name,
                "its instance lives and belongs to no Auto Scaling group: attach it, or remove the host",
                marker.instance_id,
            )

    def _keep_true(
        self, inventory: Inventory, host: DumpedHost, marker: Marker, place: Place, instance: Instance
    ) -> None:
        """The host of an instance that serves in a group of ours."""
        settings = place.settings
        wanted = self._wanted_at_home(inventory, host, marker, place, instance)
        if wanted is None or (self._is_renamed(host) and is_resting(host.variables)):
            return  # it is enabled once it has its name again
        join = tuple(name for name in settings.inventory_groups if name not in host.groups)
        leave = tuple(sorted(self._former_groups(marker, settings) & host.groups))
        wrong = list(_what_is_wrong(host, settings, wanted))
        reasons = [
            *wrong,
            *([f"it is missing in {', '.join(join)}"] if join else []),
            *([f"it is still in {', '.join(leave)}"] if leave else []),
        ]
        if reasons:
            change = Change(inventory, host, marker.instance_id, "; ".join(reasons), None, join, leave)
            if wrong:
                change = self._with_right_variables(change, place, wanted)
                self._find_left_out(place, instance)
            self._changes.append(change)

    def _wanted_at_home(
        self, inventory: Inventory, host: DumpedHost, marker: Marker, place: Place, instance: Instance
    ) -> dict[str, object] | None:
        """The variables that a host is to have; None if it is not where, or not what, it has to be."""
        settings = place.settings
        if place.inventory.id != inventory.id:
            reason = f"hosts of group {settings.group!r} belong into inventory {place.inventory.name!r}"
            self._remove(inventory, host, marker, reason, moved=True)
            return None
        if other := self._at_home.get((inventory.id, marker.instance_id)):
            reason = f"host {other.name} is for the same instance: remove one of them"
            self._find(Kind.SECOND_HOST, inventory, host.name, reason, marker.instance_id)
            return None
        self._at_home[inventory.id, marker.instance_id] = host
        wanted = self._variables(place, instance)
        if wanted is None:
            reason = f"its instance has no {settings.address} address"
            self._find(Kind.NO_ADDRESS, inventory, host.name, reason, marker.instance_id)
        return wanted

    def _is_renamed(self, host: DumpedHost) -> bool:
        """Whether no job can be limited to a host of ours, for it is not named after its instance."""
        marker = self._seen.owners.get(host.id)
        return marker is not None and host.name != marker.instance_id

    def _with_right_variables(self, change: Change, place: Place, wanted: Mapping[str, object]) -> Change:
        """The change with variables as they have to be; and what is to be launched on the host, if anything."""
        host, instance_id = change.host, change.instance_id
        if self._is_renamed(host):  # a job that it is owed waits for its name
            return replace(change, variables=with_our_variables(host.variables, wanted))
        variables = with_state(with_our_variables(host.variables, wanted), **{OWED_SINCE: None, RESTING: None})
        owed_since = job_owed_since(host.variables)
        enabled, owing = None, False
        if rested := is_resting(host.variables):
            variables = with_state(variables, **{STINT: self._new_stint()})
            enabled = True if is_enabled_on_return(host.variables) else None
            owing = enabled is not None and self._is_due(place, instance_id)
        elif owed_since is not None:
            owing = host.enabled and self._is_free_since(instance_id, owed_since)
        return replace(
            change,
            variables=variables,
            new_in=place if rested or owed_since is not None else None,
            provision=owing and place.settings.job_template is not None,
            enabled=enabled,
        )

    def _new_stint(self) -> dict[str, object]:
        return new_stint(self._seen.now, ()).written()

    def _is_due(self, place: Place, instance_id: str) -> bool:
        """Whether the job of an instance that has no host in use is to be launched: its event was lost, or it is asked
        for. One that has served for long is not provisioned unasked.
        """
        lost = is_young(self._seen, place, instance_id) and instance_id not in self._seen.jobs_ended
        return lost or (self._options.provision and self._is_free_since(instance_id, self._seen.now))

    def _is_free_since(self, instance_id: str, moment: float) -> bool:
        """Whether no job holds an instance that runs, or ended after a moment."""
        return self._seen.jobs_ended.get(instance_id, -math.inf) < moment

    def _former_groups(self, marker: Marker, settings: GroupSettings) -> set[str]:
        """The inventory groups in which the host was for another Auto Scaling group's sake."""
        if marker.group == settings.group:
            return set()
        former = self._seen.places.get(marker.group)
        names = former.settings.inventory_groups if former else (marker.group,)
        return set(names) - set(settings.inventory_groups)

    def _variables(self, place: Place, instance: Instance) -> dict[str, object] | None:
        if not instance.addresses[place.settings.address]:
            return None
        own = (self._seen.account, self._seen.region, place.inventory.id)
        return host_variables(place.settings, instance, *own)

    # Instances without a host

    def _see_who_stays(self) -> None:
        """Notes the hosts that will still be there while others are added, by id and by name."""
        going = {removal.host.id for removal in self._removals if not removal.moved}
        for inventory, hosts in self._dumps:
            for host in hosts:
                if host.id not in going:
                    self._staying[host.id] = self._named[inventory.id, host.name] = host

    def _add_missing(self) -> None:
        for instance_id, membership in self._members:
            place, instance = self._place_of(membership), self._seen.instances.get(instance_id)
            if not place or not instance or not instance.living or not membership.serving:
                continue
            if not self._concerns(instance_id, membership.group) or (place.inventory.id, instance_id) in self._hosted:
                continue
            wanted = self._wanted(place, instance)
            if wanted is None:
                continue
            self._find_left_out(place, instance)
            if host := self._to_be_adopted(place, instance_id):
                self._adopt(place, host, instance_id, wanted)
            else:
                self._add(place, instance, wanted)

    def _find_left_out(self, place: Place, instance: Instance) -> None:
        """Names what of an instance's own text its host, whose variables are about to be written, does not get."""
        if words := left_out(instance):
            reason = f"these tags are left out of its host's variables: {', '.join(words)}: change the tags"
            self._find(Kind.TAGS, place.inventory, instance.instance_id, reason)

    def _place_of(self, membership: Membership) -> Place | None:
        return self._seen.places.get(membership.group)

    def _wanted(self, place: Place, instance: Instance) -> dict[str, object] | None:
        """The variables of the host that an instance is to get. None if it can get none; then it is reported why."""
        wanted = self._variables(place, instance)
        if wanted is None:
            reason = f"it has no {place.settings.address} address, and so no host"
            self._find(Kind.NO_ADDRESS, place.inventory, instance.instance_id, reason, instance.instance_id)
            return None
        named_so = self._named.get((place.inventory.id, instance.instance_id))
        if named_so and not self._is_for(named_so, instance.instance_id) and not self._may_be_adopted(named_so):
            reason = self._why_in_the_way(named_so)
            self._find(Kind.IN_THE_WAY, place.inventory, instance.instance_id, reason, instance.instance_id)
            return None
        return wanted

    def _is_for(self, host: DumpedHost, instance_id: str) -> bool:
        """Whether a host is ours for this instance, or a copy of such a one."""
        owner = self._seen.owners.get(host.id)
        _, copied = self._copied.get(host.id, (None, None))
        return any(each is not None and each.instance_id == instance_id for each in (owner, copied))

    def _may_be_adopted(self, host: DumpedHost) -> bool:
        return self._options.adopt and "rollcall" not in host.variables

    def _why_in_the_way(self, host: DumpedHost) -> str:
        what = "it has the name of an instance of ours and is"
        if marker := self._seen.owners.get(host.id):
            return f"{what} for {marker.instance_id}: rename it"
        if host.id in self._copied:
            return f"{what} a copy from another inventory: remove it"
        if "rollcall" in host.variables:
            return f"{what} another installation's: remove it"
        return f"{what} not ours: remove it, or set AdoptByInstanceId"

    def _to_be_adopted(self, place: Place, instance_id: str) -> DumpedHost | None:
        """The host in an instance's inventory that was made for it by something else, or was copied there."""
        id_in_field = self._seen.by_instance_id.get((place.inventory.id, instance_id), 0)
        host = self._named.get((place.inventory.id, instance_id)) or self._staying.get(id_in_field)
        return host if host and (self._is_for(host, instance_id) or self._may_be_adopted(host)) else None

    def _adopt(self, place: Place, host: DumpedHost, instance_id: str, wanted: Mapping[str, object]) -> None:
        self._hosted.add((place.inventory.id, instance_id))
        join = tuple(name for name in place.settings.inventory_groups if name not in host.groups)
        made = "copied from another inventory" if host.id in self._copied else "made by something else"
        reason = f"it is for an instance of group {place.settings.group!r}, and was {made}"
        state = {STINT: self._new_stint(), RESTING: None, OWED_SINCE: None}
        variables = with_state(with_our_variables(host.variables, wanted), **state)
        enabled = True if is_enabled_on_return(host.variables) else None
        change = Change(place.inventory, host, instance_id, reason, variables, join, new_in=place, enabled=enabled)
        self._changes.append(change)

    def _add(self, place: Place, instance: Instance, wanted: Mapping[str, object]) -> None:
        # An instance with a host in another inventory moves, with what a person set on it; its event was not lost.
        elsewhere = self._hosts_of[instance.instance_id]
        former = min(elsewhere, key=lambda host: host.id, default=None)
        moves = former is not None and not is_resting(former.variables)
        variables = with_our_variables(former.variables, wanted) if former else wanted
        if not moves or read_stint(variables) is None:
            variables = with_state(variables, **{STINT: self._new_stint(), RESTING: None})
        enabled = all(host.enabled or is_enabled_on_return(host.variables) for host in elsewhere)
        lost = is_young(self._seen, place, instance.instance_id) and instance.instance_id not in self._seen.jobs_ended
        due = self._is_due(place, instance.instance_id) and not (moves and lost and not self._options.provision)
        provision = place.settings.job_template is not None and due and enabled  # jobs pass over disabled hosts
        reason = f"it serves in group {place.settings.group!r} and has no host"
        if provision:  # the same words for all of a group, which so are one entry
            age = f"it came less than {place.settings.timeout:.0f} s ago, and no job holds it"
            reason += f"; {age}: its event was lost" if lost else "; its job is asked for"
        self._additions.append(Addition(place, instance.instance_id, variables, provision, reason, enabled))

    # Steps that would not do

    def _take_back_what_cannot_be(self) -> None:
        self._keep_the_homeless()
        while self._drop_additions():  # each may leave a host homeless, which then keeps its address too
            self._keep_the_homeless()

    def _keep_the_homeless(self) -> None:
        """Takes back the removals of hosts that cannot be made where they belong."""
        there = self._hosted | {(each.inventory.id, each.instance_id) for each in self._additions}
        homes = {each: place.inventory.id for each, known in self._members if (place := self._place_of(known))}
        self._removals = [
            each for each in self._removals if not each.moved or (homes[each.instance_id], each.instance_id) in there
        ]

    def _drop_additions(self) -> bool:
        """Takes back the additions at an address that another managed host keeps; whether there were any."""
        held = self._addresses()
        free: list[Addition] = []
        for each in self._additions:
            address = str(each.variables["ansible_host"])
            vpc = self._seen.instances[each.instance_id].facts["vpc"]
            if tenants := held[each.inventory.id].get(address_key(vpc, address)):
                reason = (
                    f"it gets no host while {tenants[0][0]}, which may not be removed yet, has its address {address}"
                )
                self._find(Kind.ADDRESS_CONFLICT, each.inventory, each.instance_id, reason, each.instance_id)
            else:
                free.append(each)
        dropped = len(free) < len(self._additions)
        self._additions = free
        return dropped

    def _addresses(self) -> dict[int, dict[tuple[str, str], list[tuple[str, Marker]]]]:
        """By inventory id, name and marker of the managed hosts there are at each address once the plan is done."""
        removed = {removal.host.id for removal in self._removals}
        changed = {change.host.id: change.variables for change in self._changes if change.variables}
        held: dict[int, dict[tuple[str, str], list[tuple[str, Marker]]]] = {}
        for inventory, hosts in self._dumps:
            tenants: defaultdict[tuple[str, str], list[tuple[str, Marker]]] = defaultdict(list)
            for host in hosts:
                marker = self._seen.owners.get(host.id)
                if variables := changed.get(host.id):
                    host = replace(host, variables=variables)
                    marker = marker_of(host, self._seen.account, self._seen.region)
                if marker and host.id not in removed:
                    tenants[address_key(marker.vpc, address_of(host))].append((host.name, marker))
            held[inventory.id] = tenants
        return held

    # What is only reported

    def _find_foreign(self) -> None:
        """Hosts that are not ours, and would take a deploy to a machine of ours."""
        ours: dict[str, str] = {}
        ours_in_vpcs: dict[tuple[str, str], str] = {}
        for instance_id, membership in self._members:
            if membership.group in self._seen.places:
                for vpc, address in self._known_addresses(instance_id):
                    ours[address] = instance_id
                    ours_in_vpcs[address_key(vpc, address)] = instance_id
        known = self._seen.owners.keys() | self._copied.keys() | {change.host.id for change in self._changes}
        for inventory, hosts in self._dumps:
            for host in hosts:
                if host.id in known:
                    continue
                address, marker = address_of(host), host.variables.get("rollcall")
                # Another installation's host is in a VPC of its own; where anybody else's is, nobody says.
                holder = (
                    ours_in_vpcs.get(address_key(str(marker.get("vpc", "")), address))
                    if isinstance(marker, dict)
                    else ours.get(address)
                )
                if holder and self._is_about(holder, self._seen.memberships[holder].group):
                    reason = f"it is not ours, and its address {address} is that of {holder}: remove it"
                    self._find(Kind.FOREIGN_ADDRESS, inventory, host.name, reason)

    def _known_addresses(self, instance_id: str) -> Iterator[tuple[str, str]]:
        """VPC and address, of all the addresses of a living instance; of a proven one, those that its host tells of."""
        if instance := self._seen.instances.get(instance_id):
            if instance.living:
                yield from ((instance.facts["vpc"], each) for each in instance.addresses.values() if each)
            return
        for host in self._hosts_of[instance_id]:
            if isinstance(facts := host.variables.get("ec2"), dict):
                addresses = (facts.get("private_ip"), facts.get("public_ip"))
                yield from ((str(facts.get("vpc")), str(each)) for each in addresses if each)

    def _find_conflicts(self) -> None:
        """Managed hosts of one inventory that will have one address when the plan is done."""
        held = self._addresses()
        for inventory, _ in self._dumps:
            for (_, address), tenants in held[inventory.id].items():
                if not any(self._is_about_host(marker) for _, marker in tenants):
                    continue
                (first, _), *others = tenants
                for name, _ in others:
                    reason = f"it has the address {address}, as has {first}, and neither may be removed yet"
                    self._find(Kind.ADDRESS_CONFLICT, inventory, name, reason)

    def _find_mixed_groups(self) -> None:
        for inventory, hosts in self._dumps:
            members: defaultdict[str, set[str]] = defaultdict(set)
            about: set[str] = set()
            for host in hosts:
                if marker := self._seen.owners.get(host.id):
                    about |= host.groups if self._is_about_host(marker) else set()
                    for name in host.groups:
                        members[name].add(marker.group)
            for name, groups in sorted(members.items()):
                unsaid = sorted(
                    group
                    for group in groups
                    if group in self._seen.places and not _may_ask(self._seen.places[group].settings, name)
                )
                if len(groups) > 1 and unsaid and name in about:
                    reason = f"it holds hosts of {', '.join(sorted(groups))}, and {unsaid[0]} does not ask for it"
                    self._find(Kind.MIXED_GROUP, inventory, name, reason)

    # Lost events

    def _requeue_the_lost(self) -> None:
        for instance_id, membership in self._members:
            place = self._place_of(membership)
            if not place or not membership.held or not self._concerns(instance_id, membership.group):
                continue
            waits = f"it waits in {membership.state}"
            if membership.pooled:  # either way its action is worked on a second time at no cost
                self._requeues.append(Requeue(place, instance_id, None, waits))
            elif not membership.entering:  # likewise
                self._requeues.append(Requeue(place, instance_id, Transition.TERMINATING, waits))
            elif reason := self._why_lost(place, instance_id):
                self._requeues.append(Requeue(place, instance_id, Transition.LAUNCHING, f"{waits}: {reason}"))

    def _why_lost(self, place: Place, instance_id: str) -> str:
        """Why a waiting instance is to be registered now; nothing if it is not, or could not be.

        One that the run is asked for by its id is at once: whoever asks knows that nothing works on it.
        """
        instance = self._seen.instances.get(instance_id)
        if instance is None or (instance.living and self._renamed_at_home(place, instance_id)):
            return ""
        named = self._options.instances is not None
        if (place.inventory.id, instance_id) in self._in_use:
            age = self._seen.now - self._seen.jobs_ended.get(instance_id, self._begun.get(instance_id, 0.0))
            if named:
                return "it is asked for"
            due = is_due(age, place.settings.timeout + JOB_FORGOTTEN, self._options.every)
            return f"for {age:.0f} s nothing has worked on its job" if due else ""
        came_at = self._seen.came_at(instance_id)
        age = math.inf if came_at is None else self._seen.now - came_at
        if (named or age > RETRY_MAX) and instance.living and self._wanted(place, instance) is None:
            return ""
        if named or came_at is None:
            return "it has no host in use"
        return f"it came {age:.0f} s ago, and has no host in use" if is_due(age, RETRY_MAX, self._options.every) else ""

    # Renamed hosts, copies, and retained instances

    def _renamed_at_home(self, place: Place, instance_id: str) -> DumpedHost | None:
        """The host of an instance where it belongs, if that is not named after it and none is."""
        at_home = [host for host in self._hosts_of[instance_id] if host.inventory_id == place.inventory.id]
        return at_home[0] if at_home and all(map(self._is_renamed, at_home)) else None

    def _find_renamed(self) -> None:
        for instance_id, membership in self._members:
            place, instance = self._place_of(membership), self._seen.instances.get(instance_id)
            stays = membership.serving or membership.entering or membership.resting
            if not place or not instance or not instance.living or not stays:
                continue
            host = self._renamed_at_home(place, instance_id)
            if host and self._concerns(instance_id, membership.group, self._seen.owners[host.id].group):
                reason = (
                    f"it is the host of {instance_id}, and no job that is limited to this id reaches it: name it so "
                    "again, and let no inventory source rename it"
                )
                self._find(Kind.RENAMED, place.inventory, host.name, reason, instance_id)

    def _find_copies(self) -> None:
        """One finding for an inventory: whoever copied it did so once."""
        by_inventory: defaultdict[int, list[DumpedHost]] = defaultdict(list)
        settled = {each.host.id for each in self._changes} | {each.host.id for each in self._removals}
        for host, marker in self._copied.values():
            if host.id not in settled and self._is_about(marker.instance_id, marker.group):
                by_inventory[host.inventory_id].append(host)
        for inventory_id, own in by_inventory.items():
            inventory = self._seen.dumps[inventory_id].inventory
            reason = (
                f"{len(own)} of its hosts, {own[0].name} among them, were copied with their markers from another "
                "inventory and are not kept true: remove them, or the variable rollcall of each"
            )
            self._find(Kind.COPY, inventory, inventory.name, reason)

    def _find_retained(self) -> None:
        for instance_id, membership in self._members:
            place = self._place_of(membership)
            if place and membership.retained and self._concerns(instance_id, membership.group):
                reason = (
                    f"it is {membership.state}: its group's lifecycle policy keeps it running, and it is billed until "
                    "it is terminated: look at it, and terminate it in its Auto Scaling group"
                )
                self._find(Kind.RETAINED, place.inventory, instance_id, reason, instance_id)


def _what_is_wrong(host: DumpedHost, settings: GroupSettings, wanted: Mapping[str, object]) -> Iterator[str]:
    """What is not as it has to be in the variables of the host of an instance that serves."""
    address, identity = host.variables.get("ansible_host"), identity_in(host.variables)
    if is_resting(host.variables):
        yield "its instance is back in service"
    if address != wanted["ansible_host"]:
        yield f"its address is {wanted['ansible_host']}, not {address}"
    if job_owed_since(host.variables) is not None and host.name == identity["instance_id"]:
        yield "its group's job was to be launched on it"
    elif "inventory" not in identity:
        yield "its marker does not name its inventory yet"
    elif identity != wanted[MARKER]:
        yield f"its marker is not that of an instance of group {settings.group!r}"
    if why := refusal_of_value(host.variables.get("ec2")):
        yield f"its variables hold what they may not ({why})"


def _forgetting(group: str) -> str:
    """What makes a run remove a group's hosts, as people and as programs write it."""
    return f"{make_command('reconcile', *options('--forget', [group]))} (event {json.dumps({'forget': [group]})})"


def _may_ask(settings: GroupSettings, inventory_group: str) -> bool:
    """Whether hosts of a group are in an inventory group for its sake; what user data asked for nobody remembers."""
    return settings.user_data or inventory_group in settings.inventory_groups
