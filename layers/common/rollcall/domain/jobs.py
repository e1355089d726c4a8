"""Tower's job templates, jobs and what becomes of hosts in them."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from .inventories import Inventory


class JobKind(NamedTuple):
    """What jobs have in common that can be compared: a template, and an inventory."""

    template_id: int
    inventory_id: int | None


class JobTemplate(NamedTuple):
    """A Tower job template, with what decides whether a launch can be limited and runs the whole playbook.

    inventory_id is None if it has none. job_type: "run" or "check". tags, skip_tags: the playbook's tags that its jobs
    are limited to, and those that they leave out, as one text each. asks_X: it prompts for it on launch. project_id:
    of the project that its playbook is of, None if Tower does not show one.
    """

    id: int
    name: str
    inventory_id: int | None
    asks_limit: bool
    asks_inventory: bool
    slices: int
    job_type: str = "run"
    tags: str = ""
    skip_tags: str = ""
    asks_job_type: bool = False
    asks_tags: bool = False
    asks_skip_tags: bool = False
    project_id: int | None = None

    def on(self, inventory: Inventory) -> JobKind:
        """The kind of the jobs that are launched from it on an inventory."""
        return JobKind(self.id, inventory.id)


class LaunchTerms(NamedTuple):
    """How a job template may be launched: by whom, how often at once, and what a launch has to bring beside a limit.

    startable: the token's user may launch it. needed: what Tower would not launch it without, in words, and Rollcall
    never gives; unknown, and so empty, where it is not startable. timeout: seconds after which Tower ends a job of it,
    0 for the server's default, below 0 for never. forks: hosts that a job works on at once, 0 for Ansible's default.
    """

    startable: bool
    simultaneous: bool
    needed: tuple[str, ...] = ()
    timeout: int = 0
    forks: int = 0


class Project(NamedTuple):
    """A project in Tower. revision: of its last update, empty without source control.

    updates_on_launch: its jobs update it first, so that they may run a newer one.
    """

    id: int
    name: str
    revision: str = ""
    updates_on_launch: bool = False


class PastJob(NamedTuple):
    """A job that succeeded: on how many hosts, with how many at once (0 for Ansible's default), in how many seconds."""

    hosts: int
    forks: int
    seconds: float


class TowerUser(NamedTuple):
    """Whose token it is. writes: the token lets that user change itself, and so is no read-only one."""

    name: str
    writes: bool


class JobStatus(StrEnum):
    """The states of a Tower job."""

    NEW = "new"
    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    ERROR = "error"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self in (JobStatus.SUCCESSFUL, JobStatus.FAILED, JobStatus.ERROR, JobStatus.CANCELED)


class Job(NamedTuple):
    """A Tower job. Times in epoch seconds by Tower's clock.

    hosts: the instance ids that its limit names; where it was searched by hosts, also those of them that it ran on.
    is_whole: it is a run, not a check, and of all of its playbook, under no tags. is_limited_to_ids: its limit names
    instance ids and nothing else. scm_revision: of its project, empty before it started and for a project without one.
    launched_by: the user's name.
    """

    id: int
    template_id: int
    status: JobStatus
    hosts: frozenset[str]
    created_at: float
    started_at: float | None
    finished_at: float | None
    explanation: str
    inventory_id: int | None = None
    is_whole: bool = True
    is_limited_to_ids: bool = True
    playbook: str = ""
    scm_revision: str = ""
    launched_by: str = ""

    @property
    def kind(self) -> JobKind:
        """What it has in common with the jobs that it can be compared with."""
        return JobKind(self.template_id, self.inventory_id)

    def seconds_since_end(self, now: float) -> float:
        """Seconds since it ended, 0 if Tower does not show when. now: epoch seconds by Tower's clock."""
        return now - (now if self.finished_at is None else self.finished_at)


class HostSummary(NamedTuple):
    """How often each of these became of one host in a job, as Ansible counts it.

    unreachable: without those that the playbook ignores. ignored: failures, and on what was not reached.
    """

    failures: int = 0
    unreachable: int = 0
    ignored: int = 0


class JobEvent(NamedTuple):
    """One event of a playbook run, as ansible-runner reports it.

    counter: its place in the run. kind: its name there. host: whose it is, empty for none. task: the task's name, path:
    the file and line that it stands in, below the project; action: what it does, without ansible.builtin. play: the run
    of a play, of which a serial one has a run for each batch. task_id: the same for a task's start and its results.
    at: epoch seconds. is_handler: of a task's start, whether it is a handler's. handler: of a notification, whose it
    is. ignored: of a failure, whether the playbook ignores it. delegated: whether another host did it.
    """

    counter: int
    kind: str
    host: str = ""
    task: str = ""
    path: str = ""
    action: str = ""
    play: str = ""
    task_id: str = ""
    at: float = 0
    is_handler: bool = False
    handler: str = ""
    ignored: bool = False
    delegated: bool = False


class Outcome(StrEnum):
    """What a job showed about one host.

    CUT_SHORT: nothing against it, and no proof that every task of the playbook ran on it. UNPROVEN: nothing at all.
    """

    OK = "ok"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    CUT_SHORT = "cut short"
    UNPROVEN = "unproven"
