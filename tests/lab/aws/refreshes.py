"""Instance refreshes as the engine runs them: what each does with its group at a tick, and how it ends.

A refresh replaces what is outdated: on its way forward whatever was not launched since it began (and does not match, if
it skips what matches), in a rollback what it launched itself. It tells the engine what capacity the group is to have
for the moment and what to launch from, and terminates old instances; the engine launches. `lab.refresh_sizes` has the
arithmetic.

Source: Amazon EC2 Auto Scaling user guide ("How an instance refresh works", "Add checkpoints to an instance refresh",
"Undo changes with a manual or auto rollback", "Cancel an instance refresh", "Instance refresh example events and
patterns") and API reference (StartInstanceRefresh and its kin); the cause of a termination is from published
notifications. What none of them says is in `lab.refresh.Rules`, or is the lab's reading: a group with more instances
than it wants after a refresh ended early keeps them until none is on its way any more, and then its oldest go; a
refresh whose last checkpoint is below 100 percent ends with that checkpoint's delay; a status reason that no
documentation has ends in "(wording of the lab)".
"""

from collections import defaultdict
from typing import Protocol

from lab.aws import ministack as cloud
from lab.aws import processes, warm_pools
from lab.aws.configurations import matches, save
from lab.aws.lifecycle import COUNTED, PREPARED, READY, Instance
from lab.aws.lifecycle_events import LifecycleEvents
from lab.aws.ministack import Record
from lab.aws.refresh import (
    ACTIVE,
    ALL,
    BAKING,
    CANCELLED,
    CANCELLING,
    FAILED,
    IN_PROGRESS,
    PENDING,
    ROLLBACK_FAILED,
    ROLLED_BACK,
    ROLLING_BACK,
    SUCCESSFUL,
    PoolProgress,
    Progress,
    Refresh,
    Rollback,
    Rules,
)
from lab.aws.refresh_sizes import Bounds, Member, Step, needed, next_step, share

EVENT = "EC2 Auto Scaling Instance Refresh "
"""What the detail types begin with."""
TERMINATED = "an instance was taken out of service in response to an instance refresh."
LAUNCHED = "an instance was launched in response to an instance refresh."
LONGEST = 14 * 24 * 3600
"""Seconds for which a refresh may replace instances."""
OURS = "(wording of the lab)"


class Hands(Protocol):
    """As much of the engine as a refresh needs."""

    def members(self, group: Record) -> list[Instance]:
        """Return a group's instances and those of its warm pool, the oldest first."""

    def terminate(self, instance: Instance, now: float, cause: str) -> None:
        """Begin to terminate an instance."""


