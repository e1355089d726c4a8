"""What the embedded Tower holds: organizations, inventories, hosts, groups, templates, jobs, tokens.

Rows are plain objects that refer to each other, and the world keeps the indexes. Whoever creates a row, a
test through `Tower` or a client through the API, comes through the same checks, so both get the answers that
an AWX 24.6.1 gave (tests/contract/recordings). Not thread-safe by itself: `Tower` holds the lock.

Times are epoch seconds of the computer's clock; what the API shows is shifted by `World.clock_skew`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterable
from copy import replace
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from lab.tower.plays import Playbook, PlaybookRun

NAME_LIMIT = 512  # characters of a name [036]
INSTANCE_ID_LIMIT = 1024  # characters of an instance_id [516]
BULK_CREATE_LIMIT = 100  # hosts, the setting BULK_HOST_MAX_CREATE [210, 227]
BULK_DELETE_LIMIT = 250  # hosts, the setting BULK_HOST_MAX_DELETE [225, 227]
RECENT_JOBS = 5  # jobs listed in a host's summary_fields.recent_jobs
DEFAULT_PLAYBOOKS = ("hello_world.yml", "hello.yml", "prov.yml", "fatal.yml", "site.yml")
JOB_TYPES = ("run", "check")
TRUE_WORDS = frozenset(("true", "t", "yes", "y", "on", "1"))
FALSE_WORDS = frozenset(("false", "f", "no", "n", "off", "0"))

ACTIVE = frozenset(("new", "pending", "waiting", "running"))

BACKED_UP = (
    *("organizations", "projects", "inventories", "groups", "hosts", "templates", "jobs", "workflow_jobs"),
    *("users", "roles", "tokens", "tokens_by_text", "_last_id"),
)
ROLES = {  # of each kind of row, in the order of their ids [022, 301]
    "inventory": ("admin_role", "update_role", "adhoc_role", "use_role", "read_role"),
    "template": ("admin_role", "execute_role", "read_role"),
}
INTERRUPTED = (
    "Task was marked as running at system start up. The system must have not shut down properly, so it has been marked "
    "as failed."
)

FULL = (  # [434]
    "You have already reached the maximum number of {} hosts allowed for your organization. Contact your System "
    "Administrator for assistance."
)
NO_LICENSE = "Host count exceeds available instances."
DENIED = "You do not have permission to perform this action."
OPERATOR = "operator"  # the person who launches jobs by hand


type Backup = dict[str, Any]


class Refusal(Exception):
    """The API's answer to a request it does not fulfil: a status and a body (text means HTML)."""

    def __init__(self, status: int, body: dict[str, Any] | str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


def denied(detail: str = DENIED) -> Refusal:
    return Refusal(403, {"detail": detail})


class Role(NamedTuple):
    """What may be done with one row: an inventory or a template, by its id."""

    kind: str
    row: int
    name: str


@dataclass(slots=True, eq=False)
class User:
    """A user, and the roles that were granted through the API."""

    id: int
    username: str
    created: float = 0.0
    roles: set[Role] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Token:
    """A bearer token and what its user may do beside the roles granted through the API. `None` stands for everything.

    inventories: ids or names of the inventories it administers; readable: those it may only read;
    templates: ids or names of the job templates it may launch; readable_templates: those it may only read;
    administered_templates: those it may change, and cancel anybody's jobs of.
    """

    id: int
    text: str
    user: User
    read_only: bool = False
    inventories: set[int | str] | None = None
    readable: set[int | str] = field(default_factory=set)
    templates: set[int | str] | None = None
    readable_templates: set[int | str] = field(default_factory=set)
    administered_templates: set[int | str] = field(default_factory=set)
    description: str = ""
    created: float = 0.0

    @property
    def everything(self) -> bool:
        return self.inventories is None and self.templates is None

    def _has(self, kind: str, row: int, names: Iterable[str]) -> bool:
        return any(Role(kind, row, name) in self.user.roles for name in names)

    def administers(self, inventory: Inventory) -> bool:
        if self.inventories is None or {inventory.id, inventory.name} & self.inventories:
            return True
        return self._has("inventory", inventory.id, ("admin_role",))

    def uses(self, inventory: Inventory) -> bool:
        """Whether it may choose the inventory for a launch."""
        return self.administers(inventory) or self._has("inventory", inventory.id, ("use_role",))

    def reads(self, inventory: Inventory) -> bool:
        if self.administers(inventory) or {inventory.id, inventory.name} & self.readable:
            return True
        return self._has("inventory", inventory.id, ROLES["inventory"])

    def administers_template(self, template: JobTemplate) -> bool:
        if self.everything or {template.id, template.name} & self.administered_templates:
            return True
        return self._has("template", template.id, ("admin_role",))

    def launches(self, template: JobTemplate) -> bool:
        if self.templates is None or {template.id, template.name} & self.templates:
            return True
        return self.administers_template(template) or self._has("template", template.id, ("execute_role",))

    def reads_template(self, template: JobTemplate) -> bool:
        if self.launches(template) or {template.id, template.name} & self.readable_templates:
            return True
        return self._has("template", template.id, ("read_role",))

    def sees(self, job: Job | WorkflowJob) -> bool:
        """AWX 24.6.1, awx/main/access.py, JobAccess.filtered_queryset: of those of no template, only administrators."""
        return self.everything or (not job.template.deleted and self.reads_template(job.template))

    def cancels(self, job: Job | WorkflowJob) -> bool:
        """Likewise, JobAccess.can_cancel: not one that has ended, but for superusers, who get as far as a 405 [370]."""
        if self.everything or not job.active:
            return self.everything
        return job.launched_by is self.user or (not job.template.deleted and self.administers_template(job.template))


@dataclass(slots=True, eq=False)
class Organization:
    id: int
    name: str
    description: str
    created: float
    modified: float
    max_hosts: int = 0  # 0: no limit


@dataclass(slots=True, eq=False)
class Project:
    id: int
    name: str
    organization: Organization | None
    playbooks: tuple[str, ...]
    created: float
    modified: float
    description: str = ""
    scm_type: str = ""
    scm_url: str = ""
    scm_revision: str = ""


@dataclass(slots=True, eq=False)
class Inventory:
    id: int
    name: str
    organization: Organization
    kind: str
    created: float
    modified: float
    description: str = ""
    variables: str = ""
    host_filter: str | None = None
    pending_deletion: bool = False
    hosts: dict[str, Host] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    failing: int = 0  # hosts whose last job failed on them
    roles: dict[str, int] = field(default_factory=dict)  # their ids


@dataclass(slots=True, eq=False)
class _InInventory:
    """What a group and a host have in common."""

    id: int
    name: str
    inventory: Inventory
    created: float
    modified: float
    description: str = ""
    variables: str = ""


@dataclass(slots=True, eq=False)
class Group(_InInventory):
    hosts: dict[int, Host] = field(default_factory=dict)


@dataclass(frozen=True)
class HostPeriod:
    """While a host had one address and one marker, and was on or off. Times in epoch seconds; ended: None if it lasts.

    address: where a playbook run went. group, account, vpc: what Rollcall's marker named, empty for a host without one.
    by_hand: a person began it, with an edit, a host of their own or a restore, and not a request to the API. copy: the
    marker names another inventory than the one it was in.
    """

    begun: float
    ended: float | None
    address: str
    group: str
    account: str
    vpc: str
    by_hand: bool = False
    enabled: bool = True
    copy: bool = False


@dataclass(slots=True, eq=False)
class Host(_InInventory):
    instance_id: str = ""
    enabled: bool = True
    created_by: User | None = None  # a bulk create leaves it empty [205]
    groups: dict[int, Group] = field(default_factory=dict)
    last_summary: Summary | None = None
    recent_jobs: list[Job] = field(default_factory=list)
    deleted: bool = False
    removed: float | None = None
    restored: float | None = None
    joined: float | None = None  # its first group
    periods: list[HostPeriod] = field(default_factory=list)
    _parsed: tuple[str, dict[str, Any]] | None = None

    @property
    def failing(self) -> bool:
        return self.last_summary is not None and self.last_summary.failed

    def parsed(self) -> dict[str, Any]:
        """The variables as a mapping; shared, so not to be changed."""
        if self._parsed is None or self._parsed[0] is not self.variables:
            self._parsed = (self.variables, parse_variables(self.variables))
        return self._parsed[1]

    @property
    def address(self) -> str:
        """Where a playbook run goes: `ansible_host`, or the name without it."""
        return str(self.parsed().get("ansible_host") or self.name)

    @property
    def marker(self) -> dict[str, Any]:
        """What Rollcall left in its variables, empty without it."""
        found = self.parsed().get("rollcall")
        return found if isinstance(found, dict) else {}

    def note(self, now: float, *, by_hand: bool) -> None:
        """Begins a period if the address, the marker or whether it is enabled is not what it was."""
        marker = self.marker
        group, account, vpc = (str(marker.get(key, "")) for key in ("group", "account", "vpc"))
        copied = marker.get("inventory", self.inventory.id) != self.inventory.id
        new = HostPeriod(now, None, self.address, group, account, vpc, by_hand, self.enabled, copied)
        if not self.periods or replace(self.periods[-1], begun=now, by_hand=by_hand) != new:
            self.end_period(now)
            self.periods.append(new)

    def end_period(self, now: float) -> None:
        """It is not any more what it was until now."""
        if self.periods:
            self.periods[-1] = replace(self.periods[-1], ended=now)


@dataclass(slots=True, eq=False)
class JobTemplate:
    id: int
    name: str
    inventory: Inventory | None
    project: Project | None
    playbook: str
    created: float
    modified: float
    description: str = ""
    job_type: str = "run"
    job_tags: str = ""
    skip_tags: str = ""
    limit: str = ""
    extra_vars: str = ""
    timeout: int = 0  # seconds, 0: none
    forks: int = 0
    job_slice_count: int = 1
    allow_simultaneous: bool = False
    survey_enabled: bool = False
    survey: list[dict[str, Any]] = field(default_factory=list)
    asks: set[str] = field(default_factory=set)  # "limit", "inventory", "variables", ... (ask_X_on_launch)
    jobs: list[Job] = field(default_factory=list)
    workflow_jobs: list[WorkflowJob] = field(default_factory=list)
    roles: dict[str, int] = field(default_factory=dict)  # their ids
    deleted: bool = False

    @property
    def organization(self) -> Organization | None:
        return self.project.organization if self.project else None


@dataclass(slots=True, eq=False)
class Summary:
    """What one job did on one host."""

    id: int
    job: Job
    host: Host
    host_name: str
    ok: int = 0
    changed: int = 0
    dark: int = 0
    failures: int = 0
    skipped: int = 0
    ignored: int = 0
    created: float = 0.0

    @property
    def failed(self) -> bool:
        return bool(self.failures or self.dark)


@dataclass(slots=True, eq=False)
class Job:
    id: int
    template: JobTemplate
    inventory: Inventory | None
    limit: str
    extra_vars: str
    created: float
    modified: float
    launched_by: User
    timeout: int = 0
    job_type: str = "run"
    job_tags: str = ""
    skip_tags: str = ""
    slice_number: int = 0
    slice_count: int = 1
    workflow: WorkflowJob | None = None
    status: str = "pending"
    explanation: str = ""
    started: float | None = None
    finished: float | None = None
    canceled_on: float | None = None
    events_done: float | None = None  # when the host summaries and event_processing_finished appear
    hosts: list[Host] = field(default_factory=list)  # those the limit matched when it started
    results: dict[str, str] = field(default_factory=dict)  # host name -> "ok", "failed", "dark"
    addresses: dict[str, str] = field(default_factory=dict)  # host name -> the address it went to
    scm_revision: str = ""  # of its project when it started
    playbook: Playbook = field(default_factory=Playbook)
    run: PlaybookRun | None = None  # what its playbook does, known when it starts
    duration: float = 0.0  # seconds that its playbook takes
    event_lag: float = 0.0  # seconds until one of its events is processed
    planned_end: tuple[str, str] | None = None  # status and explanation its run will end with
    summaries: list[Summary] = field(default_factory=list)
    restored: bool = False

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    @property
    def name(self) -> str:
        return self.template.name

    def reap(self, now: float) -> None:
        """Its node died: what AWX makes of it, and its events are never all processed."""
        self.status, self.explanation, self.results = "failed", INTERRUPTED, {}
        self.finished, self.events_done = now, None


@dataclass(slots=True, eq=False)
class WorkflowJob:
    """What the launch of a sliced template makes: a workflow job over one job a slice [850]."""

    id: int
    template: JobTemplate
    inventory: Inventory | None
    limit: str
    extra_vars: str
    created: float
    launched_by: User
    jobs: list[Job] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.template.name

    @property
    def status(self) -> str:
        statuses = {job.status for job in self.jobs}
        if statuses <= {"pending"}:
            return "pending"
        if statuses & ACTIVE:
            return "running"
        return "successful" if statuses == {"successful"} else "failed"

    @property
    def active(self) -> bool:
        return any(job.active for job in self.jobs)

    @property
    def started(self) -> float | None:
        return min((job.started for job in self.jobs if job.started is not None), default=None)

    @property
    def finished(self) -> float | None:
        if any(job.finished is None for job in self.jobs):
            return None
        return max((job.finished for job in self.jobs if job.finished is not None), default=None)


def parse_variables(text: Any) -> dict[str, Any]:
    """The mapping in a `variables` string, JSON or YAML. Raises ValueError with AWX's words [046, 047, 328]."""
    if text in ("", "{}"):
        return {}
    try:
        return _mapping(json.loads(text))
    except (ValueError, TypeError) as json_error:
        try:
            found = yaml.safe_load(text)
            return _mapping({} if found is None else found)
        except (yaml.YAMLError, ValueError, TypeError, AttributeError) as yaml_error:
            raise ValueError(f"Cannot parse as JSON (error: {json_error}) or YAML (error: {yaml_error}).") from None


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"Input type `{type(value).__name__}` is not a dictionary")  # noqa: TRY004 - AWX's words
    return value


