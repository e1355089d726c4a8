"""Waiting instances that are gone or going, or whose lifecycle action is over: their hosts go, and their wait ends."""

from __future__ import annotations

from copy import replace
from functools import partial
from typing import TYPE_CHECKING

from rollcall.checks.load_balancers import withdraw
from rollcall.domain import timing
from rollcall.domain.aws_text import INSTANCE_ID
from rollcall.domain.errors import RollcallError
from rollcall.domain.membership import holds
from rollcall.domain.reports import NO_LONGER_WAITING, Event, Note, Report, gone
from rollcall.domain.stages import Stage, action_of, all_together, grouped
from rollcall.domain.timing import UNANSWERED_LIFE, UNANSWERED_RETRY
from rollcall.hosts.removal import remove_from_every_inventory

from .destinations import Destination, departures
from .gate_context import Alerts, GoingOn, by_held, instance_ids
from .unknown_instances import within_removal_limit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Never

    from rollcall.domain.inventories import RemovalResult
    from rollcall.domain.jobs import Job
    from rollcall.domain.membership import Membership
    from rollcall.domain.messages import Waiting

    from .gate_context import GateContext
    from .running_jobs import JobCancellations

ENDED_BY_AWS = "ended by Auto Scaling"


class GateDepartures:
    """Ends the wait of those that left, in one round.

    message_job: the one that the message names, None if there is none.
    """

    def __init__(self, context: GateContext, message_job: Job | None, cancellations: JobCancellations) -> None:
        self._context = context
        self._message = context.message
        self._message_job = message_job
        self._cancellations = cancellations

    def settle_unfound(self, members: Sequence[Waiting]) -> Stage[GoingOn]:
        """AWS does not find their actions: over, or not visible right now while Auto Scaling holds the instance.

        The latter go on, for two minutes at most.
        """
        return all_together(members, action_of, self._settle_unfound)

    def remove_departed(
        self, members: Sequence[Waiting], memberships: Mapping[str, Membership] | None = None
    ) -> Stage[Waiting]:
        """Those that stay go on. Of those whose instance is gone or going the hosts go too, and their wait is over.

        memberships: what Auto Scaling has just shown of them, if that is known. Reconcile removes the hosts of those
        that are too many to go with nothing but the message to speak for it.
        """
        if not members:
            return Stage(())
        context = self._context
        departing = departures(context.fleet, instance_ids(members), memberships)
        departed = {each for each, own in departing.items() if own.destination == Destination.FOR_GOOD}
        unknown = {each for each, own in departing.items() if own.unknown}
        left = [each for each in members if each.action.instance_id in departed]
        within_limit = within_removal_limit(context.tower, context.fleet, left, action_of, unknown, context.share)
        removed = within_limit.together(action_of, self._remove)
        staying = [each for each in members if each not in left]
        is_done = not any(each.error for each in removed.left)  # otherwise the next try ends their job
        return Stage(staying, [*removed.left, *(self._end_of_their_job(departed, left) if is_done else ())])

    def left_meanwhile(self, waiting: Waiting, removal: RemovalResult, *, alerted: bool) -> Report:
        """The report of an instance that left, and whose hosts were removed. alerted: an alert about it was published.

        Where Auto Scaling ended its wait by itself that is an alert, too.
        """
        report = gone(
            waiting.action,
            "removed from every inventory: left meanwhile",
            removal,
            published=waiting.action.instance_id in removal.removed,
            alerted_before=alerted,
        )
        limit = self._passed_limit(waiting)
        if report.error or not limit:
            return report
        alert = Note(f"{ENDED_BY_AWS}: {limit}", alert=True)
        event = report.event and Event.ABANDONED  # one was published when its host was removed
        return replace(report, outcome=alert.words, event=event, notes=(alert, *report.notes))

    def withdraw(self, members: Sequence[Waiting]) -> None:
        """Take them out of the target groups of their group, whether or not its tags still ask for elb.

        What serves without a hook was registered by Auto Scaling, and is its to take out.
        """
        if not self._context.installation.load_balancers:
            return
        held_by_hook, _ = by_held(members)
        for name, own in grouped(held_by_hook, lambda each: each.action.group).items():
            if (group := self._context.groups.get(name)) and group.target_groups:
                withdraw(self._context.fleet.targets, group, instance_ids(own))

    def _settle_unfound(self, members: Sequence[Waiting]) -> Stage[GoingOn]:
        memberships = self._context.fleet.memberships(instance_ids(members))
        departed = self.remove_departed(members, memberships)
        return departed.apart(action_of, partial(self._await_or_end, memberships))

    def _await_or_end(self, memberships: Mapping[str, Membership], waiting: Waiting) -> GoingOn | Report:
        """An instance that is still there, and whose action AWS does not find."""
        message, now = self._message, self._context.now
        since = now if waiting.unanswered_since is None else waiting.unanswered_since
        is_held = holds(memberships.get(waiting.action.instance_id), waiting.action.transition)
        if is_held and now - since < UNANSWERED_LIFE:
            return GoingOn(
                replace(waiting, unanswered_since=since),
                message.job_id,
                UNANSWERED_RETRY,
                Alerts(message.alerted),
                lost_jobs=message.lost_jobs,
                relaunch_at=message.relaunch_at,
            )
        if limit := self._passed_limit(waiting):
            words = f"{limit}, and its default result lets it serve, though it is not known to be provisioned"
            return Report(
                waiting.action,
                f"{ENDED_BY_AWS}: {limit}",
                job=message.job_id,
                notes=(Note(words, alert=True),),
                alerted_before=message.alerted,
            )
        return Report(waiting.action, NO_LONGER_WAITING)

    def _remove(self, left: Sequence[Waiting]) -> Stage[Never]:
        self.withdraw(left)
        removal = remove_from_every_inventory(self._context.tower, self._context.fleet, instance_ids(left))
        return Stage((), [self.left_meanwhile(each, removal, alerted=self._message.alerted) for each in left])

    def _passed_limit(self, waiting: Waiting) -> str:
        """Why Auto Scaling ended an instance's wait by itself; empty if something else did, or no hook held it."""
        group = self._context.groups.get(waiting.action.group)
        if group is None or group.in_emergency or not waiting.action.held_by_hook:
            return ""
        life = timing.hook_life(group, waiting.action)
        if self._context.now - waiting.action.at < life - timing.CLOCKS_APART:
            return ""
        return f"its hook {waiting.action.hook!r} had waited for {life:.0f} s, which is its limit"

    def _end_of_their_job(self, departed: Collection[str], left: Sequence[Waiting]) -> list[Report]:
        """Cancels the message's job if it runs, and none of its hosts' instances is there any more.

        Nothing waits for that: why it was not cancelled is reported of one of those that left.
        """
        job = self._message_job
        if not left or job is None or job.status.final or not job.hosts & set(departed):
            return []
        try:
            refusal = self._cancellations.cancel(job) if self._all_left(job, departed) else ""
        except RollcallError as error:
            refusal = f"job {job.id} is not cancelled, though all its instances may have left: {error}"
        return [Report(left[0].action, "", job=job.id, notes=(Note(refusal),))] if refusal else []

    def _all_left(self, job: Job, departed: Collection[str]) -> bool:
        others = job.hosts - set(departed)
        if not all(map(INSTANCE_ID.allows, others)):  # another user's job, on hosts that are no instances
            return False
        fleet = self._context.fleet
        return not others or others <= fleet.departed(others, fleet.memberships(others))
