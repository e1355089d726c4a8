"""What a cycle reads: the group, the gate's verdicts, what proves new instances, and what is left of old ones.

Methods raise what the clients' do; nothing is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.aws.target_groups import NOT_REGISTERED
from rollcall.checks.registry import read_group_settings
from rollcall.domain.chef_nodes import NamedAfter, identifier_in, node_name
from rollcall.domain.groups import JOB_CHECK
from rollcall.domain.lifecycle_states import Phase
from rollcall.domain.settings import names_retire_template, read_node_pattern
from rollcall.evidence.proofs import proofs
from rollcall.tower.connection import job_page
from rollcall.workflow.state_texts import cut

from .observed import group_now
from .progress import is_new
from .state import CycleVerdict
from .verdicts import UNREACHED
from .verification import Remains

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.gate_log import GateLine, GateLog
    from rollcall.aws.group_details import GroupDetails, GroupReader
    from rollcall.chef.client import Chef
    from rollcall.domain.chef_nodes import NodePattern
    from rollcall.domain.groups import Group
    from rollcall.domain.jobs import Job
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .observed import GroupNow
    from .state import CycleState

HELD = "Terminating:Wait"
THERE = (Phase.ENTERING, Phase.SERVING, Phase.POOLED)
TASK_FAILED = ("runner_on_failed",)
EVENTS_MAX = 1000  # failures of one host in one job
LATE_LINES = 900.0  # seconds by which a line of the gate's log may be late, or its clock behind: moments, as a rule


class CycleReader:
    """Reads for one step."""

    def __init__(
        self, tower: Tower, evidence: Evidence, fleet: Fleet, groups: GroupReader, gate_log: GateLog, chef: Chef | None
    ) -> None:
        self._tower = tower
        self._evidence = evidence
        self._fleet = fleet
        self._groups = groups
        self._gate_log = gate_log
        self._chef = chef

    def group(self, name: str, since: float) -> GroupNow | None:
        """A group now, and what it launched and terminated since then (epoch seconds); None if it is not there."""
        details = self._groups.details(name)
        if details is None:
            return None
        return group_now(details, self._fleet.activity_since(name, since), self.health(details))

    def health(self, details: GroupDetails) -> dict[str, dict[str, str]]:
        """By target group's ARN, the state of each instance of a group as a target."""
        ids = [each.instance_id for each in details.members]
        return {
            arn: {
                instance_id: "not registered" if one.reason == NOT_REGISTERED else one.state
                for instance_id, one in self._fleet.targets.health(arn, ids).items()
            }
            for arn in details.group.target_groups
        }

    # The gate's verdicts

    def verdicts(self, state: CycleState, group: GroupNow) -> list[CycleVerdict]:
        """Those against instances that were launched since the cycle began, and that the state does not hold yet.

        The job of one tells which task failed: it is read from Tower once. Of the gate's log only what is new is read:
        that of a busy installation is long after some days. One that the group shows with another version was launched
        before AWS took the new one.
        """
        since = max(state.began, state.verdicts_read - LATE_LINES)
        known = {each.instance_id for each in state.verdicts}
        old = {each.instance_id for each in group.members if not is_new(state, each)}
        lines = {
            line.instance_id: line
            for line in self._gate_log.decisions(state.group, since)
            if line.instance_id in group.launched and line.instance_id not in known | old
        }
        jobs = self._tower.jobs([line.job for line in lines.values() if line.job is not None]) if lines else {}
        return [self._verdict(line, jobs.get(line.job or 0)) for line in lines.values()]

    def _verdict(self, line: GateLine, job: Job | None) -> CycleVerdict:
        if line.checks or line.job is None:
            return CycleVerdict(
                line.instance_id, line.decision, " ".join(line.checks), None, None, None, cut(line.reason)
            )
        url = job_page(self._tower.root, line.job)
        what = UNREACHED if job is None else self._failed_task(job.id, line.instance_id)
        template = job.template_id if job else 0
        return CycleVerdict(line.instance_id, line.decision, what, template, line.job, url, cut(line.reason))

    def _failed_task(self, job_id: int, instance_id: str) -> str:
        """The task that failed on an instance; UNREACHED if none did."""
        events = self._tower.events(job_id, TASK_FAILED, EVENTS_MAX, [instance_id]) or ()
        failed = [each for each in events if each.host == instance_id and not each.ignored]
        return cut(failed[-1].task) if failed else UNREACHED

    # What proves that it went well

    def unproven(self, group: Group, instance_ids: Collection[str]) -> dict[str, str]:
        """Of these instances those that no job of their stint proves, or that have no host, each with the reason.

        Raises BadSettings where the group's tags cannot be followed.
        """
        settings = read_group_settings(group)
        if settings is None or not instance_ids:
            return {}
        found = proofs(self._tower, self._evidence, settings, instance_ids)
        if settings.asks(JOB_CHECK):
            return {each: why for each, proof in found.items() if (why := proof.why_unproven())}
        return {each: "it has no host in Tower" for each, proof in found.items() if not proof.has_host}

    def remains(self, group: Group, now: GroupNow, until: float) -> tuple[Remains, ...]:
        """What is left of the instances that were terminated until then (epoch seconds), of those of which anything is.

        One that went back into its warm pool keeps its host, and what the group terminates later is not the cycle's.
        """
        there = {each.instance_id for each in now.members if each.lifecycle_phase in THERE}
        gone = {each for each, at in now.terminated.items() if at <= until} - there
        inventories: dict[str, set[str]] = {}
        for host in self._tower.hosts_of(gone) if gone else ():
            for instance_id in {host.name, host.instance_id} & gone:
                inventories.setdefault(instance_id, set()).add(host.inventory_name)
        nodes = self._nodes(group, gone)
        held = {each.instance_id for each in now.members if each.state == HELD}
        retiring = held if names_retire_template(group) else frozenset()
        return tuple(
            Remains(each, tuple(sorted(inventories.get(each, ()))), nodes.get(each, ""), each in retiring)
            for each in sorted(inventories.keys() | nodes.keys())
        )

    def _nodes(self, group: Group, gone: Collection[str]) -> dict[str, str]:
        pattern = read_node_pattern(group)
        if self._chef is None or pattern is None or not gone:
            return {}
        if pattern.named_after == NamedAfter.INSTANCE_ID:
            names = {name: each for each in gone if (name := node_name(pattern, each, ""))}
            return {names[name]: name for name in self._chef.nodes(names)}
        return self._nodes_by_dns(self._chef, pattern, gone)

    @staticmethod
    def _nodes_by_dns(chef: Chef, pattern: NodePattern, gone: Collection[str]) -> dict[str, str]:
        """By what the nodes say: the private DNS name of a terminated instance EC2 does not show any more."""
        names = [each for each in chef.node_names() if identifier_in(pattern, each)]
        return {node.instance_id: name for name, node in chef.nodes(names).items() if node.instance_id in gone}
