"""Scale-outs: instances launched all at once in one Auto Scaling group that Rollcall serves, and what was recorded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import COMPLETION, Period, ScaleOut

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from bench.places import Side
    from lab.aws.embedded import Invocation
    from lab.cloud import Cloud, Group

FUNCTIONS = ("register", "gate", "cleanup")
HEARTBEAT_TIMEOUT = 600  # seconds
MOST = 2000  # instances
LAUNCH_PATIENCE = 300.0  # seconds until a scale-out's last job has to be launched
SERVICE_PATIENCE = 600.0  # seconds until all instances have to be in service
REMOVAL_PATIENCE = 300.0  # seconds until all instances have to be gone
STEP = 0.5  # seconds between two evaluations; each makes the embedded AWS work


@dataclass(frozen=True)
class Mark:
    """A moment (epoch seconds), and how much was recorded until then."""

    time: float
    requests: int
    aws_calls: Counter[str]
    invocations: int
    log_lines: Mapping[str, int]


class Stage:
    """The group, the deployed functions, and the Tower they work on."""

    def __init__(self, cloud: Cloud, side: Side) -> None:
        self.cloud = cloud
        self.side = side
        self.group: Group = cloud.create_group(
            "web",
            {"inventory": str(side.place.inventory), "job-template": str(side.place.template)},
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            most=MOST,
        )
        self._names = {cloud.function_name(f"{name.capitalize()}Function"): name for name in FUNCTIONS}
        self._launches = cloud.queue_url("LaunchQueue")
        self._size = 0

    def launch(self, size: int, tell: Callable[[str], None]) -> ScaleOut:
        """A scale-out, until its last instance is handed to the gate."""
        before, mark = len(self.side.limits()), self.mark()
        self._size += size
        self.group.scale(self._size)

        def handed_on() -> bool:
            taken = sum(each.messages for each in self._invoked(mark)["register"] if not each.failed)
            tell(f"{min(taken, size)} of {size} instances")
            return taken >= size and not self._waiting_launches()

        _await(handed_on, LAUNCH_PATIENCE, f"{size} instances registered and their jobs launched")
        period = self.since(mark)
        waits = {
            each.instance_id: each.time
            for each in self.group.transitions()
            if each.state == "Pending:Wait" and each.time >= mark.time
        }
        return ScaleOut(
            size=size,
            instances=frozenset(waits),
            first_waiting=min(waits.values()),
            last_waiting=max(waits.values()),
            jobs=len(self.side.limits()) - before,
            period=period,
        )

    def serve(self, tell: Callable[[str], None]) -> None:
        """Wait until every instance launched so far is in service."""

        # Answered hooks are counted first: to describe a thousand instances is work for the embedded AWS.
        def answered() -> bool:
            done = self.cloud.aws.calls()[COMPLETION]
            tell(f"{min(done, self._size)} of {self._size} instances")
            return done >= self._size

        _await(answered, SERVICE_PATIENCE, f"{self._size} instances let into service")
        _await(
            lambda: len(self.group.in_service()) == self._size and not self.cloud.in_flight(),
            SERVICE_PATIENCE,
            f"{self._size} instances in service",
        )

    def terminate(self, tell: Callable[[str], None]) -> None:
        """Terminate every instance, and wait until all are gone and no message is left."""
        before = self.cloud.aws.calls()[COMPLETION]
        size, self._size = self._size, 0
        self.group.scale(0)

        def answered() -> bool:
            done = self.cloud.aws.calls()[COMPLETION] - before
            tell(f"{min(done, size)} of {size} instances")
            return done >= size

        _await(answered, REMOVAL_PATIENCE, f"{size} instances removed")
        _await(
            lambda: not self.group.states() and not self.cloud.in_flight(),
            REMOVAL_PATIENCE,
            f"{size} instances gone, and every event worked on",
        )

    def mark(self) -> Mark:
        """Now."""
        return Mark(
            time=time.time(),
            requests=len(self.cloud.tower.requests()),
            aws_calls=self.cloud.aws.calls(),
            invocations=len(self.cloud.aws.invocations()),
            log_lines={name: len(self._log_lines(name)) for name in FUNCTIONS},
        )

    def since(self, mark: Mark) -> Period:
        """What was recorded from then to now."""
        return Period(
            began=mark.time,
            requests=self.cloud.tower.requests()[mark.requests :],
            aws_calls=self.cloud.aws.calls() - mark.aws_calls,
            invocations=self._invoked(mark),
            log_lines={name: self._log_lines(name)[mark.log_lines[name] :] for name in FUNCTIONS},
        )

    def write_logs(self) -> None:
        """Leave what the functions logged, and what Tower was asked, beside the embedded AWS's log."""
        for name in FUNCTIONS:
            (self.cloud.directory / f"{name}.log").write_text("\n".join(self._log_lines(name)))
        asked = (
            f"{each.time:.3f} {each.ended - each.time:.3f} {each.method} {each.path} {each.status}\n"
            for each in self.cloud.tower.requests()
        )
        (self.cloud.directory / "tower.log").write_text("".join(asked))

    def _invoked(self, mark: Mark) -> dict[str, list[Invocation]]:
        by_function: dict[str, list[Invocation]] = {name: [] for name in FUNCTIONS}
        for each in self.cloud.aws.invocations()[mark.invocations :]:
            if name := self._names.get(each.function):
                by_function[name].append(each)
        return by_function

    def _log_lines(self, function: str) -> list[str]:
        """What a function has logged so far, without what the runtime says."""
        text = self.cloud.aws.function_log(self.cloud.function_name(f"{function.capitalize()}Function"))
        return [line for line in text.splitlines() if line.startswith("{")]

    def _waiting_launches(self) -> int:
        kinds = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        answer = self.cloud.aws.client("sqs").get_queue_attributes(QueueUrl=self._launches, AttributeNames=kinds)
        return sum(int(answer["Attributes"][kind]) for kind in kinds)


def _await(condition: Callable[[], bool], patience: float, what: str) -> None:
    """Look until it is so. TimeoutError naming what was waited for."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience:.0f} s: {what}")
        time.sleep(STEP)
