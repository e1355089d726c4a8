"""What a run of reconcile came to about each instance that it was asked for. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .result import Answer
from .snapshot import groups_of
from .steps import Requeue

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from .result import RunOutcome
    from .snapshot import Snapshot
    from .steps import Addition, Change, Removal

type Step = Removal | Change | Addition | Requeue


def answers(
    instances: Collection[str], seen: Snapshot, unread: Sequence[str], outcome: RunOutcome, *, dry_run: bool
) -> dict[str, Answer]:
    """By id, whether anything is left to do about each, and why; by the outcome of the whole run.

    unread: names of the inventories that could not be read.
    """
    return _Answering(seen, unread, outcome, dry_run=dry_run).answers(instances)


class _Answering:
    def __init__(self, seen: Snapshot, unread: Sequence[str], outcome: RunOutcome, *, dry_run: bool) -> None:
        self._seen = seen
        self._unread = unread
        self._outcome = outcome
        self._dry_run = dry_run
        self._groups = groups_of(seen)
        self._open: defaultdict[str, list[str]] = defaultdict(list)
        self._done: defaultdict[str, list[str]] = defaultdict(list)

    def answers(self, instances: Collection[str]) -> dict[str, Answer]:
        self._note_steps()
        self._note_nodes()
        for finding in self._outcome.plan.findings:
            if finding.instance_id:
                self._open[finding.instance_id].append(f"{finding.kind} {finding.subject}: {finding.reason}")
        return {each: self._answer(each) for each in sorted(instances)}

    def _note_steps(self) -> None:
        taken = {(fix.deed, fix.inventory, fix.instance_id): fix for fix in self._outcome.fixes}
        for planned, deed, step in self._steps():
            if fix := taken.get((deed, step.inventory, step.instance_id)):
                job = "" if fix.job is None else f" by job {fix.job}"
                self._done[step.instance_id].append(f"{fix.step}{job}: {step.reason}")
            elif isinstance(step, Requeue) and self._waits_for_others(step):
                self._done[step.instance_id].append("it waits for no hook of ours")
            else:
                self._open[step.instance_id].append(f"to {planned}: {step.reason}")
        for own in self._outcome.stopped.values():
            for removal in own:
                self._open[removal.instance_id].append(
                    f"the breaker stops its removal, unless forced: {removal.reason}"
                )

    def _steps(self) -> Iterator[tuple[str, str, Step]]:
        plan = self._outcome.plan
        yield from (("remove", "removed", each) for each in plan.removals)
        yield from (("fix", "fixed", each) for each in plan.changes)
        yield from (("add", "added", each) for each in plan.additions)
        yield from (("requeue", "requeued", each) for each in plan.requeues)

    def _waits_for_others(self, requeue: Requeue) -> bool:
        """Whether Auto Scaling was asked, and knows no open action of ours."""
        failed = any(requeue.instance_id in what for what in self._outcome.troubles)
        return not (self._dry_run or self._outcome.left or failed)

    def _note_nodes(self) -> None:
        nodes = self._outcome.nodes
        for removal in nodes.plan.removals:
            if removal in nodes.removed:
                self._done[removal.instance_id].append(f"removed from Chef as {removal.node}: {removal.reason}")
            else:
                self._open[removal.instance_id].append(f"to remove node {removal.node} from Chef: {removal.reason}")
        for removal in nodes.stopped:
            words = f"the breaker stops the removal of node {removal.node}, unless forced: {removal.reason}"
            self._open[removal.instance_id].append(words)

    def _answer(self, instance_id: str) -> Answer:
        if self._unread:
            return Answer(False, f"inventory {self._unread[0]!r}, which could not be read, may hold its host")
        if troubled := sorted(self._groups[instance_id] & self._seen.troubled):
            error = self._outcome.troubles.get(f"group {troubled[0]}")
            return Answer(False, str(error or f"not everything about group {troubled[0]!r} could be read"))
        if instance_id in self._open:
            return Answer(False, "; ".join(self._open[instance_id]))
        if instance_id in self._done:
            return Answer(True, "; ".join(self._done[instance_id]))
        return Answer(True, f"nothing to do: {self._state(instance_id)}")

    def _state(self, instance_id: str) -> str:
        membership, instance = self._seen.memberships.get(instance_id), self._seen.instances.get(instance_id)
        if membership:
            return f"it is {membership.state} in group {membership.group!r}"
        if instance:
            return f"EC2 says that it is {instance.state}, and no group of ours has it"
        return "no group of ours has it, and no host is for it"
