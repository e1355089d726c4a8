"""What a playbook does on hosts of which some fail or are not reached: the events of its run, and who is done.

One small playbook in several shapes. `Playbook.text` is the playbook itself: tests/truth has the newest ansible-core
run it, and holds what is made up here to what ansible-runner reports of that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import batched

TASKS = {  # and what they do
    "connect": "raw: 'true'",
    "provision": "raw: 'test {{ fate }} != failed'",
    "announce": "raw: 'true', run_once: true",
    "recover": "debug: {msg: recovered}",
    "collect": "debug: {msg: collected}",
    "finish": "raw: 'true'",
    "restart": "raw: 'true'",
}
HANDLER = "restart"
UNREACHED = "Failed to connect to the host via ssh: Connection timed out"
DISPLAYS = {
    "playbook_on_start": "Playbook Started",
    "playbook_on_play_start": "Play Started (all)",
    "playbook_on_stats": "Playbook Complete",
    "playbook_on_no_hosts_remaining": "No Hosts Remaining",
    "playbook_on_notify": "Handler Notified",
    "runner_on_start": "Host Started",
    "runner_on_ok": "Host OK",
    "runner_on_failed": "Host Failed",
    "runner_on_unreachable": "Host Unreachable",
}


@dataclass(frozen=True)
class Playbook:
    """The shape of a template's playbook: connect, provision, finish, and what it has beside these.

    fatal: any_errors_fatal. rescue, always: of the block around provision. once: a run_once task in there. handler:
    provision notifies one. serial: hosts in a batch, 0 for all at once. ignores: unreachability.
    """

    fatal: bool = False
    rescue: bool = False
    always: bool = False
    once: bool = False
    handler: bool = False
    serial: int = 0
    ignores: bool = False

    def __post_init__(self) -> None:
        if self.rescue and (self.fatal or self.once):
            raise ValueError("whom a rescue saves where others are fatal, or one runs for all, is not known here")

    @property
    def text(self) -> str:
        """The playbook, for hosts whose variable `fate` is "failed" where they are to fail."""
        play = {
            "hosts": "all",
            "gather_facts": "false",
            **({"any_errors_fatal": "true"} if self.fatal else {}),
            **({"ignore_unreachable": "true"} if self.ignores else {}),
            **({"serial": str(self.serial)} if self.serial else {}),
        }
        notify = f", notify: {HANDLER}" if self.handler else ""
        in_block = [f"        - {{name: provision, {TASKS['provision']}{notify}}}"]
        in_block += [_task("announce", 8)] if self.once else []
        if self.rescue or self.always:
            in_block.insert(0, "    - block:")
            in_block += ["      rescue:", _task("recover", 8)] if self.rescue else []
            in_block += ["      always:", _task("collect", 8)] if self.always else []
        else:
            in_block = [each[4:] for each in in_block]
        handlers = ["  handlers:", _task(HANDLER, 4)] if self.handler else []
        head = [f"  {key}: {value}" for key, value in play.items()]
        lines = [*head, "  tasks:", _task("connect", 4), *in_block, _task("finish", 4), *handlers]
        return "\n".join(["-" + lines[0][1:], *lines[1:], ""])

    def line_of(self, task: str) -> int:
        """The line of the text that a task stands in."""
        return next(n for n, line in enumerate(self.text.splitlines(), 1) if f"name: {task}," in line)


def _task(name: str, indent: int) -> str:
    return f"{' ' * indent}- {{name: {name}, {TASKS[name]}}}"


@dataclass(frozen=True)
class Happening:
    """An event of a run. play: the number of the play's run, 0 before and after all. handler: whose start it is."""

    kind: str
    task: str = ""
    host: str = ""
    play: int = 0
    is_handler: bool = False

    @property
    def display(self) -> str:
        return f"Task Started ({self.task})" if self.kind == "playbook_on_task_start" else DISPLAYS[self.kind]


@dataclass
class PlaybookRun:
    """What a run does: its events in their order; done: the hosts on which the last task ran; begun: whose batch did.

    cut: a host without fault is not done.
    """

    events: list[Happening] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    cut: bool = False


