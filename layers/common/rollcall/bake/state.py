"""What an execution of the state machine Bake carries from one step to the next: workflow/state.py. Frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Self

from rollcall.workflow.names import bake_id_of
from rollcall.workflow.state import Reader, WorkflowState, named, or_none, texts

OF_ROLL_OUT = "roll-out: "  # before warnings and objections of the cycle that a bake will start
LISTED_MAX = 40  # lines of any list


class Phase(StrEnum):
    """What a bake is doing, in the words that operators read."""

    PREFLIGHT = "pre-flight"
    LAUNCHING = "launching the builder"
    REGISTERING = "registering"
    PROVISIONING = "provisioning"
    IMAGING = "making the image"
    TERMINATING = "terminating the builder"
    SMOKE = "smoke test"
    VERSION = "making the version"
    ROLLING_OUT = "rolling out"
    RECORDING = "recording"
    RETIRING = "removing old images"
    PUTTING_BACK = "putting back"
    ENDED = "ended"


class BakeResult(StrEnum):
    """What a bake ended as. baked: an image and a version, and no roll-out was asked for.

    rolled back by hand: an operator rolled the roll-out back, and nothing had failed.
    """

    SUCCEEDED = "succeeded"
    BAKED = "baked"
    NOTHING_NEW = "nothing new"
    DRY_RUN = "dry run"
    REFUSED = "refused"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    ROLLED_BACK_BY_HAND = "rolled back by hand"
    CANCELLED = "cancelled"

    @property
    def went_well(self) -> bool:
        """Whether it did what it was asked for."""
        return self in (BakeResult.SUCCEEDED, BakeResult.BAKED, BakeResult.NOTHING_NEW, BakeResult.DRY_RUN)

    @property
    def is_operators(self) -> bool:
        """Whether an operator ended it, who knows: it is no failure, and sounds no alarm."""
        return self in (BakeResult.ROLLED_BACK_BY_HAND, BakeResult.CANCELLED)


class BaseImage(NamedTuple):
    """The image that the builder is launched from. architecture: as EC2 names it. owner: an account's id.

    root_device: the name of its root volume's device, like /dev/xvda.
    """

    id: str = ""
    name: str = ""
    architecture: str = ""
    owner: str = ""
    root_device: str = ""


@dataclass(frozen=True)
class BakeState(WorkflowState):
    """One bake of a group. Times in epoch seconds.

    bake_id: the execution's hash, by which whatever the bake makes is found again. previous_image: that of
    from_version, the version that the group launches now. template_name: of template_id. subnet: of the builder.
    instance_type: of the builder. until: when builder and smoke instance are removed at the latest. builder,
    smoke_instance: ids of instances. address: the builder's. host_id, smoke_host_id: in Tower, in the inventory
    inventory_id. job_template: its id. job: the last that provisioned the builder; job_tries: how many there were.
    project_revision: of that job's project, project: its name. snapshots: of the image. smoke: how it did there.
    version: the number that was made. default_before: the template's default version before the bake moved it, empty if
    it has not. cycle: the name of the execution of Cycle; cycle_result: what that ended as. retained, removed: a line
    for each image or version, with the reason.
    """

    READERS: ClassVar[Mapping[str, Reader]] = {
        **WorkflowState.READERS,
        **dict.fromkeys(("snapshots", "retained", "removed"), texts),
        "base_image": named(BaseImage),
        "phase": Phase,
        "result": or_none(BakeResult),
    }

    bake_id: str = ""
    phase: Phase = Phase.PREFLIGHT
    base_image: BaseImage = field(default_factory=BaseImage)
    previous_image: str = ""
    template_id: str = ""
    template_name: str = ""
    from_version: str = ""
    subnet: str = ""
    architecture: str = ""
    instance_type: str = ""
    until: float = 0.0
    builder: str = ""
    builder_since: float = 0.0
    address: str = ""
    inventory_id: int | None = None
    host_id: int | None = None
    job_template: int | None = None
    job: int | None = None
    job_url: str = ""
    job_tries: int = 0
    project_revision: str = ""
    project: str = ""
    image_id: str = ""
    image_name: str = ""
    image_since: float = 0.0
    snapshots: tuple[str, ...] = ()
    smoke: str = ""
    smoke_instance: str = ""
    smoke_host_id: int | None = None
    smoke_job: int | None = None
    smoke_job_url: str = ""
    smoke_since: float = 0.0
    version: str = ""
    default_before: str = ""
    cycle: str = ""
    cycle_result: str = ""
    retained: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    result: BakeResult | None = None

    def with_execution(self, execution: Mapping[str, Any]) -> Self:
        """As a workflow's, and with the id that this makes the bake's."""
        known = super().with_execution(execution)
        return replace(known, bake_id=bake_id_of(known.execution, known.execution_started))
