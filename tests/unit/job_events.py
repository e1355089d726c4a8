"""Short ways to write down what a playbook run reported."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from rollcall.domain.jobs import JobEvent
from rollcall.evidence import playbook_trace as trace

ENDINGS = {"ok": trace.OK, "failed": trace.FAILED, "skipped": trace.SKIPPED, "dark": trace.UNREACHABLE}


class Story:
    """The events of one run, as they are added; each is a second later than the one before."""

    def __init__(self, since: float = 0) -> None:
        self.events: list[JobEvent] = []
        self.play = "p1"
        self._since = since
        self._numbers = count(1)

    def add(self, kind: str, host: str = "", **own: Any) -> Story:
        """One event."""
        number = next(self._numbers)
        known = {"play": self.play, "at": self._since + number, **own}
        self.events.append(JobEvent(number, kind, host, **known))
        return self

    def task(self, name: str, *, action: str = "command", is_handler: bool = False, **ends: Any) -> Story:
        """A task with its start, and how it ended on hosts, by name with _ for -: ok, failed, skipped, dark.

        "ignored" is a failure that the playbook ignores, "elsewhere" what went well on another host, "" has not ended.
        """
        own = {"task": name, "path": f"project/site.yml:{name}", "action": action, "task_id": f"t-{name}"}
        self.add(trace.TASK_STARTED, is_handler=is_handler, **own)
        for host in ends:
            self.add(trace.STARTED, host.replace("_", "-"), **own)
        for host, end in ends.items():
            if end:
                more = {"ignored": {"ignored": True}, "elsewhere": {"delegated": True}}.get(end, {})
                kind = {"ignored": trace.FAILED, "elsewhere": trace.OK}.get(end) or ENDINGS[end]
                self.add(kind, host.replace("_", "-"), **own, **more)
        return self

    def tasks(self, *names: str, on: Iterable[str], **own: Any) -> Story:
        """Tasks that went well on hosts."""
        ends: dict[str, Any] = dict.fromkeys((host.replace("-", "_") for host in on), "ok")
        for name in names:
            self.task(name, **own, **ends)
        return self

    def notified(self, handler: str, *hosts: str) -> Story:
        """A handler is about to run on hosts."""
        for host in hosts:
            self.add(trace.NOTIFIED, host, handler=handler)
        return self

    def next_play(self, play: str) -> Story:
        """What follows belongs to another run of a play."""
        self.play = play
        return self
