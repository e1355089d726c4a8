"""What there is in AWS and in Tower, read for doctor's findings to be made of it. Nothing is changed.

Every look that fails is kept as its error in the place of what it would have shown, and fails no other.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from copy import replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rollcall.checks.load_balancers import ELB_CHECK
from rollcall.domain.errors import AwsDenied, RollcallError, Throttled
from rollcall.domain.inventories import Inventory
from rollcall.domain.settings import OPT_IN_TAG

from .group_settings import Asking, read_tags, references
from .observations import Seen, SeenInventory, SeenSample, SeenStack, SeenTemplate, SeenTower, Senders
from .topic_findings import notified_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.findings import Finding
    from rollcall.domain.settings import Settings, StackNames
    from rollcall.tower.client import Tower

    from .aws_reader import Inspector
    from .observations import Look, SeenGroup

AWS_AT_ONCE = 8  # calls; Auto Scaling's limits are unpublished, and botocore waits where it is asked to
TOWER_AT_ONCE = 4  # requests, beside those of the functions at work
SAMPLE_MAX = 150  # instances that are looked for in every inventory: two requests
INVENTORIES_MAX = 20  # beside those that tags name, of which Tower is asked whether the token may change them
TIME_KEPT = 20.0  # seconds of the invocation for the findings to be made, told and stored
NO_TIME = "there was no time left for it in this invocation"
API_ROOTS = ("/api/v2/", "/api/controller/v2/")


class Examination:
    """One look at everything.

    chef: the installation's Chef server, None if it has none. tower_at: a client for another API root of the same
    Tower. seconds_left: in this invocation.
    """

    def __init__(
        self,
        settings: Settings,
        names: StackNames,
        tower: Tower,
        fleet: Fleet,
        inspector: Inspector,
        *,
        chef: Chef | None,
        tower_at: Callable[[str], Tower],
        seconds_left: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._names = names
        self._tower = tower
        self._fleet = fleet
        self._inspector = inspector
        self._chef = chef
        self._tower_at = tower_at
        self._seconds_left = seconds_left

    def look(self, wanted: Collection[str] | None) -> tuple[Seen, list[Asking], list[Finding]]:
        """What there is, the groups that opted in, and those of their tags that cannot be read.

        wanted: names of the groups to look at, None for all.
        """
        stack = self._stack()
        groups = self._try(lambda: self._inspector.groups(wanted))
        if isinstance(groups, RollcallError):
            return Seen(stack, self._at_tower([]), groups), [], []
        groups = self._with_hooks(groups)
        asking, unreadable = read_tags(groups.values())
        seen = Seen(
            stack,
            self._at_tower(asking),
            groups,
            frozenset(wanted or ()),
            self._each(notified_topics(groups.values()), lambda topic: self._subscribers(topic, stack), AWS_AT_ONCE),
            self._each(self._target_groups(asking), self._kind, AWS_AT_ONCE),
            self._at_chef(asking),  # last, for it only warns, and one that does not answer takes its time
            time.time(),
        )
        return seen, asking, unreadable

    # Looks that may fail

    def _try[T](self, look: Callable[[], T]) -> Look[T]:
        """One look, by itself."""
        return self._each([None], lambda _: look(), 1)[None]

    def _each[K, T](self, keys: Collection[K], look: Callable[[K], T], at_once: int) -> dict[K, Look[T]]:
        """The looks side by side. One that takes longer than there is time is left behind, and nobody waits for it."""
        pool = ThreadPoolExecutor(at_once)
        try:
            looks = {key: pool.submit(self._in_time, partial(look, key)) for key in keys}
            wait(looks.values(), timeout=max(0.0, self._seconds_left() - TIME_KEPT))
            return {key: each.result() if each.done() else Throttled(NO_TIME) for key, each in looks.items()}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _in_time[T](self, look: Callable[[], T]) -> Look[T]:
        if self._seconds_left() < TIME_KEPT:
            return Throttled(NO_TIME)
        try:
            return look()
        except RollcallError as error:
            return error
        except Exception as error:  # noqa: BLE001 - an answer that nobody expected must not hide all else
            return RollcallError(f"doctor makes no sense of an answer: {type(error).__name__}: {error}")

    # AWS

    def _stack(self) -> SeenStack:
        names, inspector = self._names, self._inspector
        queues = self._each(names.queues, lambda name: inspector.queue(names.queues[name]), AWS_AT_ONCE)
        rules = self._each(names.rules, lambda name: inspector.rule(names.rules[name]), AWS_AT_ONCE)
        sources = self._each(names.sources, lambda name: inspector.source_state(names.sources[name]), AWS_AT_ONCE)
        schedules = self._each(names.schedules, lambda name: inspector.is_scheduled(names.schedules[name]), AWS_AT_ONCE)
        topics = self._each(names.topics, lambda name: inspector.topic(names.topics[name]), AWS_AT_ONCE)
        senders = Senders(names.notification_topic, names.notifying_topics)
        return SeenStack(rules, queues, sources, schedules, topics, names.has_alarm_recipient, senders)

    def _with_hooks(self, groups: Mapping[str, SeenGroup]) -> dict[str, SeenGroup]:
        """The groups with their hooks and topics: first those that opted in, in case there is no time for all."""
        ordered = sorted(groups, key=lambda name: (OPT_IN_TAG not in groups[name].group.tags, name))
        hooks = self._each(ordered, self._inspector.hooks, AWS_AT_ONCE)
        opted_in = [name for name in ordered if OPT_IN_TAG in groups[name].group.tags]
        topics = self._try(lambda: self._inspector.topics(opted_in))
        return {
            name: replace(
                groups[name],
                hooks=hooks[name],
                topics={}
                if name not in opted_in
                else topics
                if isinstance(topics, RollcallError)
                else topics.get(name, {}),
            )
            for name in ordered
        }

    def _subscribers(self, topic: str, stack: SeenStack) -> frozenset[str]:
        try:
            return self._inspector.subscribers(topic)
        except AwsDenied:
            if topic != self._names.notification_topic:
                raise
            # Another account's, which does not show its subscribers; the template subscribed the queues.
            return frozenset({stack.arn("LaunchQueue"), stack.arn("TerminateQueue")})

    def _target_groups(self, asking: Collection[Asking]) -> set[str]:
        if not self._settings.load_balancers:
            return set()
        return {
            target_group
            for each in asking
            if each.settings.asks(ELB_CHECK) or each.settings.watch
            for target_group in each.group.group.target_groups
        }

    def _kind(self, target_group: str) -> str:
        return self._fleet.targets.types([target_group])[target_group]

    # Chef

    def _at_chef(self, asking: Collection[Asking]) -> Look[int] | None:
        """How many nodes it has; None where there is none, or no group asks for it."""
        chef = self._chef
        if chef is None or not any(each.settings.nodes for each in asking):
            return None
        return self._try(lambda: len(chef.node_names()))

    # Tower

    def _at_tower(self, asking: Collection[Asking]) -> SeenTower:
        tower = self._tower
        version = self._try(tower.version)
        seen = SeenTower(tower.root, version, ahead=tower.now() - time.time())
        if isinstance(version, RollcallError):
            return replace(seen, other_roots=self._other_roots())
        user = self._try(tower.user)
        if isinstance(user, RollcallError):
            return replace(seen, user=user)
        inventories, templates = references(asking)
        found = self._each(inventories, self._inventory, TOWER_AT_ONCE)
        return replace(
            seen,
            user=user,
            bulk=self._try(tower.has_bulk_calls),
            limits=self._try(tower.bulk_limits),
            job_timeout=self._try(tower.default_job_timeout),
            licence=self._try(tower.licence_limit),
            inventories=found,
            templates=self._each(templates, self._template, TOWER_AT_ONCE),
            sample=self._sample(asking, {each.inventory for each in found.values() if isinstance(each, SeenInventory)}),
        )

    def _inventory(self, reference: str) -> SeenInventory:
        inventory = self._tower.inventory(reference)
        return SeenInventory(
            inventory,
            self._in_time(lambda: self._tower.may_change(inventory)),
            self._in_time(lambda: self._tower.dump(inventory).hosts),
            self._in_time(lambda: self._tower.organization_limit(inventory)),
        )

    def _sample(self, asking: Collection[Asking], named: Collection[Inventory]) -> Look[SeenSample] | None:
        """Some instances' hosts, wherever they are; not all, for each that is listed takes Tower 16 ms."""
        serving = [[each for each, known in sorted(one.group.members.items()) if known.serving] for one in asking]
        in_turn = [each for turn in zip_longest(*serving) for each in turn if each is not None]
        instances = tuple(dict.fromkeys(in_turn))[:SAMPLE_MAX]
        if not instances:
            return None
        hosts = self._try(lambda: self._tower.hosts_of(instances))
        if isinstance(hosts, RollcallError):
            return hosts
        others = {Inventory(each.inventory_id, each.inventory_name) for each in hosts} - set(named)
        first = sorted(others, key=lambda each: each.id)[:INVENTORIES_MAX]
        elsewhere = self._each(first, self._tower.may_change, TOWER_AT_ONCE)
        return SeenSample(frozenset(instances), tuple(hosts), elsewhere)

    def _template(self, reference: str) -> SeenTemplate:
        template = self._tower.job_template(reference)
        return SeenTemplate(
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
