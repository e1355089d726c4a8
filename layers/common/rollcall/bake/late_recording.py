"""What came of roll-outs whose end no bake saw: recorded on their images, and published once.

A cycle may go on for longer than its bake, whose execution was stopped, or failed for good. Events settle that for an
hour or more after the bake's end (ending.py). What the cycle comes to later is recorded as old images are retired: of
an image in a version whose tags do not say how its roll-out went, while nothing is at work on its group.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.aws.execution_history import RUNNING
from rollcall.aws.executions import execution_arn
from rollcall.domain.bake_tags import BAKE_EXECUTION, BAKE_ID, ROLL_OUT, VERSION, RollOutOutcome
from rollcall.domain.errors import RollcallError
from rollcall.workflow.answer import StepAnswer

from .ending import ending_news
from .recording import concluded
from .state import BakeState, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollcall.aws.execution_history import ExecutionHistory
    from rollcall.aws.images import Image

    from .bake_aws import BakeAws
    from .news import BakeAnswer, BakeNews
    from .recording import Recording, RollOut

REMEMBERED = 90 * 86400.0  # seconds from its end in which Step Functions knows an execution (quotas)


class LateRecording:
    """Records roll-outs. machine: the ARN of the state machine Bake. clock: epoch seconds.

    at_work: names the bakes and cycles of a group that run; an operator's own instance refresh is at work, too.
    """

    def __init__(
        self,
        aws: BakeAws,
        history: ExecutionHistory,
        recording: Recording,
        machine: str,
        at_work: Callable[[str], Sequence[str]],
        clock: Callable[[], float],
    ) -> None:
        self._aws = aws
        self._history = history
        self._recording = recording
        self._machine = machine
        self._at_work = at_work
        self._clock = clock

    def record(self, group: str, ended_before: float) -> list[BakeAnswer]:
        """Record what came of the roll-outs of a group; an answer for each image about which there is something to say.

        ended_before: the end of a bake, in epoch seconds, before which no event settles it any more. An image is tagged
        before that is published: where the function dies in between, it is not published at all. Raises what AWS fails
        at before the first image.
        """
        made = self._aws.images_made_for(group)
        images = [each for each in made if _is_left(each)]
        if not images or self._at_work(group) or self._aws.active(group):
            return []
        return [answer for each in images if (answer := self._recorded(group, each, ended_before))]

    def _recorded(self, group: str, image: Image, ended_before: float) -> BakeAnswer | None:
        try:
            return self._record(group, image, ended_before)
        except RollcallError as error:
            return _noted(group, warning=f"how the roll-out of image {image.id} went could not be recorded: {error}")

    def _record(self, group: str, image: Image, ended_before: float) -> BakeAnswer | None:
        """None for an image whose bake or cycle goes on, or whose bake an event may still settle.

        Nor is anything said of one whose bake is not known, and cannot be forgotten yet: it is of another machine.
        """
        execution = execution_arn(self._machine, image.tags[BAKE_EXECUTION])
        bake = self._history.status(execution)
        if bake is not None and (bake.status == RUNNING or bake.at >= ended_before):
            return None
        if bake is None and self._clock() - image.created < REMEMBERED:
            return None
        last = ((self._history.last_output(execution) if bake else None) or {}).get("bake") or {}
        if last.get("bake_id") != image.tags[BAKE_ID]:  # it is forgotten, and the name may be another's by now
            return self._tagged(group, image, RollOutOutcome.UNKNOWN)
        state = BakeState.from_json(last)
        if not state.cycle:
            asked = state.request.get("roll_out", True)
            return self._tagged(group, image, RollOutOutcome.NOT_STARTED if asked else RollOutOutcome.NONE)
        rolled_out = self._recording.late_roll_out(state)
        if rolled_out is None:
            return None
        if state.result is not None:  # the bake saw the end of its cycle, and was published: it could not tag the image
            return self._tagged(group, image, rolled_out.outcome)
        return self._ended(image, state, rolled_out)

    def _ended(self, image: Image, state: BakeState, rolled_out: RollOut) -> BakeAnswer:
        """Do what the bake would have done at the end of its cycle."""
        kept = "" if rolled_out.went_well else self._why_default_stays(state)
        now = self._clock()
        ended = replace(concluded(state, rolled_out), phase=Phase.ENDED, phase_since=now, ended=now)
        if not rolled_out.went_well and not kept:
            ended = self._recording.default_back(ended)
        return self._tagged(state.group, image, rolled_out.outcome, kept, ending_news(ended))

    def _why_default_stays(self, state: BakeState) -> str:
        """Why a default version is not moved back that the bake moved: an operator may have rolled it out since."""
        if not state.default_before:
            return ""
        details = self._aws.details(state.group)
        runs = [each for each in details.members if each.template_id == state.template_id] if details else []
        if not runs or any(each.version != state.version for each in runs):
            return ""
        return (
            f"the default version of {state.template_id} stays {state.version}, which all of group {state.group} runs, "
            f"though its roll-out did not go well; before the bake it was {state.default_before}"
        )

    def _tagged(
        self, group: str, image: Image, outcome: RollOutOutcome, warning: str = "", news: tuple[BakeNews, ...] = ()
    ) -> BakeAnswer:
        self._aws.tag_resources((image.id, *image.snapshots), {ROLL_OUT: outcome.value})
        return _noted(group, f"image {image.id} is tagged late with how its roll-out went: {outcome}", warning, news)


def _is_left(image: Image) -> bool:
    """Whether how its roll-out went is yet to be recorded. One that names no execution is an earlier release's."""
    return VERSION in image.tags and ROLL_OUT not in image.tags and bool(image.tags.get(BAKE_EXECUTION))


def _noted(group: str, line: str = "", warning: str = "", news: tuple[BakeNews, ...] = ()) -> BakeAnswer:
    lines, warnings = ((each,) if each else () for each in (line, warning))
    return StepAnswer(BakeState(group, phase=Phase.ENDED, retained=lines, warnings=warnings), "succeeded", news=news)
