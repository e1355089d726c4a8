"""Instances on their way out: whether a retire job is waited for, and whose hosts are still in Tower."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.registry import read_group_settings
from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.messages import RetireMessage
from rollcall.lifecycle.retire_decision import decide_retirement
from rollcall.lifecycle.retire_observer import RetireObserver

from . import verdicts
from .entering import seen_job
from .waits import Shown, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.groups import Group
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower


class Leavers(NamedTuple):
    """Instances of a group that hooks hold on their way out. since: when each began to go, where that is known."""

    group: Group
    actions: Sequence[LifecycleAction]
    since: Mapping[str, float]


class LeavingReader:
    """Reads once. now: this machine's clock, in epoch seconds, as the functions count retirements by theirs."""

    def __init__(self, here: Settings, tower: Tower, evidence: Evidence, fleet: Fleet, now: float) -> None:
        self._here = here
        self._tower = tower
        self._evidence = evidence
        self._fleet = fleet
        self._now = now

    def shown(self, groups: Iterable[Leavers]) -> dict[str, Shown]:
        """What each of these instances waits for, by its id."""
        shown: dict[str, Shown] = {}
        for each in groups:
            try:
                shown |= self._of_group(each)
            except RollcallError as error:
                shown |= {one.instance_id: Shown(Step.NOT_KNOWN, str(error)) for one in each.actions}
        return self._with_hosts(shown)

    def _of_group(self, leavers: Leavers) -> dict[str, Shown]:
        if not self._has_retire_job(leavers.group):
            return {each.instance_id: Shown(Step.REMOVED) for each in leavers.actions}
        began = min((leavers.since.get(each.instance_id, self._now) for each in leavers.actions), default=self._now)
        message = RetireMessage(tuple(leavers.actions), job_id=None, since=began, heartbeat_at=began)
        account = self._here.account
        clients = (self._tower, self._evidence, self._fleet)
        observer = RetireObserver(message, leavers.group, account, *clients, closed=(), now=self._now)
        observed, source = observer.observe(leavers.actions, None)
        shown: dict[str, Shown] = {}
        for action, observation in observed.items():
            decision = decide_retirement(observation)
            template = source.template.name if source else ""
            seen = seen_job(self._tower, observation.job, template) if observation.job else None
            known = verdicts.retired(observation, decision, seen, self._now)
            if not seen and action.instance_id not in leavers.since:  # then its hook's life is not known either
                known = known._replace(next_at=None, next_is="")
            shown[action.instance_id] = known
        return shown

    def _has_retire_job(self, group: Group) -> bool:
        """Whether cleanup hands its instances to the gate. Tags that cannot be read keep no host in Tower."""
        try:
            settings = read_group_settings(group)
        except BadSettings:
            return False
        return self._here.retire_jobs and settings is not None and settings.retire_job_template is not None

    def _with_hosts(self, shown: Mapping[str, Shown]) -> dict[str, Shown]:
        """The same, where hosts are being removed with what is left of them: in one call for all."""
        going = {each for each, known in shown.items() if known.step == Step.REMOVED}
        if not going:
            return dict(shown)
        try:
            hosts = self._tower.hosts_of(going)
        except RollcallError as error:
            words = dict.fromkeys(going, f"whether its host is still in Tower cannot be read: {error}")
        else:
            words = dict.fromkeys(going, "its hosts are gone from Tower: its hook is answered next")
            words |= {
                name: f"its host is still in inventory {host.inventory_name!r}"
                for host in hosts
                for name in {host.name, host.instance_id} & going
            }
        return {
            each: known._replace(reason="; ".join(filter(None, (known.reason, words.get(each)))))
            for each, known in shown.items()
        }
