"""The two ways of the command `rollcall offboard` about an emergency: it begins and lets in, or it is ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rollcall.domain.groups import EMERGENCY_TAG
from rollcall.domain.shell_commands import command, operand, options
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.screen import print_json, progress_line

from .answer import Answer, show
from .letting_in import LettingIn
from .plan import missing, not_recorded, opened_by_hand, recorded
from .run import Unproven, began_at, begin, find_unproven, let_in, plan_beginning, read_again, restore

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall_cli.answerer import Answerer
    from rollcall_cli.options import Given
    from rollcall_cli.questions import Questions
    from rollcall_cli.scaling_group import GroupState, ScalingGroup

SUSPENDED = (
    "Until --restore, what Rollcall promises is suspended for it: instances go into service whether or not their job "
    "ran well, and others go while their hosts may still be in Tower. Jobs are still launched, hosts still registered "
    "and removed."
)


@dataclass(frozen=True)
class Emergency:
    """Of one group. client: boto3's for Auto Scaling. parameters: of the stack. also: hooks named by the operator."""

    group: ScalingGroup
    client: Any
    parameters: Mapping[str, str]
    answerer: Answerer
    also: Collection[str]
    given: Given
    as_json: bool

    @property
    def way_back(self) -> str:
        """The command that ends it."""
        hooks = options("--hook", self.also)
        return command("rollcall", "offboard", "--restore", *self.given.rollcall, *hooks, *operand(self.group.name))

    def begin(self, seconds: float | None, questions: Questions) -> ExitCode:
        """Open the hooks, and let in for so many seconds, or until Ctrl-C. Raises NotRun, KeyboardInterrupt."""
        state = self.group.read()
        letting = self._letting(state)
        hooks = state.own_hooks(self.answerer, letting.also)
        changes = plan_beginning(state, hooks)
        for each in changes:
            progress_line(each.words())
        if not changes:
            progress_line(f"Group {state.name!r} is in an emergency already; this goes on with it.")
        for hook in opened_by_hand(state, hooks):
            progress_line(
                f"How hook {hook.name} was is not known: it was opened by hand. --restore will leave it to you."
            )
        progress_line(SUSPENDED)
        if not questions.agree(f"Let everything of {state.name!r} through?"):
            progress_line("Nothing was changed.")
            return ExitCode.NOT_RUN
        progress_line(f"This ends it, also if you are interrupted: {self.way_back}")
        begin(self.group, changes, self.way_back, progress_line)
        progress_line("Letting in what waits and what arrives" + ("; Ctrl-C ends this" if seconds is None else ""))
        try:
            let_in(letting, seconds, progress_line)
        except KeyboardInterrupt:
            progress_line("No more is answered from here. A hook that is not answered lets in after 30 s.")
        since = began_at(state.tags) if EMERGENCY_TAG in state.tags else state.now
        after, found = self._look(letting, state, since)
        show(Answer(after.name, letting, found, way_back=self.way_back), as_json=self.as_json)
        return ExitCode.ACT

    def end(self) -> ExitCode:
        """Put the hooks back, and delete the tag. Raises NotRun, KeyboardInterrupt."""
        state = self.group.read()
        if EMERGENCY_TAG not in state.tags:
            if self.as_json:
                print_json({"group": state.name, "in_emergency": False, "let_in": [], "let_go": [], "unproven": {}})
            else:
                print(f"Group {state.name!r} is in no emergency: it has no tag {EMERGENCY_TAG}. Nothing was changed.")
            return ExitCode.OK
        letting = self._letting(state)
        unknown = not_recorded(state, state.own_hooks(self.answerer, letting.also))
        restore(letting, state, self.way_back, progress_line)
        after, found = self._look(letting, state, began_at(state.tags))
        show(Answer(after.name, letting, found, missing(state), unknown), as_json=self.as_json)
        return ExitCode.ACT if found.reasons or found.doubt or missing(state) or unknown else ExitCode.OK

    def _letting(self, state: GroupState) -> LettingIn:
        """It answers the hooks that the tag names too: an earlier run got them by --hook."""
        return LettingIn(self.group, self.answerer, {*self.also, *recorded(state)})

    def _look(self, letting: LettingIn, before: GroupState, since: float) -> tuple[GroupState, Unproven]:
        after, doubt = read_again(self.group, letting.seen or before)
        found = find_unproven(self.client, self.parameters, after, since, letting.launched)
        return after, replace(found, doubt="; ".join(filter(None, (doubt, found.doubt))))
