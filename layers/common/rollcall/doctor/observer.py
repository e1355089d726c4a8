"""What there is in AWS, in Tower and in Chef, read for doctor's findings to be made of it. Nothing is changed.

A call that fails is kept as its error in the place of what it would have shown, and fails no other.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from copy import replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rollcall.aws.client import AWS_CALLS_AT_ONCE
from rollcall.checks.load_balancers import ELB_CHECK
from rollcall.domain.bake_tags import GROUP_TAGS as BAKE_TAGS
from rollcall.domain.errors import AwsDenied, NoTimeLeft, RollcallError
from rollcall.domain.inventories import Inventory
from rollcall.domain.settings import CYCLE_TAG, OPT_IN_TAG, PINNED_TAG
from rollcall.tower.connection import TOWER_CALLS_AT_ONCE

from .observations import (
    BakeDefaults,
    BuildersInventory,
    HostSample,
    Observations,
    ObservedCycle,
    ObservedInventory,
    ObservedStack,
    ObservedTemplate,
    ObservedTower,
    Senders,
    groups_by_inventory,
    templates_named,
)
from .tag_findings import opted_in_and_unreadable
from .topic_findings import notified_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.groups import Group
    from rollcall.domain.settings import Settings, StackNames
    from rollcall.tower.client import Tower

    from .aws_reader import AwsReader
    from .observations import CycleDefaults, ObservedGroup, OptedInGroup, OrError

SAMPLE_MAX = 150  # instances that are searched for in every inventory: two requests
INVENTORIES_MAX = 20  # beside those that tags name, for which it is read whether the token may change them
TIME_KEPT = 20.0  # seconds of the invocation for the findings to be made, published and stored
NO_TIME = "there was no time left for it in this invocation"
API_ROOTS = ("/api/v2/", "/api/controller/v2/")


class Observer:
    """Reads everything once.

    chef: the installation's Chef server, None if it has none. tower_at: a client for another API root of the same
    Tower. seconds_left: in this invocation. cycle_defaults, bake_defaults: read the tags of cycles and of bakes, which
    are known further up; raise BadSettings. reads_hosts: whether the hosts of inventories are read, which takes Tower
    long.
    """

    def __init__(
        self,
        settings: Settings,
        names: StackNames,
        tower: Tower,
        fleet: Fleet,
        aws: AwsReader,
        *,
        chef: Chef | None,
        tower_at: Callable[[str], Tower],
        seconds_left: Callable[[], float],
        cycle_defaults: Callable[[Group], CycleDefaults | None] = lambda _: None,
        bake_defaults: Callable[[Group], BakeDefaults | None] = lambda _: None,
        reads_hosts: bool = True,
    ) -> None:
        self._settings = settings
        self._names = names
        self._tower = tower
        self._fleet = fleet
        self._aws = aws
        self._chef = chef
        self._tower_at = tower_at
        self._seconds_left = seconds_left
        self._cycle_defaults = cycle_defaults
        self._bake_defaults = bake_defaults
        self._reads_hosts = reads_hosts

    def observe(self, wanted: Collection[str] | None, stack: ObservedStack | None = None) -> Observations:
        """What there is. wanted: names of the requested groups, with what they need; None for all.

        stack: where it is known already, or as much of it as matters.
        """
        stack = stack or self._stack()
        groups = self._try(lambda: self._aws.groups(wanted))
        if isinstance(groups, RollcallError):
            return Observations(stack, self._observe_tower(()), groups)
        groups = self._with_hooks(groups)
        opted_in, unreadable_tags = opted_in_and_unreadable(groups.values())
        topics = notified_topics(groups.values())
        bakes = self._bakes(groups)
        return Observations(
            stack=stack,
            tower=self._observe_tower(opted_in, [each for each in bakes.values() if isinstance(each, BakeDefaults)]),
            groups=groups,
            opted_in=opted_in,
            unreadable_tags=unreadable_tags,
            wanted=frozenset(wanted or ()),
            subscribers=self._each(topics, lambda topic: self._subscribers(topic, stack), AWS_CALLS_AT_ONCE),
            kinds=self._each(self._target_groups(opted_in), self._kind, AWS_CALLS_AT_ONCE),
            chef=self._observe_chef(opted_in),  # last, for it only warns, and one that does not answer takes its time
            at=time.time(),
            cycles=self._cycles(groups),
            bakes=bakes,
            template_tags=self._each(_templates(groups, bakes), self._aws.template_tags, AWS_CALLS_AT_ONCE),
            bake_template_arns=self._names.bake_template_arns,
        )

    # Calls that may fail

    def _try[T](self, call: Callable[[], T]) -> OrError[T]:
        """What one call brings, or its error."""
        return self._each([None], lambda _: call(), 1)[None]

    def _each[K, T](self, keys: Collection[K], call: Callable[[K], T], at_once: int) -> dict[K, OrError[T]]:
        """What calls side by side bring. One that takes longer than there is time is not waited for."""
        pool = ThreadPoolExecutor(at_once)
        try:
            calls = {key: pool.submit(self._in_time, partial(call, key)) for key in keys}
            wait(calls.values(), timeout=max(0.0, self._seconds_left() - TIME_KEPT))
            return {key: each.result() if each.done() else NoTimeLeft(NO_TIME) for key, each in calls.items()}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _in_time[T](self, call: Callable[[], T]) -> OrError[T]:
        if self._seconds_left() < TIME_KEPT:
            return NoTimeLeft(NO_TIME)
        try:
            return call()
        except RollcallError as error:
            return error
        except Exception as error:  # noqa: BLE001 - an answer that was not expected must not hide all else
            return RollcallError(f"doctor makes no sense of an answer: {type(error).__name__}: {error}")

    # AWS

    def _stack(self) -> ObservedStack:
        names, aws = self._names, self._aws
        return ObservedStack(
            rules=self._each(names.rules, lambda name: aws.rule(names.rules[name]), AWS_CALLS_AT_ONCE),
            queues=self._each(names.queues, lambda name: aws.queue(names.queues[name]), AWS_CALLS_AT_ONCE),
            sources=self._each(names.sources, lambda name: aws.source_state(names.sources[name]), AWS_CALLS_AT_ONCE),
            schedules=self._each(
                names.schedules, lambda name: aws.is_scheduled(names.schedules[name]), AWS_CALLS_AT_ONCE
            ),
            topics=self._each(names.topics, lambda name: aws.topic(names.topics[name]), AWS_CALLS_AT_ONCE),
            notifies=names.has_alarm_recipient,
            senders=Senders(names.notification_topic, names.notifying_topics),
        )

    def _with_hooks(self, groups: Mapping[str, ObservedGroup]) -> dict[str, ObservedGroup]:
        """The groups with their hooks and topics: first those that opted in, in case there is no time for all."""
        ordered = sorted(groups, key=lambda name: (OPT_IN_TAG not in groups[name].group.tags, name))
        hooks = self._each(ordered, self._aws.hooks, AWS_CALLS_AT_ONCE)
        opted_in = [name for name in ordered if OPT_IN_TAG in groups[name].group.tags]
        topics = self._try(lambda: self._aws.topics(opted_in))
        with_hooks = {name: replace(groups[name], hooks=hooks[name]) for name in ordered}
        for name in opted_in:
            own = topics if isinstance(topics, RollcallError) else topics.get(name, {})
            with_hooks[name] = replace(with_hooks[name], topics=own)
        return with_hooks

    def _subscribers(self, topic: str, stack: ObservedStack) -> frozenset[str]:
        try:
            return self._aws.subscribers(topic)
        except AwsDenied:
            if topic != self._names.notification_topic:
                raise
            # Another account's, which does not show its subscribers; the template subscribed the queues.
            return frozenset({stack.arn("LaunchQueue"), stack.arn("TerminateQueue")})

    def _target_groups(self, opted_in: Collection[OptedInGroup]) -> set[str]:
        if not self._settings.load_balancers:
            return set()
        return {
            target_group
            for each in opted_in
            if each.settings.asks(ELB_CHECK) or each.settings.watch
            for target_group in each.group.group.target_groups
        }

    def _kind(self, target_group: str) -> str:
        return self._fleet.targets.types([target_group])[target_group]

    # Cycles

    def _cycles(self, groups: Mapping[str, ObservedGroup]) -> dict[str, ObservedCycle]:
        """Those of groups that are to be cycled, or that a cycle has pinned."""
        if not self._settings.cycles:
            return {}
        tagged = {name for name, each in groups.items() if {CYCLE_TAG, PINNED_TAG} & each.group.tags.keys()}
        refreshes = self._each(tagged, self._aws.active_refresh, AWS_CALLS_AT_ONCE)
        pins = {name: groups[name].group.tags[PINNED_TAG] for name in tagged if PINNED_TAG in groups[name].group.tags}
        runs = self._each(pins, lambda name: self._pin_runs(pins[name]), AWS_CALLS_AT_ONCE)
        return {
            name: ObservedCycle(
                self._in_time(partial(self._cycle_defaults, groups[name].group)), refreshes[name], runs.get(name)
            )
            for name in tagged
        }

    def _pin_runs(self, pin: str) -> bool:
        """Whether the execution runs whose name a pin ends with."""
        return self._aws.is_running(self._names.cycle_machine, pin.rpartition(" ")[2])

    # Bakes

    def _bakes(self, groups: Mapping[str, ObservedGroup]) -> dict[str, OrError[BakeDefaults | None]]:
        """Of groups that are to be baked."""
        if not self._settings.bakes:
            return {}
        tagged = [each for each in groups.values() if each.group.tags.keys() & set(BAKE_TAGS)]
        return {each.name: self._in_time(partial(self._bake_defaults, each.group)) for each in tagged}

    # Chef

    def _observe_chef(self, opted_in: Collection[OptedInGroup]) -> OrError[int] | None:
        """How many nodes it has; None where there is none, or no group needs it."""
        chef = self._chef
        if chef is None or not any(each.settings.nodes for each in opted_in):
            return None
        return self._try(lambda: len(chef.node_names()))

    # Tower

    def _observe_tower(self, opted_in: Collection[OptedInGroup], bakes: Collection[BakeDefaults] = ()) -> ObservedTower:
        tower = self._tower
        version = self._try(tower.version)
        observed = ObservedTower(tower.root, version, ahead=tower.now() - time.time())
        if isinstance(version, RollcallError):
            return replace(observed, other_roots=self._other_roots())
        user = self._try(tower.user)
        if isinstance(user, RollcallError):
            return replace(observed, user=user)
        inventories = self._each(groups_by_inventory(opted_in), self._inventory, TOWER_CALLS_AT_ONCE)
        named = {each.inventory for each in inventories.values() if isinstance(each, ObservedInventory)}
        return replace(
            observed,
            user=user,
            bulk=self._try(tower.has_bulk_calls),
            limits=self._try(tower.bulk_limits),
            job_timeout=self._try(tower.default_job_timeout),
            licence=self._try(tower.licence_limit),
            inventories=inventories,
            templates=self._each(templates_named(opted_in), self._template, TOWER_CALLS_AT_ONCE),
            sample=self._sample(opted_in, named),
            bake_inventories=self._each(
                {each.inventory for each in bakes if each.inventory}, self._builders, TOWER_CALLS_AT_ONCE
            ),
            bake_templates=self._each(
                {each.job_template for each in bakes if each.job_template}, self._bake_template, TOWER_CALLS_AT_ONCE
            ),
        )

    def _builders(self, reference: str) -> BuildersInventory:
        inventory = self._tower.inventory(reference)
        return BuildersInventory(inventory, self._in_time(lambda: self._tower.may_change(inventory)))

    def _bake_template(self, reference: str) -> ObservedTemplate:
        template = self._tower.job_template(reference)
        return ObservedTemplate(template, self._in_time(lambda: self._tower.launch_terms(template)))

    def _inventory(self, reference: str) -> ObservedInventory:
        inventory = self._tower.inventory(reference)
        return ObservedInventory(
            inventory,
            self._in_time(lambda: self._tower.may_change(inventory)),
            self._in_time(lambda: self._tower.dump(inventory).hosts) if self._reads_hosts else (),
            self._in_time(lambda: self._tower.organization_limit(inventory)),
        )

    def _sample(self, opted_in: Collection[OptedInGroup], named: Collection[Inventory]) -> OrError[HostSample] | None:
        """Some instances' hosts, wherever they are; not all, for each that is listed takes Tower 16 ms."""
        serving = [[each for each, known in sorted(one.group.members.items()) if known.serving] for one in opted_in]
        in_turn = [each for turn in zip_longest(*serving) for each in turn if each is not None]
        instances = tuple(dict.fromkeys(in_turn))[:SAMPLE_MAX]
        if not instances or not self._reads_hosts:
            return None
        hosts = self._try(lambda: self._tower.hosts_of(instances))
        if isinstance(hosts, RollcallError):
            return hosts
        others = {Inventory(each.inventory_id, each.inventory_name) for each in hosts} - set(named)
        first = sorted(others, key=lambda each: each.id)[:INVENTORIES_MAX]
        elsewhere = self._each(first, self._tower.may_change, TOWER_CALLS_AT_ONCE)
        return HostSample(frozenset(instances), tuple(hosts), elsewhere)

    def _template(self, reference: str) -> ObservedTemplate:
        template = self._tower.job_template(reference)
        return ObservedTemplate(
            template,
            self._in_time(lambda: self._tower.launch_terms(template)),
            self._in_time(lambda: self._tower.past_jobs(template)),
        )

    def _other_roots(self) -> tuple[str, ...]:
        """Where on the same host a Tower does answer."""
        parts = urlsplit(self._tower.root)
        urls = [f"{parts.scheme}://{parts.netloc}{root}" for root in API_ROOTS]
        return tuple(url for url in urls if url != self._tower.root and self._answers(url))

    def _answers(self, url: str) -> bool:
        return not isinstance(self._try(self._tower_at(url).version), RollcallError)


def _templates(groups: Mapping[str, ObservedGroup], baked: Collection[str]) -> set[str]:
    """The ids of the launch templates of groups that are baked."""
    details = [each for name in baked if (each := groups[name].details)]
    return {each.launch_template["LaunchTemplateId"] for each in details if "LaunchTemplateId" in each.launch_template}
