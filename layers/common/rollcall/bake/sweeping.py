"""Instances of bakes that are still there though their time is over: terminated, with their hosts, and published.

Their own bake should have done that, however it ended: so each bake that left some is published, with those that were
terminated just now. An instance that is on its way out already was published by the run that terminated it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.bake_tags import BAKE_EXECUTION, BAKE_GROUP, BAKE_ID, BAKE_ROLE, BAKE_UNTIL, Role
from rollcall.domain.errors import RollcallError
from rollcall.workflow.state_texts import cut

from .moments import is_late
from .news import BakeEvent, BakeNews
from .state import BakeState, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollcall.domain.instances import Instance

    from .bake_aws import BakeAws
    from .hosts import BakeHosts


class Swept(NamedTuple):
    """What a sweep did. news: of each bake of which instances were terminated. hosts: what became of theirs, in lines.

    error: why an instance was not terminated, the last one of several; None where all were.
    """

    news: tuple[BakeNews, ...] = ()
    hosts: tuple[str, ...] = ()
    error: RollcallError | None = None


class Sweeping:
    """Removes the instances of bakes whose time is over. machine: the ARN of the state machine Bake."""

    def __init__(self, aws: BakeAws, hosts: BakeHosts, machine: str) -> None:
        self._aws = aws
        self._hosts = hosts
        self._executions = machine.replace(":stateMachine:", ":execution:")

    def sweep(self, now: float) -> Swept:
        """Terminate them, and remove their hosts. now: epoch seconds. Raises what AWS fails at as it is asked for them.

        While Tower is away their hosts are left to reconcile, which removes those of instances that are gone.
        """
        late = [each for each in self._aws.instances_of_bakes() if each.living and is_late(each, now)]
        ended: list[Instance] = []
        error = None
        for each in late:
            try:
                self._aws.terminate([each.instance_id])
            except RollcallError as failure:  # it keeps no other instance alive
                error = failure
            else:
                ended.append(each)
        news = tuple(self._news(instances) for instances in _by_bake(ended))
        return Swept(news, self._without_hosts([each.instance_id for each in ended]), error)

    def _news(self, instances: Sequence[Instance]) -> BakeNews:
        """Of a bake, by the tags of its instances: how it ended they do not say."""
        tags = instances[0].tags
        bake_id, name = tags.get(BAKE_ID, ""), tags.get(BAKE_EXECUTION, "")
        by_role = {each.tags.get(BAKE_ROLE, ""): each.instance_id for each in instances}
        state = BakeState(
            tags.get(BAKE_GROUP, ""),
            execution=f"{self._executions}:{name}" if name else "",
            name=name,
            bake_id=bake_id,
            phase=Phase.ENDED,
            builder=by_role.get(Role.BUILDER, ""),
            smoke_instance=by_role.get(Role.SMOKE, ""),
            reason=cut(_reason(bake_id, instances)),
        )
        return BakeNews(BakeEvent.FAILED, state)

    def _without_hosts(self, instance_ids: Sequence[str]) -> tuple[str, ...]:
        try:
            return tuple(self._hosts.remove_in_words(instance_ids))
        except RollcallError as error:
            return (f"hosts of {', '.join(instance_ids)} are left to reconcile: {error}",)


def _reason(bake_id: str, instances: Sequence[Instance]) -> str:
    named = ", ".join(f"{each.tags.get(BAKE_ROLE, 'instance')} {each.instance_id}" for each in instances)
    was, it_was = ("was", "it was") if len(instances) == 1 else ("were", "they were")
    over = f"the time of the bake was over at {instances[0].tags.get(BAKE_UNTIL, '')}"
    return f"{named} of bake {bake_id} {was} still there, and {over}: {it_was} terminated"


def _by_bake(instances: Iterable[Instance]) -> list[list[Instance]]:
    found: defaultdict[tuple[str, str], list[Instance]] = defaultdict(list)
    for each in instances:
        found[each.tags.get(BAKE_GROUP, ""), each.tags.get(BAKE_ID, "")].append(each)
    return list(found.values())