def run_playbook(
    playbook: Playbook, fates: Mapping[str, str], remarks: int = 0, hung: Collection[str] = ()
) -> PlaybookRun:
    """What a playbook does on hosts, by name "ok", "failed" or "dark", as ansible-core does it from 2.18 on.

    remarks: how many `playbook_on_no_hosts_remaining` events there are about a play that others' failures ended. An
    older core, and max_fail_percentage, leave some. hung: hosts on which provision never ends, and so the run does not.
    """
    run = PlaybookRun([Happening("playbook_on_start")])
    for number, batch in enumerate(batched(fates, playbook.serial or max(1, len(fates))), 1):
        if not _Batch(playbook, fates, batch, run, number).run():
            run.events += [Happening("playbook_on_no_hosts_remaining", play=number)] * (
                remarks if playbook.fatal else 0
            )
            break
    run.events.append(Happening("playbook_on_stats"))
    _hang(run, hung)
    run.cut = any(fate == "ok" and host not in run.done for host, fate in fates.items())
    return run


def _hang(run: PlaybookRun, hung: Collection[str]) -> None:
    """Takes away what never happens: that a hung host ends its task, and whatever would follow that task."""
    waiting = [n for n, each in enumerate(run.events) if each.task == "provision" and each.host in hung]
    if not waiting:
        return
    play = run.events[waiting[0]].play
    last = max(n for n, each in enumerate(run.events) if (each.task, each.play) == ("provision", play))
    run.events[:] = [
        each
        for each in run.events[: last + 1]
        if not (each.task == "provision" and each.host in hung and each.kind != "runner_on_start")
    ]
    run.done.clear()


class _Batch:
    """One run of the play. run() says whether the next one follows."""

    def __init__(
        self, playbook: Playbook, fates: Mapping[str, str], hosts: Collection[str], run: PlaybookRun, number: int
    ) -> None:
        self._playbook = playbook
        self._fates = fates
        self._hosts = hosts
        self._run = run
        self._number = number

    def run(self) -> bool:
        playbook, fates = self._playbook, self._fates
        self._note("playbook_on_play_start")
        self._run.begun.update(self._hosts)
        self._task("connect", self._hosts)
        reached = [host for host in self._hosts if fates[host] != "dark" or playbook.ignores]
        if not reached or (playbook.fatal and len(reached) < len(self._hosts)):
            return False
        alive = self._run_block(reached)
        if not alive:
            return False
        self._task("finish", alive)
        self._run.done.update(host for host in alive if fates[host] != "dark")
        self._handle([host for host in alive if fates[host] == "ok"])
        return True

    def _run_block(self, hosts: list[str]) -> list[str]:
        """Provision and what is around it. Returns the hosts on which the play goes on: none if it ends here."""
        playbook = self._playbook
        self._task("provision", hosts)
        failed = [host for host in hosts if self._fates[host] == "failed"]
        alive = [host for host in hosts if host not in failed]
        stopped = playbook.fatal and failed
        if playbook.once and alive and not stopped:
            self._task("announce", alive[:1])
        if playbook.rescue and failed:
            self._task("recover", failed)
            alive = hosts
        if playbook.always:
            self._task("collect", hosts)
        return [] if stopped else alive

    def _handle(self, notified: list[str]) -> None:
        if self._playbook.handler and notified:
            for host in notified:
                self._note("playbook_on_notify", HANDLER, host)
            self._task(HANDLER, notified)

    def _task(self, task: str, hosts: Iterable[str]) -> None:
        self._run.events.append(Happening("playbook_on_task_start", task, "", self._number, task == HANDLER))
        for host in hosts:
            self._note("runner_on_start", task, host)
        for host in hosts:
            self._note(self._end_of(task, host), task, host)

    def _end_of(self, task: str, host: str) -> str:
        connects = TASKS[task].startswith("raw")
        if connects and self._fates[host] == "dark":
            return "runner_on_unreachable"
        return "runner_on_failed" if task == "provision" and self._fates[host] == "failed" else "runner_on_ok"

    def _note(self, kind: str, task: str = "", host: str = "") -> None:
        self._run.events.append(Happening(kind, task, host, self._number))
