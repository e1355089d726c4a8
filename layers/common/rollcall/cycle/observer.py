"""Reads what pre-flight judges, and changes nothing: the group, its versions, dry runs of its launches, doctor's view.

A call that fails raises: a cycle that could not look does not begin, and the state machine takes the step again. Only
doctor keeps its own errors, as findings, but for those of AWS that pass by themselves.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

from rollcall.aws.launch_surroundings import LaunchSurroundings
from rollcall.aws.launch_templates import NOT_THERE, LaunchRefusal
from rollcall.doctor.aws_reader import AwsReader
from rollcall.doctor.connection_findings import connection_findings
from rollcall.doctor.group_findings import group_findings
from rollcall.doctor.hook_findings import hook_findings, hooks_of_rollcall, missing_hook
from rollcall.doctor.inventory_findings import inventory_findings
from rollcall.doctor.observations import ObservedQueue, ObservedStack
from rollcall.doctor.observer import Observer
from rollcall.doctor.tag_findings import tag_findings
from rollcall.doctor.template_findings import template_findings
from rollcall.doctor.tower_findings import tower_findings
from rollcall.domain.actions import Transition
from rollcall.domain.errors import BadSettings, RollcallError, Transient
from rollcall.domain.findings import Severity
from rollcall.domain.groups import base_template
from rollcall.domain.partitions import partition_of
from rollcall.domain.settings import PINNED_TAG, StackNames
from rollcall.domain.version_aliases import DEFAULT_VERSION
from rollcall.workflow.group_tags import read_or_error, readable_settings
from rollcall.workflow.group_versions import own_version
from rollcall.workflow.preflight import no_request

from .cycle_aws import CycleAws
from .preflight import Preflight, judge
from .preflight_input import ActiveRefresh, LaunchTrial, PreflightInput
from .request import read_request, require_readable_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.launch_surroundings import Subnet
    from rollcall.aws.launch_templates import TemplateVersion
    from rollcall.doctor.diagnosis import Finder
    from rollcall.doctor.observations import Observations
    from rollcall.domain.findings import Finding
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .request import CycleRequest

TRIALS_MAX = 12  # dry runs: EC2 lets an account make two RunInstances a second ("Request throttling", resource rates)
TO_COME = "(the new one)"  # in the place of the number of a version that is yet to be made
NO_STACK = StackNames({}, {}, {}, {}, "")
FINDERS: tuple[Finder, ...] = (
    tag_findings,
    connection_findings,
    tower_findings,
    inventory_findings,
    template_findings,
    group_findings,
    hook_findings,
)


class PreflightObserver:
    """Reads for the pre-flight of one cycle.

    running: the names of the cycles of a group that run, this one's included. bakes: of its bakes, without the one
    whose cycle this is. clock: epoch seconds. seconds_left: in this invocation.
    """

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        fleet: Fleet,
        *,
        running: Callable[[str], Collection[str]],
        bakes: Callable[[str], Collection[str]],
        clock: Callable[[], float],
        seconds_left: Callable[[], float],
        aws: CycleAws | None = None,
        surroundings: LaunchSurroundings | None = None,
        reader: AwsReader | None = None,
    ) -> None:
        self._settings = settings
        self._running = running
        self._bakes = bakes
        self._clock = clock
        self._aws = aws or CycleAws(settings.region)
        self._surroundings = surroundings or LaunchSurroundings(settings.region)
        self._doctor = Observer(
            replace(settings, cycles=False),  # whose findings about cycles are objections of ours
            NO_STACK,
            tower,
            fleet,
            reader or AwsReader(),
            chef=None,
            tower_at=lambda _: tower,
            seconds_left=seconds_left,
            reads_hosts=False,
        )

    def preflight(self, raw: object, execution: str, *, to_come: bool = False) -> tuple[CycleRequest | None, Preflight]:
        """The request, None for input that is none, and what pre-flight comes to.

        raw: the input of the execution. execution: its name. to_come: whether it is to a version that is yet to be made
        from the group's own, and launches what that does but for the image.
        """
        try:
            request = read_request(raw, None)
        except BadSettings as error:
            return None, Preflight((no_request(error),))
        given = self.observe(raw, request.group, execution, to_come=to_come)
        return given.request, judge(given)

    def observe(self, raw: object, name: str, execution: str, *, to_come: bool = False) -> PreflightInput:
        """What there is around a group. raw: the input, which was read without the group's tag."""
        details = self._aws.details(name)
        if details is None:
            return PreflightInput(read_request(raw, None), execution, self._clock())
        tag = read_or_error(require_readable_tag, details.group)
        request = read_request(raw, None if isinstance(tag, BadSettings) else tag)
        own, launched = self._versions(details, request.launch_template_version)
        target = launched._replace(number=TO_COME) if to_come and launched else launched
        subnets = self._surroundings.subnets(details.subnets)
        findings, hooks = self._findings(name)
        running = sorted(set(self._running(name)) - {execution})
        return PreflightInput(
            request=request,
            execution=execution,
            now=self._clock(),
            tag=tag,
            details=details,
            settings=readable_settings(details.group),
            findings=findings,
            hooks=hooks,
            active=self._active(name, running),
            bakes=tuple(self._bakes(name)),
            pin_runs=_pin_runs(details, running),
            own=own,
            target=target,
            subnets=subnets,
            trials=tuple(self._trials(details, launched, subnets)) if launched else (),
            alarms=self._surroundings.alarm_states(request.alarms),
            activities=tuple(self._surroundings.past_activities(name)),
        )

    def _active(self, name: str, running: Collection[str]) -> ActiveRefresh | None:
        refresh = self._aws.active(name)
        return ActiveRefresh(refresh, next(iter(running), "")) if refresh else None

    # Versions

    def _versions(
        self, details: GroupDetails, named: str | None
    ) -> tuple[TemplateVersion | None, TemplateVersion | None]:
        """The version that the group launches, and the one it is to run."""
        template = base_template(details.configuration)
        if not template:
            return None, None
        own = self._aws.version(template, own_version(details))
        if named is None or (own is not None and named in (own.number, own_version(details))):
            return own, own
        return own, self._aws.version(template, named)

    # Launches

    def _trials(
        self, details: GroupDetails, target: TemplateVersion, subnets: Mapping[str, Subnet]
    ) -> Iterator[LaunchTrial]:
        """Dry runs of what the group would launch, that are refused: each type once, the first in each zone."""
        zones = {subnet.zone: subnet_id for subnet_id, subnet in sorted(subnets.items(), reverse=True)}
        kinds = [each for each in details.overrides if each.get("InstanceType")] or [{}]
        if not kinds[0] and not target.instance_type:
            return  # AWS chooses the types by attributes
        tried = [(kinds[0], zone) for zone in sorted(zones)] or [(kinds[0], "")]
        tried += [(kind, min(zones, default="")) for kind in kinds[1:]]
        for kind, zone in tried[:TRIALS_MAX]:
            if refused := self._refused(target, kind, zones.get(zone, "")):
                yield LaunchTrial(_in_words(target, kind, zone), refused)

    def _refused(self, target: TemplateVersion, kind: Mapping[str, Any], subnet: str) -> LaunchRefusal | None:
        launched: TemplateVersion | None = target
        if template := kind.get("LaunchTemplateSpecification"):
            launched = self._aws.version(template, template.get("Version") or DEFAULT_VERSION)
        if launched is None:
            return LaunchRefusal(NOT_THERE, "the launch template or the version of this override is not there")
        return self._aws.why_not_launched(
            launched, subnet=subnet, instance_type=kind.get("InstanceType", ""), image=kind.get("ImageId", "")
        )

    # Doctor

    def _findings(self, name: str) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """What doctor finds of the group that breaks launches, and of its hooks those that are missing."""
        observed = self._doctor.observe({name}, self._stack())
        for each in (observed.groups, *(opted_in.group.hooks for opted_in in observed.opted_in)):
            if isinstance(each, Transient):  # of AWS; a refusal for it would be the last word of a scheduled cycle
                raise each
        found = tuple(each for find in FINDERS for each in find(observed, self._settings) if _breaks(each, observed))
        missing = tuple(
            missing_hook(opted_in, transition, observed, self._settings)
            for opted_in in observed.opted_in
            for transition in Transition
            if not isinstance(opted_in.group.hooks, RollcallError)
            if not _has_hook(opted_in.group.name, transition, observed, self._settings)
        )
        return found, missing

    def _stack(self) -> ObservedStack:
        """As much of the stack as tells which hooks are Rollcall's: its queues, by the URLs that every function has."""
        urls = {
            "LaunchQueue": self._settings.launch_queue_url,
            "GateQueue": self._settings.gate_queue_url,
            "TerminateQueue": self._settings.terminate_queue_url,
        }
        return ObservedStack({}, {name: _queue(self._settings, url) for name, url in urls.items()}, {}, {})