@dataclass(slots=True)
class Fields:
    """The fields of one request body, checked one by one as Django REST framework does, errors collected."""

    body: dict[str, Any]
    partial: bool = False
    errors: dict[str, Any] = field(default_factory=dict)

    def _raw(self, name: str, *, required: bool) -> tuple[bool, Any]:
        if name in self.body:
            return True, self.body[name]
        if required and not self.partial:
            self.errors[name] = ["This field is required."]
        return False, None

    def text(
        self,
        name: str,
        default: str = "",
        *,
        required: bool = False,
        limit: int | None = None,
        null: bool = True,
    ) -> str:
        given, value = self._raw(name, required=required)
        if not given:
            return default
        if value is None:
            if null and not required:
                return ""
            self.errors[name] = ["This field may not be null."]
            return default
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self.errors[name] = ["Not a valid string."]
            return default
        text = str(value).strip()
        if "\x00" in text:
            self.errors[name] = ["Null characters are not allowed."]
        elif required and not text:
            self.errors[name] = ["This field may not be blank."]
        elif limit is not None and len(text) > limit:
            self.errors[name] = [f"Ensure this field has no more than {limit} characters."]
        return text

    def variables(self, name: str, default: str = "") -> str:
        text = self.text(name, default)
        if name in self.body and name not in self.errors:
            try:
                parse_variables(text)
            except ValueError as error:
                self.errors[name] = [str(error)]
        return text

    def boolean(self, name: str, default: bool) -> bool:
        given, value = self._raw(name, required=False)
        if not given:
            return default
        word = str(value).lower()
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
        self.errors[name] = ["Must be a valid boolean."]
        return default

    def choice(self, name: str, default: str, allowed: Collection[str]) -> str:
        value = self.text(name, default)
        if value not in allowed and name not in self.errors:
            self.errors[name] = [f'"{value}" is not a valid choice.']
        return value

    def integer(self, name: str, default: int) -> int:
        given, value = self._raw(name, required=False)
        if not given:
            return default
        try:
            return int(value)
        except (TypeError, ValueError):
            self.errors[name] = ["A valid integer is required."]
            return default

    def key(self, name: str, *, required: bool = False) -> int | None:
        """A reference to another row: its id."""
        given, value = self._raw(name, required=required)
        if not given or value is None:
            if given and required:
                self.errors[name] = ["This field may not be null."]
            return None
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            self.errors[name] = [f"Incorrect type. Expected pk value, received {type(value).__name__}."]
            return None
        try:
            return int(value)
        except ValueError:
            self.errors[name] = ["Incorrect type. Expected pk value, received str."]
            return None

    def check(self) -> None:
        if self.errors:
            raise Refusal(400, self.errors)


