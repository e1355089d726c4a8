"""An instance of a bake, launched outside of the group: once, whatever dies in between.

RunInstances has a token, so the same call made again answers with the same instance; and before it is made, the
instance is searched by its tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.builders import NO_ROOM_HERE
from rollcall.aws.launch_templates import LaunchRefusal
from rollcall.domain.bake_tags import BAKE_ROLE, launch_token

from .launch_fields import instance_tags, launch_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.images import Image
    from rollcall.domain.bake_tags import Role
    from rollcall.domain.instances import Instance

    from .bake_aws import BakeAws
    from .state import BakeState

INSTANCE_VISIBLE_AFTER = 600.0  # seconds in which EC2 shows an instance that it launched


class Wanted(NamedTuple):
    """What is launched beside the version's fields. image: as it is there now; user_data: in base64, empty for none."""

    role: Role
    image: Image
    instance_type: str
    profile: str = ""
    user_data: str = ""


class Launching:
    """Launches the instances of bakes, and finds them again."""

    def __init__(self, aws: BakeAws, fleet: Fleet) -> None:
        self._aws = aws
        self._fleet = fleet

    def find(self, state: BakeState, role: Role, known: str = "") -> Instance | None:
        """The instance of a role that the bake has launched; None where EC2 shows none, or not yet.

        known: its id, where that is in the state: one that is terminated is then found, too.
        """
        if known:
            return self._fleet.instances([known]).get(known)
        own = (each for each in self._tagged(state, role) if each.living)
        return min(own, key=lambda each: each.launched_at, default=None)

    def find_all(self, state: BakeState, role: Role, known: str) -> list[Instance]:
        """The instance with this id, and whatever else the bake has launched for this role, in any state.

        There may be a second one where the function died after it had launched one, EC2 did not show that yet, and a
        subnet without room had some again: the token is another in each subnet.
        """
        found = {each.instance_id: each for each in self._tagged(state, role)}
        return list((found | self._fleet.instances([known])).values())

    def _tagged(self, state: BakeState, role: Role) -> list[Instance]:
        return [each for each in self._aws.instances_of_bake(state.bake_id) if each.tags.get(BAKE_ROLE) == role]

    def launch(self, state: BakeState, wanted: Wanted) -> str | LaunchRefusal:
        """Launch it in the bake's subnet, or in another one of the group where there is no room; its id, or why not.

        Raises what AWS fails at for now.
        """
        refused = LaunchRefusal("", "the version that it is launched like is not there any more")
        for subnet, fields in self._tries(state, wanted):
            token = launch_token(state.bake_id, wanted.role, subnet, wanted.image.id)
            answer = self._aws.launch_alone(fields, token)
            if isinstance(answer, str):
                return answer
            refused = answer
            if answer.code not in NO_ROOM_HERE:
                break
        return refused

    def _tries(self, state: BakeState, wanted: Wanted) -> Iterator[tuple[str, Mapping[str, Any]]]:
        version = self._aws.version({"LaunchTemplateId": state.template_id}, state.from_version)
        details = self._aws.details(state.group)
        if version is None:
            return
        former = self._aws.image(state.previous_image) if state.previous_image else None
        others = details.subnets if details else ()
        for subnet in dict.fromkeys((state.subnet, *sorted(others))):
            yield (
                subnet,
                launch_fields(
                    version.data,
                    image=wanted.image.id,
                    mappings=wanted.image.mappings,
                    root_device=wanted.image.root_device,
                    former_root=former.root_device if former else wanted.image.root_device,
                    instance_type=wanted.instance_type,
                    subnet=subnet,
                    tags=instance_tags(state, wanted.role),
                    profile=wanted.profile,
                    user_data=wanted.user_data,
                ),
            )


def refusal_words(refused: LaunchRefusal) -> str:
    """Why EC2 launches nothing, with what to do where a permission is missing. Pure."""
    words = f"{refused.code}: {refused.words}"
    return f"{words}; {permission_remedy(refused)}" if refused.is_denial else words


def permission_remedy(refused: LaunchRefusal) -> str:
    """What to do about a permission to launch that is missing. Pure."""
    if refused.action == "iam:PassRole":
        return f"deploy with {refused.resource or 'the role of the instance profile'} among BakeRoleArns"
    if ":image/" in refused.resource:
        return "deploy with the owner of the image among TrustedImageAccounts"
    return "see that the template's policies are as deployed, and that no policy of your organization denies it"