def _queue(settings: Settings, url: str) -> ObservedQueue:
    arn = f"arn:{partition_of(settings.region)}:sqs:{settings.region}:{settings.account}:{url.rpartition('/')[2]}"
    return ObservedQueue(arn, 0, 0, "", 0, "")


def _breaks(finding: Finding, observed: Observations) -> bool:
    """Whether it breaks launches, and is not about a group's not being there, which pre-flight has seen itself."""
    return finding.severity == Severity.BREAKS_LAUNCHES and (
        isinstance(observed.groups, RollcallError) or bool(observed.groups)
    )


def _has_hook(name: str, transition: Transition, observed: Observations, here: Settings) -> bool:
    groups = observed.groups
    assert not isinstance(groups, RollcallError)  # noqa: S101 - it is one that opted in
    return any(each.transition == transition for each in hooks_of_rollcall(groups[name], observed, here))


def _pin_runs(details: GroupDetails, running: Collection[str]) -> bool | None:
    pin = details.group.tags.get(PINNED_TAG)
    return None if pin is None else pin.rpartition(" ")[2] in running


def _in_words(target: TemplateVersion, kind: Mapping[str, Any], zone: str) -> str:
    what = kind.get("InstanceType") or target.instance_type or "an instance"
    return f"{what} of version {target.number}{f' in {zone}' if zone else ''}"