class Refreshes:
    """Those of all groups, the ended ones too."""

    def __init__(self, hands: Hands, events: LifecycleEvents, rules: Rules = Rules()) -> None:  # noqa: B008 - frozen
        self.rules = rules
        self._hands = hands
        self._events = events
        self._kept: defaultdict[str, list[Refresh]] = defaultdict(list)  # by the group's ARN, the oldest first

    # What the engine and the API ask.

    def of(self, group: Record) -> list[Refresh]:
        """Return the refreshes that a group has had: the newest first, which is the only one that may go on."""
        return self._kept.get(group["AutoScalingGroupARN"], [])[::-1]

    def active(self, group: Record) -> Refresh | None:
        """Return the refresh of a group that goes on, if one does."""
        kept = self._kept.get(group["AutoScalingGroupARN"])
        return kept[-1] if kept and kept[-1].active else None

    def wanted(self, group: Record, live: int, *, on_their_way: bool) -> int:
        """Return the capacity that a group is to have for now. live: what it has; on_their_way: whether some launch."""
        desired = int(group["DesiredCapacity"])
        kept = self._kept.get(group["AutoScalingGroupARN"])
        if not kept:
            return desired
        refresh = kept[-1]
        if refresh.active:
            return desired if refresh.wanted is None else refresh.wanted
        refresh.settling = refresh.settling and on_their_way and live > desired
        return live if refresh.settling else desired

    def configuration(self, group: Record) -> Record | None:
        """Return what instances of the group are launched from because of a refresh, None where it says nothing."""
        refresh = self.active(group)
        return refresh.configuration if refresh else None

    def generation(self, group: Record) -> str:
        """Return what an instance that is launched now is marked with."""
        refresh = self.active(group)
        return refresh.generation if refresh else ""

    def cause(self, group: Record) -> str | None:
        """Return why instances are launched because of a refresh, None where no refresh goes on."""
        return LAUNCHED if self.active(group) else None

    def is_current(self, group: Record, instance: Instance) -> bool:
        """Whether an instance may be taken out of the pool: a refresh takes none that it would replace."""
        refresh = self.active(group)
        return refresh is None or not _is_outdated(refresh, instance)

    def age(self, group: Record, seconds: float) -> None:
        """Let the refreshes that a group has had have begun, and ended if they have, so many seconds earlier."""
        for refresh in self.of(group):
            refresh.started -= seconds
            refresh.ended = None if refresh.ended is None else refresh.ended - seconds

    # What begins by a call.

    def start(self, group: Record, refresh: Refresh, now: float) -> None:
        """Let a refresh begin with the next tick."""
        if refresh.preferences.skip_matching:
            target = refresh.asked or refresh.previous
            members = self._hands.members(group)
            refresh.matching = frozenset(each.instance_id for each in members if matches(target, each))
        refresh.progressed = now
        self._kept[refresh.group_arn].append(refresh)
        self._measure(group, refresh, self._judged(group, refresh, now))

    def cancel(self, group: Record, refresh: Refresh, now: float, *, wait: bool) -> None:
        """End a refresh or its rollback. wait: for launches and terminations that are under way."""
        refresh.reason = f"Cancelled by a request {OURS}"
        if wait:
            refresh.status, refresh.wanted = CANCELLING, None
            self._cancel_when_quiet(group, refresh, now)
        else:
            self._end(group, refresh, CANCELLED, "Cancelled", now)

    def roll_back(self, group: Record, refresh: Refresh, now: float, reason: str) -> None:
        """Begin to replace what a refresh has launched by what the group is configured with."""
        refresh.rollback = Rollback(reason, now, refresh.progress)
        refresh.status, refresh.reason, refresh.trouble = ROLLING_BACK, reason, ""
        refresh.progressed, refresh.marks = now, (0, 0, 0)
        refresh.paused_until = refresh.bakes_until = None
        self._report(refresh, "Rollback Started")
        if self.rules.pending_on_rollback == "terminate" and not processes.is_suspended(group, processes.TERMINATE):
            for instance in self._hands.members(group):
                if _is_young(instance) and _is_outdated(refresh, instance):
                    self._hands.terminate(instance, now, TERMINATED)

    # What happens at a tick.

    def advance(self, group: Record, now: float) -> None:
        """Let the refresh of a group that goes on, if one does, do what it may do now."""
        refresh = self.active(group)
        if refresh is None:
            return
        if refresh.status == CANCELLING:
            self._cancel_when_quiet(group, refresh, now)
            return
        alarm = self._alarm(refresh)
        if alarm:
            self._fail(group, refresh, now, f"The alarm {alarm} is in ALARM {OURS}")
            return
        if processes.is_suspended(group, processes.REFRESH):
            refresh.wanted = max(int(group["DesiredCapacity"]), self._live(group))
            refresh.reason = f"The process InstanceRefresh is suspended {OURS}"
            return
        if refresh.status == PENDING:
            refresh.status, refresh.progressed, refresh.reason = IN_PROGRESS, now, ""
            self._report(refresh, "Started")
        if refresh.status == BAKING:
            self._bake(group, refresh, now)
        else:
            self._replace(group, refresh, now)

    def _replace(self, group: Record, refresh: Refresh, now: float) -> None:
        """Take the next step of a refresh that replaces instances, or end it."""
        members = self._judged(group, refresh, now)
        self._measure(group, refresh, members)
        self._note_progress(group, refresh, members, now)
        if self._is_complete(group, refresh, members):
            self._complete(group, refresh, now)
            return
        allowed = self._allowed(group, refresh, members, now)
        if allowed is None:
            self._complete(group, refresh, now)  # it was to replace no more than that
            return
        step = self._step(group, refresh, members, allowed)
        lacks = refresh.wanted is not None and _weight(members) < refresh.wanted  # since the tick before
        refresh.wanted = step.wanted
        if not processes.is_suspended(group, processes.TERMINATE):
            chosen = set(step.terminated)
            for instance in self._hands.members(group):
                if instance.instance_id in chosen:
                    self._hands.terminate(instance, now, TERMINATED)
            self._terminate_others(group, refresh, members, now)
        blocked = self._blocked_by(group, refresh, members, lacks=lacks) or self._failing(group, refresh)
        self._judge_delay(group, refresh, members, blocked, now)

    def _judged(self, group: Record, refresh: Refresh, now: float) -> list[Member]:
        warmup, preferences = _warmup(group, refresh), refresh.preferences
        found = []
        for each in self._hands.members(group):
            if each.state not in COUNTED:
                continue
            outdated, young = _is_outdated(refresh, each), _is_young(each)
            new = each.generation == refresh.generation
            warm = not new or (each.in_service_since is not None and now >= each.in_service_since + warmup)
            found.append(
                Member(
                    each.instance_id,
                    each.weight or 1,
                    outdated=outdated,
                    kept=outdated and each.protected and preferences.protected != "Refresh",
                    ready=each.state == "InService" and each.health == "Healthy" and warm,
                    young=young,
                    held=young and refresh.rollback is not None and self.rules.pending_on_rollback == "wait",
                )
            )
        return found

    def _step(self, group: Record, refresh: Refresh, members: list[Member], allowed: int) -> Step:
        desired, preferences = int(group["DesiredCapacity"]), refresh.preferences
        maximum = ALL if preferences.maximum is None else preferences.maximum
        bounds = Bounds(
            share(desired, preferences.minimum, self.rules.minimum_rounding),
            max(desired, share(desired, maximum, self.rules.maximum_rounding)),
        )
        launches_first, paused = preferences.maximum is not None, refresh.paused_until is not None
        return next_step(members, desired, bounds, allowed, launches_first=launches_first, may_force=not paused)

    def _allowed(self, group: Record, refresh: Refresh, members: list[Member], now: float) -> int | None:
        """Return how much may be new for now, by the checkpoints; None if the last of them was all there was to do."""
        desired, percents = int(group["DesiredCapacity"]), refresh.preferences.checkpoints
        if not percents or refresh.rollback:
            return desired
        done = sum(each.weight for each in members if not each.outdated and each.ready)
        reached = [i for i, percent in enumerate(percents) if done >= needed(desired, percent) and percent < ALL]
        if reached and reached[-1] >= refresh.checkpoints:
            refresh.checkpoints = reached[-1] + 1
            refresh.paused_until = now + refresh.preferences.checkpoint_delay
            percent = percents[reached[-1]]
            delay = refresh.preferences.checkpoint_delay
            about = {"CheckpointPercentage": str(percent), "CheckpointDelay": str(delay)}
            self._report(refresh, "Checkpoint Reached", **about)
        if refresh.paused_until is not None:
            if now < refresh.paused_until:
                refresh.progressed = now
                refresh.reason = f"Waiting at a checkpoint {OURS}"
                return needed(desired, percents[refresh.checkpoints - 1])
            refresh.paused_until, refresh.progressed = None, now
        if refresh.checkpoints == len(percents):
            return None
        return needed(desired, percents[refresh.checkpoints])

    def _measure(self, group: Record, refresh: Refresh, members: list[Member]) -> None:
        """Note how far the refresh is."""
        desired = int(group["DesiredCapacity"])
        ignored = _weight([each for each in members if each.kept]) if refresh.preferences.protected == "Ignore" else 0
        total = max(desired - ignored, 0)
        fresh = [each for each in members if not each.outdated]
        done = min(total, _weight([each for each in fresh if each.ready]))
        in_service = min(total, _weight([each for each in fresh if not each.young]))
        if refresh.rollback:
            self._measure_rollback(refresh, refresh.rollback, desired, members)
            return
        waiting = self._standing_by(group, refresh) if refresh.preferences.standby != "Ignore" else []
        left = total - in_service + len(waiting)
        if warm_pools.of(group) is None:
            refresh.progress = Progress(_percent(done, total), left)
            return
        pool_total = warm_pools.wanted(group)
        pool_done = min(pool_total, len([each for each in self._prepared(group, refresh) if each.state in READY]))
        refresh.progress = Progress(
            _percent(done + pool_done, total + pool_total),
            left + pool_total - pool_done,
            PoolProgress(_percent(done, total), left),
            PoolProgress(_percent(pool_done, pool_total), pool_total - pool_done),
        )

    def _measure_rollback(self, refresh: Refresh, rollback: Rollback, desired: int, members: list[Member]) -> None:
        """What was replaced goes down to 0 percent; what was not yet updated stays the number it was."""
        still = min(desired, _weight([each for each in members if each.outdated]))
        percent = min(rollback.progress.percent, _percent(still, desired) if desired else 0)
        refresh.progress = rollback.progress._replace(percent=percent)

    def _prepared(self, group: Record, refresh: Refresh) -> list[Instance]:
        """The members of the warm pool that need not be replaced."""
        members = self._hands.members(group)
        return [each for each in members if each.state in PREPARED and not _is_outdated(refresh, each)]

    def _standing_by(self, group: Record, refresh: Refresh) -> list[Instance]:
        members = self._hands.members(group)
        states = ("EnteringStandby", "Standby")
        return [each for each in members if each.state in states and _is_outdated(refresh, each)]

    def _terminate_others(self, group: Record, refresh: Refresh, members: list[Member], now: float) -> None:
        """Those in Standby that may go, and those in the warm pool once none in service is left to be replaced."""
        if refresh.preferences.standby == "Terminate":
            for instance in self._standing_by(group, refresh):
                if instance.state == "Standby":
                    self._hands.terminate(instance, now, TERMINATED)
        if any(each.outdated and not each.kept for each in members):
            return
        for instance in self._hands.members(group):
            if instance.state in READY and _is_outdated(refresh, instance):
                self._hands.terminate(instance, now, TERMINATED)

    def _is_complete(self, group: Record, refresh: Refresh, members: list[Member]) -> bool:
        ignores = refresh.preferences.protected == "Ignore"
        if any(each.outdated and not (each.kept and ignores) for each in members):
            return False
        if any(not each.ready for each in members if not each.outdated):
            return False
        if _weight(members) < int(group["DesiredCapacity"]):
            return False
        if refresh.preferences.standby != "Ignore" and self._standing_by(group, refresh):
            return False
        others = [each for each in self._hands.members(group) if each.state not in COUNTED]
        if any(each.state in PREPARED and (_is_outdated(refresh, each) or each.state not in READY) for each in others):
            return False
        going = [each for each in others if each.state.startswith("Terminating") and "Retained" not in each.state]
        return not self.rules.awaits_terminations or not any(_is_outdated(refresh, each) for each in going)

    def _note_progress(self, group: Record, refresh: Refresh, members: list[Member], now: float) -> None:
        """Let the time that a refresh may go without any progress begin anew when there was some."""
        fresh = [each for each in members if not each.outdated]
        done, in_service = sum(each.ready for each in fresh), sum(not each.young for each in fresh)
        current = self._prepared(group, refresh)
        marks = (done + sum(each.state in READY for each in current), in_service, -len(members) + len(fresh))
        if any(new > old for new, old in zip(marks, refresh.marks, strict=True)):
            refresh.progressed, refresh.trouble = now, ""
        refresh.marks = marks

    def _failing(self, group: Record, refresh: Refresh) -> str:
        """Return, until there is progress again, that an instance of those it launches did not come into service."""
        for each in self._hands.members(group):
            failed = each.in_service_since is None or each.health == "Unhealthy"
            if each.generation == refresh.generation and each.state.startswith("Terminating") and failed:
                refresh.trouble = f"{each.instance_id} failed to launch or to stay healthy {OURS}"
        return refresh.trouble

    def _judge_delay(self, group: Record, refresh: Refresh, members: list[Member], blocked: str, now: float) -> None:
        """Say what the refresh waits for, and fail it if it has waited for too long."""
        if now - refresh.started > LONGEST:
            self._fail(group, refresh, now, f"It went on for longer than 14 days {OURS}")
            return
        if refresh.paused_until is not None:
            return
        warming = next((each for each in members if not each.outdated and not each.young and not each.ready), None)
        if warming:
            words = f"For example: {warming.instance_id} is warming up."
            refresh.reason = f"Waiting for instances to warm up before continuing. {words}"
        else:
            refresh.reason = blocked
        slow = self.rules.slow_launches_fail and any(each.young for each in members)
        if now - refresh.progressed > self.rules.retry_seconds and (blocked or slow):
            self._fail(group, refresh, now, blocked or f"Instances take too long to launch {OURS}")

    def _blocked_by(self, group: Record, refresh: Refresh, members: list[Member], *, lacks: bool) -> str:
        """Return what keeps a refresh from going on, "" if nothing does. lacks: whether it got less than it wanted."""
        for name in (processes.LAUNCH, processes.TERMINATE):
            if processes.is_suspended(group, name):
                return f"The process {name} is suspended {OURS}"
        if lacks and not any(each.young for each in members):
            return refresh.trouble or f"Instances cannot be launched {OURS}"
        if any(each.outdated and not each.kept for each in members):
            return ""
        if refresh.preferences.protected == "Wait":
            kept = next((each for each in members if each.kept), None)
            if kept:
                return f"{kept.instance_id} is protected from scale in {OURS}"
        standing_by = self._standing_by(group, refresh)
        if refresh.preferences.standby == "Wait" and standing_by:
            return f"{standing_by[0].instance_id} is in Standby {OURS}"
        return ""

    # How it ends.

    def _complete(self, group: Record, refresh: Refresh, now: float) -> None:
        refresh.reason = ""
        if refresh.rollback:
            refresh.progress = refresh.progress._replace(percent=0)
            self._end(group, refresh, ROLLED_BACK, "Rollback Succeeded", now)
        elif refresh.preferences.bake:
            refresh.status, refresh.bakes_until = BAKING, now + refresh.preferences.bake
            refresh.wanted = None
            self._report(refresh, "Started Baking")
        else:
            self._succeed(group, refresh, now)

    def _bake(self, group: Record, refresh: Refresh, now: float) -> None:
        if refresh.bakes_until is not None and now >= refresh.bakes_until:
            self._succeed(group, refresh, now)

    def _succeed(self, group: Record, refresh: Refresh, now: float) -> None:
        if refresh.asked:
            save(group, refresh.asked)
        self._end(group, refresh, SUCCESSFUL, "Succeeded", now)

    def _fail(self, group: Record, refresh: Refresh, now: float, reason: str) -> None:
        if refresh.preferences.auto_rollback and not refresh.rollback:
            self.roll_back(group, refresh, now, reason)
            return
        refresh.reason = reason
        if refresh.rollback:
            self._end(group, refresh, ROLLBACK_FAILED, "Rollback Failed", now)
        else:
            self._end(group, refresh, FAILED, "Failed", now)

    def _cancel_when_quiet(self, group: Record, refresh: Refresh, now: float) -> None:
        """End a refresh that is being cancelled as soon as nothing of it is under way."""
        refresh.wanted = max(int(group["DesiredCapacity"]), self._live(group))
        going = ("Terminating", "Terminating:Wait", "Terminating:Proceed")
        if not any(_is_young(each) or each.state in going for each in self._hands.members(group)):
            self._end(group, refresh, CANCELLED, "Cancelled", now)

    def _end(self, group: Record, refresh: Refresh, status: str, event: str, now: float) -> None:
        refresh.status, refresh.ended, refresh.wanted = status, now, None
        refresh.settling = self._live(group) > int(group["DesiredCapacity"])
        self._report(refresh, event)

    def _report(self, refresh: Refresh, what: str, **about: str) -> None:
        detail = {"InstanceRefreshId": refresh.refresh_id, "AutoScalingGroupName": refresh.group, **about}
        self._events.put(EVENT + what, detail, [refresh.group_arn])

    def _live(self, group: Record) -> int:
        return sum(each.weight or 1 for each in self._hands.members(group) if each.state in COUNTED)

    def _alarm(self, refresh: Refresh) -> str | None:
        """Return an alarm of the refresh that is in ALARM; none is heeded in a rollback."""
        if refresh.rollback or refresh.status not in ACTIVE:
            return None
        return next((each for each in refresh.preferences.alarms if cloud.alarm_state(each) == "ALARM"), None)


def _is_outdated(refresh: Refresh, instance: Instance) -> bool:
    """Whether a refresh is to replace an instance, or its rollback is."""
    if refresh.rollback:
        return instance.generation == refresh.refresh_id
    return instance.generation != refresh.refresh_id and instance.instance_id not in refresh.matching


def _is_young(instance: Instance) -> bool:
    return instance.state in ("Pending", "Pending:Wait", "Pending:Proceed", "RootVolumeReplaced")


def _warmup(group: Record, refresh: Refresh) -> int:
    """Return the seconds from in service until an instance counts."""
    own, default = refresh.preferences.warmup, group.get("DefaultInstanceWarmup")
    if own is not None:
        return own
    return int(default if default not in (None, "") else group["HealthCheckGracePeriod"])


def _weight(members: list[Member]) -> int:
    return sum(each.weight for each in members)


def _percent(part: int, whole: int) -> int:
    return ALL * part // whole if whole else ALL