@dataclass(slots=True)
class HostFields:
    """A new host's checked fields."""

    name: str
    description: str = ""
    variables: str = ""
    instance_id: str = ""
    enabled: bool = True


def read_host(fields: Fields, old: HostFields | None = None) -> HostFields:
    """A host's fields out of a request body; whatever is wrong is left in `fields.errors`.

    `name:port` becomes the name and the variable `ansible_ssh_port` [039, 215]; a bad port is an error [040, 041].
    """
    old = old or HostFields("")
    host = HostFields(
        name=fields.text("name", old.name, required=True, limit=NAME_LIMIT),
        description=fields.text("description", old.description),
        variables=fields.variables("variables", old.variables),
        instance_id=fields.text("instance_id", old.instance_id, limit=INSTANCE_ID_LIMIT),
        enabled=fields.boolean("enabled", old.enabled),
    )
    if host.name.count(":") == 1 and "name" not in fields.errors:
        name, _, port = host.name.partition(":")
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            fields.errors["name"] = [f"Invalid port specification: {port}"]
        elif "variables" not in fields.errors:
            host.name = name
            host.variables = json.dumps({**parse_variables(host.variables), "ansible_ssh_port": int(port)})
    return host


class World:
    """All rows of one Tower and the rules for adding and removing them. Raises Refusal where AWX refuses."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.clock_skew = 0.0
        self.race = False
        self.bulk_create_limit = BULK_CREATE_LIMIT
        self.bulk_delete_limit = BULK_DELETE_LIMIT
        self.organizations: dict[int, Organization] = {}
        self.projects: dict[int, Project] = {}
        self.inventories: dict[int, Inventory] = {}
        self.groups: dict[int, Group] = {}
        self.hosts: dict[int, Host] = {}
        self.gone_hosts: list[Host] = []
        self.templates: dict[int, JobTemplate] = {}
        self.jobs: dict[int, Job] = {}
        self.gone_jobs: list[Job] = []
        self.workflow_jobs: dict[int, WorkflowJob] = {}
        self.users: dict[int, User] = {}
        self.roles: dict[int, Role] = {}
        self.tokens: dict[int, Token] = {}
        self.tokens_by_text: dict[str, Token] = {}
        self._last_id: dict[str, int] = {}
        self.license_hosts: int | None = None  # that a trial licence allows; None: an open one, which counts nothing
        self.admin = self.create_user("admin")
        self.operator = self.create_user(OPERATOR)
        default = self.create_organization("Default")
        self.create_project("Demo Project", default)

    def now(self) -> float:
        return round(self._clock(), 6)

    def next_id(self, kind: str) -> int:
        self._last_id[kind] = self._last_id.get(kind, 0) + 1
        return self._last_id[kind]

    def set_next_id(self, kind: str, number: int) -> None:
        self._last_id[kind] = number - 1

    def back_up(self) -> Backup:
        """Every row as it is now, and the next ids."""
        users = {id(user): user for user in self.users.values()}
        return copy.deepcopy({name: getattr(self, name) for name in BACKED_UP}, users)

    def restore(self, backup: Backup) -> None:
        """Every row as it was; what has come since is gone, and its ids are given once more."""
        now = self.now()
        for host in self.hosts.values():
            host.deleted, host.removed = True, now
            host.end_period(now)
        self.gone_hosts += self.hosts.values()
        self.gone_jobs += [job for job in self.jobs.values() if not job.restored]
        users = {id(user): user for user in self.users.values()}
        for name, table in copy.deepcopy(backup, users).items():
            rows = getattr(self, name)  # the API and the engine hold on to it
            rows.clear()
            rows.update(table)
        for host in self.hosts.values():
            host.restored = now
            host.periods.clear()
            host.note(now, by_hand=True)
        for job in self.jobs.values():
            job.restored = True
            if job.active:
                job.reap(now)

    def create_user(self, username: str) -> User:
        if any(row.username == username for row in self.users.values()):
            raise Refusal(400, {"username": ["A user with that username already exists."]})
        row = User(self.next_id("user"), username, self.now())
        self.users[row.id] = row
        return row

    def _create_roles(self, kind: str, row: Inventory | JobTemplate) -> None:
        for name in ROLES[kind]:
            row.roles[name] = self.next_id("role")
            self.roles[row.roles[name]] = Role(kind, row.id, name)

    def create_organization(self, name: str, description: str = "", max_hosts: int = 0) -> Organization:
        if any(row.name == name for row in self.organizations.values()):
            raise Refusal(400, {"name": ["Organization with this Name already exists."]})
        now = self.now()
        row = Organization(self.next_id("organization"), name, description, now, now, max_hosts)
        self.organizations[row.id] = row
        return row

    def create_project(
        self,
        name: str,
        organization: Organization | None,
        playbooks: tuple[str, ...] = DEFAULT_PLAYBOOKS,
        **more: str,
    ) -> Project:
        if any(row.name == name and row.organization is organization for row in self.projects.values()):
            raise Refusal(400, {"__all__": ["Project with this (organization, name) combination already exists."]})
        now = self.now()
        row = Project(self.next_id("template"), name, organization, playbooks, now, now, **more)
        self.projects[row.id] = row
        return row

    def create_inventory(self, name: str, organization: Organization, kind: str = "", **more: Any) -> Inventory:
        if any(row.name == name and row.organization is organization for row in self.inventories.values()):
            raise Refusal(400, {"__all__": ["Inventory with this Name and Organization already exists."]})
        now = self.now()
        row = Inventory(self.next_id("inventory"), name, organization, kind, now, now, **more)
        self.inventories[row.id] = row
        self._create_roles("inventory", row)
        return row

    def create_group(self, inventory: Inventory, name: str, variables: str = "", description: str = "") -> Group:
        if inventory.kind:
            raise Refusal(400, _smart("Group"))
        if name in ("all", "_meta"):
            raise Refusal(400, {"name": ["Invalid group name."]})
        if name in inventory.hosts:
            raise Refusal(400, {"__all__": ["A Host with that name already exists."]})
        if name in inventory.groups:
            raise Refusal(400, {"__all__": ["Group with this Name and Inventory already exists."]})
        now = self.now()
        row = Group(self.next_id("group"), name, inventory, now, now, description, variables)
        self.groups[row.id] = inventory.groups[name] = row
        return row

    def create_host(
        self, inventory: Inventory, fields: HostFields, user: User | None, *, by_hand: bool = False
    ) -> Host:
        if inventory.kind:
            raise Refusal(400, _smart("Host"))
        if not by_hand:
            self._check_room(inventory.organization, fields.name)
        if fields.name in inventory.hosts:
            raise self.duplicate_host(inventory, fields.name)
        return self._add_host(inventory, fields, user, by_hand=by_hand)

    def duplicate_host(self, inventory: Inventory, name: str) -> Refusal:
        if self.race:
            return Refusal(400, {"detail": _unique_violation(inventory, name)})
        return Refusal(400, {"__all__": ["Host with this Name and Inventory already exists."]})

    def create_hosts(self, inventory: Inventory, new: list[HostFields]) -> list[Host]:
        """The bulk create: all or none."""
        if inventory.kind:
            raise _everywhere("Hosts can only be created in manual inventories (not smart or constructed types).")
        names = [host.name for host in new]
        counts: dict[str, int] = {}
        for name in names:
            counts[name] = counts.get(name, 0) + 1
        if duplicates := [name for name in names if counts[name] > 1 or name in inventory.hosts]:
            if self.race:
                refusal = f"cannot create host, host creation error {_unique_violation(inventory, duplicates[0])}"
                raise Refusal(400, {"detail": refusal})
            raise _everywhere(f"Hostnames must be unique in an inventory. Duplicates found: {duplicates}")
        self._check_room_for_many(inventory.organization, names)
        return [self._add_host(inventory, host, None) for host in new]

    def host_names(self, organization: Organization | None = None) -> set[str]:
        """The names of all hosts, of one organization or of all: what its limit and the licence's count."""
        rows = self.inventories.values()
        return {name for row in rows if organization in (None, row.organization) for name in row.hosts}

    def _check_room(self, organization: Organization, name: str) -> None:
        """One host: where the licence is open nothing is counted [433].

        awx/main/access.py, check_license and check_org_host_limit.
        """
        if self.license_hosts is None:
            return
        known = self.host_names()
        if name not in known and len(known) >= self.license_hosts:
            words = "reached" if len(known) == self.license_hosts else "exceeded"
            raise denied(f"License count of {self.license_hosts} instances has been {words}.")
        own = self.host_names(organization)
        if organization.max_hosts and name not in own and len(own) >= organization.max_hosts:
            raise denied(FULL.format(organization.max_hosts))

    def _check_room_for_many(self, organization: Organization, names: list[str]) -> None:
        """A bulk create: the organization's limit counts also where the licence is open [434].

        What it takes for known are the names in the first organization (24.6.1, serializers.py,
        raise_if_host_counts_violated). The licence's hosts are counted as is meant there, and not as they are.
        """
        if not organization.max_hosts and self.license_hosts is None:
            return
        first = self.organizations.get(1)
        new = len(names) - len(self.host_names(first).intersection(names) if first else ())
        if organization.max_hosts and len(self.host_names(organization)) + new > organization.max_hosts:
            raise denied(FULL.format(organization.max_hosts))
        if self.license_hosts is not None and len(self.host_names() | set(names)) > self.license_hosts:
            raise denied(NO_LICENSE)

    def check_room_to_launch(self, organization: Organization) -> None:
        """A licence that does not suffice for the hosts there are starts no job (access.py, can_start)."""
        if self.license_hosts is None:
            return
        if len(self.host_names()) > self.license_hosts:
            raise denied(NO_LICENSE)
        if 0 < organization.max_hosts < len(self.host_names(organization)):
            raise denied(FULL.format(organization.max_hosts))

    def copy_inventory(self, source: Inventory, name: str) -> Inventory:
        """An inventory with the fields of another, as yet without its hosts and groups: see `fill_copy`."""
        more = {"description": source.description, "variables": source.variables, "host_filter": source.host_filter}
        return self.create_inventory(name, source.organization, source.kind, **more)

    def fill_copy(self, source: Inventory, copied: Inventory, user: User | None) -> None:
        """Copies all hosts and groups (models/inventory.py, FIELDS_TO_PRESERVE_AT_COPY); ids and times are new."""
        for group in source.groups.values():
            self.create_group(copied, group.name, group.variables, group.description)
        for host in source.hosts.values():
            fields = HostFields(host.name, host.description, host.variables, host.instance_id, host.enabled)
            new = self._add_host(copied, fields, user, by_hand=True)
            for group in host.groups.values():
                self.join(copied.groups[group.name], new)

    def _add_host(self, inventory: Inventory, fields: HostFields, user: User | None, *, by_hand: bool = False) -> Host:
        now = self.now()
        row = Host(
            self.next_id("host"),
            fields.name,
            inventory,
            now,
            now,
            fields.description,
            fields.variables,
            fields.instance_id,
            fields.enabled,
            user,
        )
        row.note(now, by_hand=by_hand)
        self.hosts[row.id] = inventory.hosts[row.name] = row
        return row

    def change_host(self, host: Host, fields: HostFields, *, by_hand: bool = False) -> None:
        if fields.name != host.name:
            if fields.name in host.inventory.hosts:
                raise Refusal(400, {"detail": _unique_violation(host.inventory, fields.name)})
            host.inventory.hosts[fields.name] = host.inventory.hosts.pop(host.name)
        host.name, host.description, host.variables = fields.name, fields.description, fields.variables
        host.instance_id, host.enabled = fields.instance_id, fields.enabled
        host.modified = self.now()
        host.note(host.modified, by_hand=by_hand)

    def remove_host(self, host: Host) -> None:
        host.deleted = True
        host.removed = self.now()
        host.end_period(host.removed)
        self.gone_hosts.append(host)
        del self.hosts[host.id]
        del host.inventory.hosts[host.name]
        for group in host.groups.values():
            del group.hosts[host.id]
        host.inventory.failing -= host.failing

    def remove_group(self, group: Group) -> None:
        del self.groups[group.id]
        del group.inventory.groups[group.name]
        for host in group.hosts.values():
            del host.groups[group.id]

    def remove_inventory(self, inventory: Inventory) -> None:
        for host in list(inventory.hosts.values()):
            self.remove_host(host)
        for group in list(inventory.groups.values()):
            self.remove_group(group)
        for template in self.templates.values():
            if template.inventory is inventory:
                template.inventory = None
        self.inventories.pop(inventory.id, None)

    def join(self, group: Group, host: Host) -> None:
        if group.inventory is not host.inventory:
            raise Refusal(400, {"detail": "Cannot associate two items from different inventories."})
        group.hosts[host.id] = host
        host.groups[group.id] = group
        host.joined = host.joined or self.now()

    def leave(self, group: Group, host: Host) -> None:
        group.hosts.pop(host.id, None)
        host.groups.pop(group.id, None)

    def create_template(self, name: str, inventory: Inventory | None, project: Project, **more: Any) -> JobTemplate:
        for row in self.templates.values():
            if row.name == name and row.organization is project.organization:
                words = "JobTemplate with this (organization, name) combination already exists."
                raise Refusal(400, {"__all__": [words]})
        now = self.now()
        row = JobTemplate(
            id=self.next_id("template"),
            name=name,
            inventory=inventory,
            project=project,
            created=now,
            modified=now,
            **more,
        )
        self.templates[row.id] = row
        self._create_roles("template", row)
        return row

    def remove_template(self, template: JobTemplate) -> None:
        template.deleted = True
        del self.templates[template.id]

    def create_token(self, text: str, user: User, **more: Any) -> Token:
        row = Token(self.next_id("token"), text, user, created=self.now(), **more)
        self.tokens[row.id] = self.tokens_by_text[text] = row
        return row

    def remove_token(self, token: Token) -> None:
        del self.tokens[token.id]
        self.tokens_by_text.pop(token.text, None)


def _everywhere(words: str) -> Refusal:
    return Refusal(400, {"__all__": [words]})


def _smart(kind: str) -> dict[str, Any]:
    return {"inventory": {"detail": f"Cannot create {kind} for Smart or Constructed Inventories"}}


def _unique_violation(inventory: Inventory, name: str) -> str:
    """PostgreSQL's words, which AWX passes on when two requests race and when a host is renamed [453, 525]."""
    return (
        'duplicate key value violates unique constraint "main_host_name_inventory_id_45aecd68_uniq"\n'
        f"DETAIL:  Key (name, inventory_id)=({name}, {inventory.id}) already exists."
    )
