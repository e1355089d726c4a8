"""Reads what pre-flight of a bake judges, and changes nothing: the group, its version, images, Tower, keys.

A call that fails raises: a bake that could not read all of it does not begin, and the state machine takes the step
again. What may be left unread is a warning: keys, and the playbook's project.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.aws.builders import NO_ROOM_HERE
from rollcall.aws.encryption_keys import EncryptionKeys
from rollcall.aws.launch_surroundings import LaunchSurroundings
from rollcall.aws.launch_templates import PARAMETER_IMAGE
from rollcall.aws.launch_types import LaunchTypes
from rollcall.domain.bake_tags import BASE_IMAGE, PROJECT_REVISION, ROLL_OUT, VERSION, Role, RollOutOutcome
from rollcall.domain.errors import AwsDenied, BadSettings
from rollcall.domain.groups import base_template
from rollcall.domain.partitions import partition_of
from rollcall.workflow.group_tags import read_or_error, readable_settings
from rollcall.workflow.group_versions import own_version
from rollcall.workflow.preflight import no_request

from .due import Baked
from .key_access import KeyUse
from .launch_fields import instance_tags, launch_fields, security_groups
from .preflight import Preflight, judge
from .preflight_input import PreflightInput, types_of_overrides
from .request import CURRENT, PARAMETER, Smoke, read_request, require_readable_tags
from .roll_out_preflight import RollOutPreflight
from .smoke import profile_of
from .state import BakeState
from .tower_observer import observed_tower
from .volume_keys import volume_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.images import Image
    from rollcall.aws.launch_surroundings import Subnet
    from rollcall.aws.launch_templates import LaunchRefusal, TemplateVersion
    from rollcall.domain.bake_settings import BakeSettings
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .bake_aws import BakeAws
    from .request import BakeRequest
    from .volume_keys import VolumeKeys


class PreflightObserver:
    """Reads for the pre-flight of one bake.

    running: the names of the bakes of a group that run, this one's included. cycles: of its cycles that do. roll_out:
    what the cycle objects to that rolls the image out. clock: epoch seconds.
    """

    def __init__(
        self,
        settings: Settings,
        bake: BakeSettings,
        tower: Tower,
        fleet: Fleet,
        *,
        running: Callable[[str], Collection[str]],
        cycles: Callable[[str], Collection[str]],
        roll_out: Callable[[BakeRequest], RollOutPreflight],
        clock: Callable[[], float],
        aws: BakeAws,
        surroundings: LaunchSurroundings | None = None,
        types: LaunchTypes | None = None,
        keys: EncryptionKeys | None = None,
    ) -> None:
        self._settings = settings
        self._bake = bake
        self._tower = tower
        self._fleet = fleet
        self._running = running
        self._cycles = cycles
        self._roll_out = roll_out
        self._clock = clock
        self._aws = aws
        self._surroundings = surroundings or LaunchSurroundings(settings.region)
        self._types = types or LaunchTypes(settings.region)
        self._keys = keys or EncryptionKeys(settings.region)
        self._denied: dict[str, None] = {}  # parameters that may not be read

    def preflight(self, raw: object, execution: str) -> Preflight:
        """What pre-flight comes to. raw: the input of the execution. execution: its name."""
        try:
            request = read_request(raw, None)
        except BadSettings as error:
            return Preflight(None, (no_request(error),))
        return judge(self.observe(raw, request.group, execution))

    def observe(self, raw: object, name: str, execution: str) -> PreflightInput:
        """What there is around a group. raw: the input, which was read without the group's tags."""
        details = self._aws.details(name)
        if details is None:
            return PreflightInput(read_request(raw, None), self._bake, self._settings.account, self._clock())
        tag = read_or_error(require_readable_tags, details.group)
        request = read_request(raw, None if isinstance(tag, BadSettings) else tag)
        given = PreflightInput(
            request=request,
            bake=self._bake,
            account=self._settings.account,
            now=self._clock(),
            tag=tag,
            running=tuple(sorted(set(self._running(name)) - {execution})),
            cycles=tuple(sorted(self._cycles(name))),
            roll_out=self._roll_out(request) if request.roll_out and self._bake.cycles else RollOutPreflight(),
            details=details,
            settings=readable_settings(details.group),
        )
        return self._with_trials(self._with_launched(given, request, details))

    # AWS

    def _with_launched(self, given: PreflightInput, request: BakeRequest, details: GroupDetails) -> PreflightInput:
        """With what the group launches, what the builder would be, and Tower."""
        template = base_template(details.configuration)
        version = self._aws.version(template, own_version(details)) if template else None
        known = self._aws.template(template) if template else None
        previous = self._previous(version)
        named = self._base_named(request, previous)
        base = previous if previous and named == previous.id else self._aws.image(named) if named else None
        types = self._types.architectures(_types(request, details, version))
        subnets = self._surroundings.subnets(details.subnets)
        return replace(
            given,
            version=version,
            template=known,
            template_arn=self._arn(known.id) if known else "",
            template_users=tuple(self._aws.template_users(known.specification, request.group)) if known else (),
            previous=previous,
            base=base,
            base_named=named,
            denied=tuple(self._denied),
            instance_type=_builders_type(request, details, version, base, types),
            subnet=next(iter(_by_room(subnets)), ""),
            types=types,
            subnets=subnets,
            security_groups=self._types.security_groups(security_groups(version.data)) if version else frozenset(),
            tower=observed_tower(self._tower, self._fleet, request, given.settings),
            last=self._last(request) if known else None,
        )

    def _arn(self, template_id: str) -> str:
        region = self._settings.region
        return f"arn:{partition_of(region)}:ec2:{region}:{self._settings.account}:launch-template/{template_id}"

    def _previous(self, version: TemplateVersion | None) -> Image | None:
        """The image that a version launches."""
        named = str(version.data.get("ImageId", "")) if version else ""
        if named.startswith(PARAMETER_IMAGE):
            named = self._parameter(named.removeprefix(PARAMETER_IMAGE))
        return self._aws.image(named) if named else None

    def _base_named(self, request: BakeRequest, previous: Image | None) -> str:
        if request.base_image == CURRENT:
            return previous.id if previous else ""
        if request.base_image.startswith(PARAMETER):
            return self._parameter(request.base_image.removeprefix(PARAMETER))
        return request.base_image

    def _parameter(self, name: str) -> str:
        """The image that a parameter names; empty where there is none, or it may not be read."""
        try:
            return self._aws.image_parameter(name) or ""
        except AwsDenied:
            self._denied[name] = None
            return ""

    def _last(self, request: BakeRequest) -> Baked | None:
        """What the last bake of the group began with that came to what is asked for: an image that was rolled out.

        Where none is to be rolled out, one that is in a version is enough.
        """
        enough = (RollOutOutcome.SUCCEEDED, *(() if request.roll_out else (RollOutOutcome.NONE,)))
        for image in self._aws.images_made_for(request.group):
            if image.tags.get(VERSION) and image.tags.get(ROLL_OUT) in enough:
                return Baked(image.tags.get(BASE_IMAGE, ""), image.tags.get(PROJECT_REVISION, ""))
        return None

    def _with_trials(self, given: PreflightInput) -> PreflightInput:
        """With dry runs of what the bake would launch, and the keys of its volumes."""
        if given.version is None or given.base is None or not given.instance_type or not given.subnet:
            return given
        data = given.version.data
        subnet, trials = self._trials(given, given.version, given.base)
        former = given.previous.root_device if given.previous else given.base.root_device
        found = volume_keys(self._keys, self._aws, data, given.base, former, self._settings.account)
        keys = self._key_uses(found)
        role = self._keys.own_role() if any(each.key.is_customers for each in keys) else ""
        given = replace(given, subnet=subnet, trials=trials, keys=keys, role=role)
        return replace(given, default_key_unread=found.default_unread, source_key_unread=found.source_unread)

    def _key_uses(self, found: VolumeKeys) -> tuple[KeyUse, ...]:
        """The key of the volumes, and that of the base image where it is another one."""
        uses = [KeyUse(self._keys.facts(found.volume))] if found.volume else []
        if found.source and not any(found.source in (each.key.key, each.key.arn) for each in uses):
            uses.append(KeyUse(self._keys.facts(found.source), is_source=True))
        return tuple(uses)

    def _trials(
        self, given: PreflightInput, version: TemplateVersion, base: Image
    ) -> tuple[str, dict[str, LaunchRefusal]]:
        """The subnet with most room in which all would be launched, and what EC2 refuses there.

        Where a zone has not the type the next one is tried, as a launch does; if none has it, it is the roomiest one.
        """
        wanted = {"the builder": (given.request.instance_profile, given.request.user_data)}
        if given.request.smoke == Smoke.PROVISION:
            wanted["the instance of the smoke test"] = (profile_of(version.data), True)
        first: tuple[str, dict[str, LaunchRefusal]] | None = None
        for subnet in _by_room(given.subnets):
            trials = {
                what: refused
                for what, (profile, user_data) in wanted.items()
                if (refused := self._refused(given, version, base, subnet, profile, user_data=user_data))
            }
            if not any(each.code in NO_ROOM_HERE for each in trials.values()):
                return subnet, trials
            first = first or (subnet, trials)
        return first or ("", {})

    def _refused(
        self,
        given: PreflightInput,
        version: TemplateVersion,
        base: Image,
        subnet: str,
        profile: str,
        *,
        user_data: bool,
    ) -> LaunchRefusal | None:
        former = given.previous.root_device if given.previous else base.root_device
        return self._aws.why_not_launched_alone(
            launch_fields(
                version.data,
                image=base.id,
                mappings=base.mappings,
                root_device=base.root_device,
                former_root=former,
                instance_type=given.instance_type,
                subnet=subnet,
                tags=instance_tags(BakeState(given.request.group, bake_id="preflight"), Role.BUILDER),
                profile=profile,
                user_data=str(version.data.get("UserData", "")) if user_data else "",
            )
        )


def _types(request: BakeRequest, details: GroupDetails, version: TemplateVersion | None) -> set[str]:
    """Every instance type that may matter."""
    named = (request.instance_type or "", version.instance_type if version else "", *types_of_overrides(details))
    return {each for each in named if each}


def _builders_type(
    request: BakeRequest,
    details: GroupDetails,
    version: TemplateVersion | None,
    base: Image | None,
    types: dict[str, frozenset[str]],
) -> str:
    """What was asked for, else the version's, else the first of an override that fits the base image."""
    if request.instance_type or (version and version.instance_type):
        return request.instance_type or (version.instance_type if version else "")
    fitting: Iterator[str] = (
        each for each in types_of_overrides(details) if base and base.architecture in types.get(each, frozenset())
    )
    return next(fitting, "")


def _by_room(subnets: Mapping[str, Subnet]) -> list[str]:
    """The subnets, those with most free addresses first."""
    return sorted(subnets, key=lambda each: (-subnets[each].free, each))
