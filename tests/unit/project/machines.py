"""A state machine as its file defines it: its tasks, where each answer leads, and what a task is handed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cfnlint import lint

from unit.project.template import REPOSITORY, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRIED = {
    "ErrorEquals": ["States.ALL"],
    "IntervalSeconds": 5,
    "BackoffRate": 2,
    "MaxDelaySeconds": 300,
    "MaxAttempts": 12,
    "JitterStrategy": "FULL",
}
DENIED = {"ErrorEquals": ["AwsDenied"], "IntervalSeconds": 5, "BackoffRate": 2, "MaxAttempts": 4}  # over 75 s


class Machine:
    """The machine of statemachines/NAME.asl.json. context: what its paths of the execution stand for."""

    def __init__(self, name: str, context: dict[str, str]) -> None:
        self.text = (REPOSITORY / "statemachines" / f"{name}.asl.json").read_text()
        self.definition: Json = json.loads(self.text)
        self.states: dict[str, Json] = self.definition["States"]
        tasks = {state: each for state, each in self.states.items() if each["Type"] == "Task"}
        self.tasks = {state: each for state, each in tasks.items() if each["Resource"].endswith(":lambda:invoke")}
        self.nested = {state: each for state, each in tasks.items() if state not in self.tasks}
        self.step_of = {state: each["Parameters"]["Payload"]["step"] for state, each in self.tasks.items()}
        self._context = context

    def way_from(self, task: str, word: str) -> str:
        """The states that come after a task that answered with this word, up to the next task or the end."""
        [at] = [each["Next"] for each in self.choice_after(task)["Choices"] if each["StringEquals"] == word]
        waits = []
        while self.states[at]["Type"] == "Wait":
            waits.append(at)
            at = self.states[at]["Next"]
        return " ".join([*waits, at])

    def choice_after(self, task: str) -> Json:
        """The choice that goes by a task's word."""
        return self.states[self.tasks[task]["Next"]]

    def ways_from(self, task: str) -> dict[tuple[str, str], str]:
        """Where each word of a task leads."""
        words = [each["StringEquals"] for each in self.choice_after(task)["Choices"]]
        return {(task, word): self.way_from(task, word) for word in words}

    def reached(self) -> set[str]:
        """The states that any way leads to."""
        found, ahead = set[str](), [self.definition["StartAt"]]
        while ahead:
            at = ahead.pop()
            if at not in found:
                found.add(at)
                ahead += _followers(self.states[at])
        return found

    def resolved(self, value: object, data: Json) -> object:
        """Parameters as Step Functions resolves them, of the paths that these machines use."""
        if not isinstance(value, dict):
            return value
        return {
            name.removesuffix(".$"): self._at(str(each), data) if name.endswith(".$") else self.resolved(each, data)
            for name, each in value.items()
        }

    def _at(self, path: str, data: Json) -> object:
        if path in self._context:
            return self._context[path]
        found: object = data
        for name in path.removeprefix("$").split(".")[1:]:
            assert isinstance(found, dict)
            found = found[name]
        return found

    def objections(self, **substitutions: str) -> list[str]:
        """What cfn-lint's schema of the Amazon States Language says, which it only applies to what is in a template."""
        text = self.text
        for name, value in substitutions.items():
            text = text.replace(f"${{{name}}}", value)
        resource = {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/machine", "Definition": json.loads(text)},
        }
        template = json.dumps({"Resources": {"Machine": resource}})
        return [str(each) for each in lint(template, rules=None, regions=["us-east-1"])]


def _followers(state: Json) -> Iterator[str]:
    """The states that may come after a state."""
    for each in (state, *state.get("Choices", ()), *state.get("Catch", ())):
        if "Next" in each:
            yield each["Next"]
    if "Default" in state:
        yield state["Default"]
