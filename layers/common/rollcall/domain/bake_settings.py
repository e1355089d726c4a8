"""What a stack that bakes is configured with: the environment of the bake function -> BakeSettings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .errors import BadSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


class BakeSettings(NamedTuple):
    """The parameters of bakes.

    machine: the ARN of the state machine Bake; cycle_machine: of Cycle, and cycle_function the name of its
    function, empty in a stack without. template_arns: of launch templates that bakes may change beside those with
    the tag. role_arns: of roles that may be passed to instances. key_arns: of KMS keys that volumes may be
    encrypted with. trusted_accounts: whose images may be the base, beside Amazon's and one's own. cycles: whether
    images are rolled out. share: the fraction of a group's images, and of its versions, that may be removed at
    once.
    """

    machine: str
    cycle_machine: str = ""
    cycle_function: str = ""
    template_arns: tuple[str, ...] = ()
    role_arns: tuple[str, ...] = ()
    key_arns: tuple[str, ...] = ()
    trusted_accounts: tuple[str, ...] = ()
    cycles: bool = False
    share: float = 0.2


def read_bake_settings(environment: Mapping[str, str]) -> BakeSettings:
    """The parameters from environment variables. Raises BadSettings where the machine is missing."""
    if not environment.get("BAKE_MACHINE"):
        raise BadSettings("environment variable BAKE_MACHINE is missing: deploy with template.yaml, and Bakes=true")
    return BakeSettings(
        machine=environment["BAKE_MACHINE"],
        cycle_machine=environment.get("CYCLE_MACHINE", ""),
        cycle_function=environment.get("CYCLE_FUNCTION", ""),
        template_arns=_list(environment.get("BAKE_TEMPLATE_ARNS", "")),
        role_arns=_list(environment.get("BAKE_ROLE_ARNS", "")),
        key_arns=_list(environment.get("KMS_KEY_ARNS", "")),
        trusted_accounts=_list(environment.get("TRUSTED_IMAGE_ACCOUNTS", "")),
        cycles=environment.get("CYCLES") == "true",
        share=int(environment.get("REMOVE_AT_MOST_PERCENT", "20")) / 100,
    )


def _list(text: str) -> tuple[str, ...]:
    """A list as CloudFormation takes it: separated by commas, with blanks around them."""
    return tuple(each.strip() for each in text.split(",") if each.strip())
