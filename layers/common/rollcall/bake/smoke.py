"""The step `smoke`: one instance is launched from the new image, outside of the group, before anything else is.

`boot` launches it without profile and user data, and both of EC2's status checks have to pass. `provision` gives it
those of the group's version, too, and runs the group's jobs on it: smoke_jobs.py. What fails is tagged on the image,
which then is rolled out nowhere.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

from rollcall.aws.launch_templates import LaunchRefusal
from rollcall.domain import bake_tags
from rollcall.domain.bake_tags import Role, SmokeOutcome
from rollcall.workflow.answer import StepAnswer, over
from rollcall.workflow.waiting import SOON

from .launching import INSTANCE_VISIBLE_AFTER, Launching, Wanted, refusal_words
from .request import Smoke
from .state import BakeResult, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.instances import Instance

    from .bake_aws import BakeAws
    from .news import BakeAnswer
    from .smoke_jobs import SmokeJobs
    from .state import BakeState

BOOT_MAX = 900.0  # seconds from the launch until both status checks pass
RUNS = ("pending", "running")


class SmokeTest:
    """Tries images. jobs: those that `provision` runs on the instance."""

    def __init__(self, aws: BakeAws, fleet: Fleet, jobs: SmokeJobs) -> None:
        self._aws = aws
        self._fleet = fleet
        self._launching = Launching(aws, fleet)
        self._jobs = jobs

    def step(self, state: BakeState, now: float) -> BakeAnswer:
        """Launch the instance, or find the one that an earlier try has launched; until it passed, or failed.

        now: epoch seconds. Raises what AWS and Tower fail at for now.
        """
        mode = Smoke(state.request.get("smoke") or Smoke.BOOT)
        if mode == Smoke.OFF:
            return self._ended(state, SmokeOutcome.OFF)
        instance = self._launching.find(state, Role.SMOKE, state.smoke_instance)
        if not state.smoke_instance:
            return self._launch(replace(state, phase=Phase.SMOKE, phase_since=now), mode, instance, now)
        waiting: BakeAnswer = StepAnswer(state, "smoke", SOON)
        if instance is None and now - state.smoke_since < INSTANCE_VISIBLE_AFTER:
            return waiting
        if instance is None or instance.state not in RUNS:
            if self._has_passed(state):
                return self._ended(state, SmokeOutcome.PASSED)
            words = f"it is {instance.in_words}" if instance else "EC2 does not show it"
            return self._failed(state, f"instance {state.smoke_instance} does not run: {words}")
        if state.smoke_host_id is None and not self._fleet.passing_status_checks([instance.instance_id]):
            if now - state.smoke_since < BOOT_MAX:
                return waiting
            words = f"of {instance.instance_id} have not passed within {BOOT_MAX / 60:.0f} minutes"
            return self._failed(state, f"EC2's status checks {words}")
        if mode == Smoke.PROVISION:
            return self._provision(state, instance, now)
        return self._ended(state, SmokeOutcome.PASSED)

    def _provision(self, state: BakeState, instance: Instance, now: float) -> BakeAnswer:
        user_data = str(self._version_data(state).get("UserData", ""))
        done = self._jobs.step(state, instance, user_data, now)
        if done.failed:
            return self._failed(done.state, done.failed)
        if done.wait:
            return StepAnswer(done.state, "smoke", done.wait)
        return self._ended(done.state, SmokeOutcome.PASSED)

    def _launch(self, state: BakeState, mode: Smoke, found: Instance | None, now: float) -> BakeAnswer:
        """found: what an earlier try has launched."""
        launched = found.instance_id if found else self._launched(state, mode)
        if isinstance(launched, LaunchRefusal):
            words = f"no instance can be launched from image {state.image_id}: {refusal_words(launched)}"
            return over(state, BakeResult.FAILED, words)
        return StepAnswer(replace(state, smoke_instance=launched, smoke_since=now), "smoke", SOON)

    def _launched(self, state: BakeState, mode: Smoke) -> str | LaunchRefusal:
        image = self._aws.image(state.image_id)
        if image is None:
            return LaunchRefusal("", "it is not there any more")
        wanted = Wanted(Role.SMOKE, image, state.instance_type)
        if mode == Smoke.PROVISION:
            data = self._version_data(state)
            wanted = wanted._replace(profile=profile_of(data), user_data=str(data.get("UserData", "")))
        return self._launching.launch(state, wanted)

    def _version_data(self, state: BakeState) -> Mapping[str, Any]:
        version = self._aws.version({"LaunchTemplateId": state.template_id}, state.from_version)
        return version.data if version else {}

    # The end

    def _failed(self, state: BakeState, reason: str) -> BakeAnswer:
        self._tag(state, SmokeOutcome.FAILED)
        failed = replace(state, smoke=SmokeOutcome.FAILED.value)
        return over(failed, BakeResult.FAILED, f"image {state.image_id} has failed its smoke test: {reason}")

    def _ended(self, state: BakeState, outcome: SmokeOutcome) -> BakeAnswer:
        self._tag(state, outcome)
        if state.smoke_instance:
            tried = self._launching.find_all(state, Role.SMOKE, state.smoke_instance)
            self._aws.terminate([each.instance_id for each in tried if each.living])
        return StepAnswer(replace(state, smoke=outcome.value), "version")

    def _has_passed(self, state: BakeState) -> bool:
        """Whether an earlier try of this step has found so, terminated the instance, and could not say it any more."""
        image = self._aws.image(state.image_id)
        return image is not None and image.tags.get(bake_tags.SMOKE) == SmokeOutcome.PASSED

    def _tag(self, state: BakeState, outcome: SmokeOutcome) -> None:
        self._aws.tag_resources((state.image_id, *state.snapshots), {bake_tags.SMOKE: outcome.value})


def profile_of(data: Mapping[str, Any]) -> str:
    """The instance profile of a version, its ARN or else its name; empty without. Pure."""
    profile = data.get("IamInstanceProfile") or {}
    return str(profile.get("Arn") or profile.get("Name") or "")
