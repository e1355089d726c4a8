"""The embedded Tower: as much of the Tower/AWX REST API as Rollcall uses, with the oddities of an AWX 24.6.1.

`Tower` is both the model, which a test builds, bends and reads through Python, and a server on 127.0.0.1, which
Rollcall's functions reach over HTTP. It answers as the recordings in tests/contract/recordings say (a number in
square brackets anywhere in tests/lab/tower/*.py is the number of one), and tests/contract/test_recordings.py holds it
to them.

    tower_world    the rows, their indexes, the rules for adding and removing them
    tower_jobs     what a job goes through and does on each host
    tower_filters  lists: lookups, order, pages
    tower_shapes   the JSON of each object
    tower_api      the HTTP views
    tower_server   uvicorn in a thread, latency, being away

Assumed, not recorded: a URL over 8 kB is refused with 414, as nginx does by default, and a body over `longest_body`
with 413; with only /api/controller/v2/ served, as behind a gateway, /api/v2/ is 404 and GET /api/ lists services. From
AWX's source, not recorded: what an ordinary user may cancel and see, a trial licence, copied inventories.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from lab.tower.api import Api, Response
from lab.tower.jobs import Behaviour, HostMatch, JobEngine, Launch
from lab.tower.plays import Playbook
from lab.tower.server import HANGING, Front, Latency, Refusal, RequestRecord, Traffic, serving
from lab.tower.world import (
    BULK_CREATE_LIMIT,
    BULK_DELETE_LIMIT,
    OPERATOR,
    Backup,
    Group,
    Host,
    HostFields,
    HostPeriod,
    Inventory,
    Job,
    JobTemplate,
    Project,
    User,
    World,
)

__all__ = [
    "OPERATOR",
    "Backup",
    "HostLife",
    "HostPeriod",
    "HostRecord",
    "JobRecord",
    "Latency",
    "RequestRecord",
    "Tower",
]

API_ROOTS = ("/api/v2/", "/api/controller/v2/")
WAIT_STEP = 0.02  # seconds between two looks at a job


@dataclass(frozen=True)
class HostRecord:
    """A host as it is now. `variables` is the parsed mapping, `text` what is stored; `created` is epoch seconds."""

    id: int
    name: str
    inventory: str
    inventory_id: int
    instance_id: str
    enabled: bool
    variables: Mapping[str, Any]
    text: str
    groups: tuple[str, ...]
    address: str
    created: float
    modified: float


@dataclass(frozen=True)
class HostLife:
    """A host that is or was there, as it was last. Times in epoch seconds; removed is None while it is there.

    group, account, vpc: what Rollcall's marker names, empty for a host without one. restored: it was put back from a
    backup, at `created`; what it was until then is a life of its own, which ended. periods: what it was before it was
    this, one after the other, and this; they begin when it was really made, however it was aged. joined: when it was
    put into the first of its groups.
    """

    id: int
    name: str
    instance_id: str
    inventory: str
    group: str
    address: str
    created: float
    removed: float | None
    account: str = ""
    vpc: str = ""
    restored: bool = False
    periods: tuple[HostPeriod, ...] = ()
    joined: float | None = None


@dataclass(frozen=True)
class JobRecord:
    """A job as it is now.

    hosts: host name -> "ok", "failed" or "dark" (unreachable), known from its start on. addresses: host name -> the
    `ansible_host` the run went to. cut_short: a play ended for others' failures, so not all "ok" hosts are done.
    done: the hosts on which its last task ran.
    Times are epoch seconds of this computer's clock.
    """

    id: int
    template: str
    inventory: str
    limit: str
    status: str
    created: float
    started: float | None
    finished: float | None
    hosts: Mapping[str, str]
    addresses: Mapping[str, str]
    cut_short: bool
    explanation: str
    extra_vars: str
    launched_by: str
    events_processed: bool
    done: frozenset[str] = frozenset()
    job_type: str = "run"
    job_tags: str = ""
    skip_tags: str = ""

    @property
    def final(self) -> bool:
        return self.finished is not None


type Match = str | Callable[[HostRecord], bool]


class Tower:
    """A Tower to test against: a model that any thread may use, and its server.

    boot_time: seconds after a host's creation during which jobs find it unreachable. job_time: seconds a job runs.
    job_spread: see `set_job_spread`.
    capacity: jobs running at once, the others stay pending. token: of the administrator. api_root: what is served;
    the default serves /api/v2/ and /api/controller/v2/ alike, as AWX does [560-565], /api/controller/v2/ only itself.
    event_lag: seconds between a job's end and its host summaries [802, 803]. clock: epoch seconds, and wait: lets
    seconds pass on it; a test that does not want to wait gives it those of a lab.clock.SkippingClock.

    A `match` says which hosts a rule is for, whether they exist yet or not: a host name, an instance id, an address,
    or a function of a HostRecord. Rules are asked when a job starts.
    """

    def __init__(
        self,
        *,
        boot_time: float = 40.0,
        job_time: float = 2.0,
        job_spread: float = 0.0,
        capacity: int = 20,
        token: str = "lab-token",  # noqa: S107 - opens nothing but this server
        api_root: str = "/api/v2/",
        latency: Latency | None = None,
        event_lag: float = 1.0,
        clock: Callable[[], float] = time.time,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        if api_root not in API_ROOTS:
            raise ValueError(f"api_root is one of {API_ROOTS}, not {api_root!r}")
        self._lock = threading.RLock()
        self._clock = clock
        self._wait = wait
        self._latency = latency
        self._world = World(clock)
        self._behaviour = Behaviour(boot_time)
        self._engine = JobEngine(self._world, self._behaviour, job_time, capacity, event_lag)
        gateway = api_root == API_ROOTS[1]
        roots = API_ROOTS[1:] if gateway else API_ROOTS
        self._api = Api(self._world, self._engine, roots=roots, gateway=gateway)
        self._world.create_token(token, self._world.admin)
        self._traffic = Traffic()
        self._away: tuple[float, int | None] | None = None
        self._made_with_capacity = capacity
        self.date: str | None = None  # the Date of every answer instead of Tower's time; empty: none has one
        self.token = token
        self.api_root = api_root
        self.set_job_spread(job_spread)

    def serve(self) -> AbstractContextManager[str]:
        """Serves until the block ends. Yields "http://127.0.0.1:PORT"."""
        front = Front(self.answer, self._away_status, self._traffic, self._tower_time, self._latency, lambda: self.date)
        return serving(front)

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Response:
        """What the server does with a request, without the server: `path` as sent, header names in lower case."""
        with self._current():
            return self._api.answer(method, path, query, headers, body)

    @contextmanager
    def _current(self) -> Iterator[None]:
        """The lock, and the jobs brought up to now."""
        with self._lock:
            self._engine.advance()
            yield

    # The world

    def set_next_id(self, kind: str, number: int) -> None:
        """Gives the next row of a kind this id: "host", "inventory", "job", "template" (projects too), ..."""
        with self._current():
            self._world.set_next_id(kind, number)

    def add_organization(self, name: str, max_hosts: int = 0) -> int:
        """An organization; max_hosts: the most hosts it may have, 0 for any number."""
        with self._current():
            return self._world.create_organization(name, max_hosts=max_hosts).id

    def set_max_hosts(self, organization: str, number: int) -> None:
        """The most hosts that an organization may have from now on, by their names; 0 for any number [430-435]."""
        with self._current():
            next(row for row in self._world.organizations.values() if row.name == organization).max_hosts = number

    def add_inventory(self, name: str, organization: str = "Default", kind: str = "") -> int:
        """An inventory; its organization is made where missing. Returns its id."""
        with self._current():
            rows = [row for row in self._world.organizations.values() if row.name == organization]
            owner = rows[0] if rows else self._world.create_organization(organization)
            return self._world.create_inventory(name, owner, kind).id

    def add_project(
        self, name: str, organization: str = "Default", playbooks: Iterable[str] = ("hello.yml", "prov.yml")
    ) -> int:
        with self._current():
            return self._project(name, organization, tuple(playbooks)).id

    def _project(self, name: str, organization: str, playbooks: tuple[str, ...] | None = None) -> Project:
        for row in self._world.projects.values():
            if row.name == name and row.organization and row.organization.name == organization:
                return row
        owners = [row for row in self._world.organizations.values() if row.name == organization]
        owner = owners[0] if owners else self._world.create_organization(organization)
        if playbooks is None:
            return self._world.create_project(name, owner)
        return self._world.create_project(name, owner, playbooks)

    def add_job_template(
        self,
        name: str,
        inventory: int | str | None = None,
        *,
        organization: str = "Default",
        ask_limit: bool = True,
        ask_inventory: bool = False,
        ask_variables: bool = False,
        ask: Iterable[str] = (),
        job_type: str = "run",
        job_tags: str = "",
        skip_tags: str = "",
        slice_count: int = 1,
        allow_simultaneous: bool = True,
        survey_required: str | Iterable[str] | None = None,
        timeout: int = 0,
        playbook: str = "site.yml",
        project: str | None = None,
    ) -> int:
        """A job template; with no inventory it asks for one. survey_required: variables it will not run without.

        ask: what else it prompts for, as its fields ask_X_on_launch say ("job_type", "tags", "skip_tags").
        timeout: seconds after which a job of it fails as timed out; 0 is none. Returns its id.
        """
        with self._current():
            asks = {"limit": ask_limit, "inventory": ask_inventory or inventory is None, "variables": ask_variables}
            survey = _survey([survey_required] if isinstance(survey_required, str) else survey_required or ())
            if project is None:
                project = "Demo Project" if organization == "Default" else f"Project of {organization}"
            row = self._world.create_template(
                name,
                None if inventory is None else self._inventory(inventory),
                self._project(project, organization),
                playbook=playbook,
                asks={name for name, wanted in asks.items() if wanted} | set(ask),
                job_type=job_type,
                job_tags=job_tags,
                skip_tags=skip_tags,
                job_slice_count=slice_count,
                allow_simultaneous=allow_simultaneous,
                survey_enabled=bool(survey),
                survey=survey,
                timeout=timeout,
            )
            return row.id

    def add_host(
        self,
        inventory: int | str,
        name: str,
        variables: Mapping[str, Any] | str | None = None,
        instance_id: str = "",
        *,
        enabled: bool = True,
        groups: Iterable[str] = (),
        bulk: bool = False,
    ) -> int:
        """A host as another program would make one, in groups that are made where missing. Returns its id.

        bulk: as a bulk create leaves it, without `created_by`.
        """
        text = variables if isinstance(variables, str) else json.dumps(dict(variables or {}))
        with self._current():
            row = self._inventory(inventory)
            host = self._world.create_host(
                row, HostFields(name, "", text, instance_id, enabled), None if bulk else self._world.admin, by_hand=True
            )
            for group in groups:
                self._world.join(row.groups.get(group) or self._world.create_group(row, group), host)
            return host.id

    def add_group(self, inventory: int | str, name: str, variables: str = "", hosts: Iterable[str] = ()) -> int:
        """A group holding the named hosts. Returns its id."""
        with self._current():
            row = self._inventory(inventory)
            group = self._world.create_group(row, name, variables)
            for host in hosts:
                self._world.join(group, row.hosts[host])
            return group.id

    def add_token(
        self,
        token: str,
        *,
        read_only: bool = False,
        inventories: Iterable[int | str] | None = None,
        templates: Iterable[int | str] | None = None,
        readable: Iterable[int | str] = (),
        readable_templates: Iterable[int | str] = (),
        administered_templates: Iterable[int | str] = (),
        username: str | None = None,
    ) -> None:
        """A token of another user, who may administer these inventories and launch these templates, read `readable` and
        `readable_templates`, and administer `administered_templates`, by name or id, existing or not; None is all.

        Roles that are granted to the user through the API come on top. Adding a token again replaces what it may do.
        username: an existing user's, or a new one's.
        """
        with self._current():
            old = self._world.tokens_by_text.get(token)
            if old:
                self._world.remove_token(old)
            name = username or f"user of {token}"
            known = [row for row in self._world.users.values() if row.username == name]
            user = old.user if old else known[0] if known else self._world.create_user(name)
            self._world.create_token(
                token,
                user,
                read_only=read_only,
                inventories=None if inventories is None else set(inventories),
                readable=set(readable),
                templates=None if templates is None else set(templates),
                readable_templates=set(readable_templates),
                administered_templates=set(administered_templates),
            )

    def revoke_token(self, token: str) -> None:
        with self._current():
            self._world.remove_token(self._world.tokens_by_text[token])

    def edit_host(
        self,
        name: str,
        inventory: int | str,
        variables: Mapping[str, Any] | str | None = None,
        *,
        enabled: bool | None = None,
        leave: Iterable[str] = (),
    ) -> None:
        """What a person would change by hand: all the variables of a host, whether it is enabled, groups it leaves."""
        with self._current():
            row = self._inventory(inventory).hosts[name]
            text = variables if isinstance(variables, str) else json.dumps(dict(variables or {}))
            fields = HostFields(
                row.name,
                row.description,
                row.variables if variables is None else text,
                row.instance_id,
                row.enabled if enabled is None else enabled,
            )
            self._world.change_host(row, fields, by_hand=True)
            for group in leave:
                self._world.leave(row.inventory.groups[group], row)

    def rename_host(self, name: str, inventory: int | str, new_name: str) -> None:
        """What an inventory source does to a host whose instance it knows by another name: the rest stays as it is."""
        with self._current():
            row = self._inventory(inventory).hosts[name]
            fields = HostFields(new_name, row.description, row.variables, row.instance_id, row.enabled)
            self._world.change_host(row, fields, by_hand=True)

    def copy_inventory(self, inventory: int | str, name: str) -> int:
        """What a person gets by "Copy inventory", once its hosts are copied too. Returns the copy's id."""
        with self._current():
            source = self._inventory(inventory)
            copied = self._world.copy_inventory(source, name)
            self._world.fill_copy(source, copied, self._world.operator)
            return copied.id

    def age_host(self, name: str, inventory: int | str, seconds: float) -> None:
        """Lets Tower say that a host was made so many seconds earlier."""
        with self._current():
            self._inventory(inventory).hosts[name].created -= seconds

    def remove_host(self, name: str, inventory: int | str | None = None) -> None:
        """What a person would delete by hand: the hosts of that name, in one inventory or in all."""
        with self._current():
            inventories = [self._inventory(inventory)] if inventory is not None else self._world.inventories.values()
            for row in list(inventories):
                if name in row.hosts:
                    self._world.remove_host(row.hosts[name])

    def back_up(self) -> Backup:
        """All that is in Tower now, for `restore`."""
        with self._current():
            return self._world.back_up()

    def restore(self, backup: Backup) -> None:
        """Puts back what was there then, and nothing else, as a restore of Tower's database does.

        Hosts have their old ids and times, and what was made since is gone; a job that ran then has failed.
        """
        with self._current():
            self._engine.forget()
            self._world.restore(backup)

    def _inventory(self, key: int | str) -> Inventory:
        rows = self._world.inventories
        if isinstance(key, int):
            return rows[key]
        found = [row for row in rows.values() if row.name == key]
        if len(found) != 1:
            raise KeyError(f"{len(found)} inventories are named {key!r}")
        return found[0]

    def _template(self, key: int | str) -> JobTemplate:
        rows = self._world.templates
        if isinstance(key, int):
            return rows[key]
        found = [row for row in rows.values() if row.name == key]
        if len(found) != 1:
            raise KeyError(f"{len(found)} job templates are named {key!r}")
        return found[0]

    # Behaviours

    def fail_host(self, match: Match) -> None:
        """Playbook runs fail on these hosts."""
        with self._current():
            self._behaviour.failing.append(_matcher(match))

    def dark_host(self, match: Match) -> None:
        """These hosts stay unreachable."""
        with self._current():
            self._behaviour.dark.append(_matcher(match))

    def hang_host(self, match: Match) -> None:
        """Runs that start from now on never end on these hosts, and so do not end at all."""
        with self._current():
            self._behaviour.hanging.append(_matcher(match))

    def heal_hosts(self) -> None:
        """No host fails, hangs or is dark any more, except for its boot time."""
        with self._current():
            self._behaviour.hanging.clear()
            self._behaviour.failing.clear()
            self._behaviour.dark.clear()

    def set_boot_time(self, seconds: float, match: Match | None = None) -> None:
        """Seconds from a host's creation until it can be reached: for these hosts, or for all without a rule."""
        with self._current():
            if match is None:
                self._behaviour.boot_time = seconds
            else:
                self._behaviour.boot_times.append((_matcher(match), seconds))

    def set_job_time(self, seconds: float, template: int | str | None = None) -> None:
        """Seconds a job runs: of this template, or of all that have none of their own. For jobs that start later."""
        with self._current():
            if template is None:
                self._engine.job_time = seconds
            else:
                self._behaviour.job_times[template] = seconds

    def set_job_spread(self, fraction: float) -> None:
        """How far durations are from the job time: each is it times a factor in [1 - fraction, 1 + fraction].

        The factors of successive jobs are spread evenly over that range; a job's id decides which is its.
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"a spread is a fraction from 0 to 1, not {fraction}")
        with self._current():
            self._engine.job_spread = fraction

    def cut_short(self, which: int | str | Callable[[HostRecord], bool], *, events: int = 1) -> None:
        """A failing or unreachable host ends the play for all: in jobs of a template (id or name), or where a host
        matches. The hosts not at fault then have `failed: false` in their summaries [832].

        events: how many `playbook_on_no_hosts_remaining` events say so: 1 is what was recorded [833], and what
        `any_errors_fatal` leaves up to ansible-core 2.16; from 2.17 on it leaves none (0). `max_fail_percentage`
        leaves 2, and there an unreachable host cuts nothing short. (Measured with ansible-core 2.15 to 2.18.)
        """
        with self._current():
            known = {row.name for row in self._world.templates.values()}
            if isinstance(which, int) or (isinstance(which, str) and which in known):
                self._behaviour.fatal_templates[which] = events
            else:
                self._behaviour.fatal_hosts.append((_matcher(which), events))

    def set_playbook(self, template: int | str, playbook: Playbook) -> None:
        """What the template's playbook is like. For jobs that start later."""
        with self._current():
            self._behaviour.playbooks[template] = playbook

    def set_revision(self, template: int | str, revision: str) -> None:
        """The commit that the template's project is at: what its jobs show that start later."""
        with self._current():
            project = self._template(template).project
            if project is None:
                raise ValueError(f"job template {template} has no project")
            project.scm_revision = revision

    def reap_jobs(self) -> None:
        """The node dies that runs jobs: they are failed, and their events are never all processed."""
        with self._current():
            for row in [row for row in self._world.jobs.values() if row.status == "running"]:
                self._engine.reap(row)

    def break_template(self, template: int | str, broken: bool = True, status: str = "failed") -> None:
        """Jobs of the template fail on every host; with status "error" or "canceled" they end in that, on no host."""
        with self._current():
            if broken:
                self._behaviour.broken[template] = status
            else:
                self._behaviour.broken.pop(template, None)

    def end_next_jobs(self, status: str, count: int = 1, explanation: str = "") -> None:
        """The next jobs to start end in this status ("error", "canceled", "failed"), without host summaries."""
        with self._current():
            self._behaviour.next_ends.extend([(status, explanation)] * count)

    def refuse(self, for_seconds: float | None = None, status: int | None = 503) -> None:
        """Tower is away: every request is answered with this status, or with None its connection is closed."""
        with self._lock:
            until = float("inf") if for_seconds is None else self._clock() + for_seconds
            self._away = (until, status)

    def hang(self, for_seconds: float) -> None:
        """Tower takes requests and answers them only when it is back."""
        self.refuse(for_seconds, HANGING)

    def refuse_some(
        self, every: int | None, status: int = 503, methods: Collection[str] = (), contains: str = ""
    ) -> None:
        """Each `every`-th request is refused with this status before the API sees it; None refuses no more.

        Of all requests, or of those of some methods ("POST") whose path contains a text. A 429 has a Retry-After.
        """
        if every is not None and every < 1:
            raise ValueError(f"each {every}th request cannot be refused")
        self._traffic.refuse(None if every is None else Refusal(every, status, methods, contains))

    def come_back(self) -> None:
        """Tower is there again, and refuses nothing."""
        with self._lock:
            self._away = None
        self._traffic.refuse(None)

    def bent(self) -> list[str]:
        """What a test bent and did not put right, of what holds for all inventories and templates."""
        world = self._world
        bent = {
            "away": self._away_status() is not None,
            "requests are refused": self._traffic.refuses(),
            "date": self.date is not None,
            "clock": world.clock_skew != 0,
            "capacity": self.capacity != self._made_with_capacity,
            "bulk calls": self.no_bulk or self.bulk_limits != (BULK_CREATE_LIMIT, BULK_DELETE_LIMIT),
            "bodies": self.longest_body is not None,
            "licence": world.license_hosts is not None,
            "races": world.race,
            "ends of the next jobs": bool(self._behaviour.next_ends),
        }
        return [what for what, is_bent in bent.items() if is_bent]

    @property
    def no_bulk(self) -> bool:
        """An older server, without the bulk endpoints."""
        return self._api.no_bulk

    @no_bulk.setter
    def no_bulk(self, value: bool) -> None:
        self._api.no_bulk = value

    @property
    def bulk_limits(self) -> tuple[int, int]:
        """How many hosts a bulk call may create, and delete: the settings of the server [227]."""
        return self._world.bulk_create_limit, self._world.bulk_delete_limit

    @bulk_limits.setter
    def bulk_limits(self, value: tuple[int, int]) -> None:
        self._world.bulk_create_limit, self._world.bulk_delete_limit = value

    @property
    def longest_body(self) -> int | None:
        """The bytes that a request may bring, as a proxy before Tower limits them (413); None is any number."""
        return self._api.longest_body

    @longest_body.setter
    def longest_body(self, size: int | None) -> None:
        self._api.longest_body = size

    @property
    def license_hosts(self) -> int | None:
        """How many hosts a trial licence allows; None for an open licence, as AWX has it, which counts none."""
        return self._world.license_hosts

    @license_hosts.setter
    def license_hosts(self, number: int | None) -> None:
        self._world.license_hosts = number

    @property
    def race(self) -> bool:
        """Duplicate hosts are refused in the words of a lost race, the database's own [453, 525]."""
        return self._world.race

    @race.setter
    def race(self, value: bool) -> None:
        self._world.race = value

    @property
    def clock_skew(self) -> float:
        """Seconds by which Tower's clock is ahead: in `Date` and in every time its API shows or compares."""
        return self._world.clock_skew

    @clock_skew.setter
    def clock_skew(self, seconds: float) -> None:
        self._world.clock_skew = seconds

    @property
    def capacity(self) -> int:
        return self._engine.capacity

    @capacity.setter
    def capacity(self, jobs: int) -> None:
        with self._current():
            self._engine.capacity = jobs
            self._engine.look_again()

    @property
    def event_lag(self) -> float:
        return self._engine.event_lag

    @event_lag.setter
    def event_lag(self, seconds: float) -> None:
        self._engine.event_lag = seconds

    # Reading

    def hosts(self, inventory: int | str | None = None) -> list[HostRecord]:
        """The hosts of one inventory or of all, oldest first."""
        with self._current():
            rows: Iterable[Host] = self._world.hosts.values()
            if inventory is not None:
                rows = self._inventory(inventory).hosts.values()
            return [_host_record(row) for row in rows]

    def host(self, name: str, inventory: int | str | None = None) -> HostRecord | None:
        """The host of that name, None without one; the oldest where several inventories have one."""
        return next((host for host in self.hosts(inventory) if host.name == name), None)

    def host_lives(self) -> list[HostLife]:
        """Every host that ever was, the oldest first."""
        with self._current():
            return sorted(
                map(_host_life, [*self._world.gone_hosts, *self._world.hosts.values()]), key=lambda life: life.id
            )

    def groups(self, inventory: int | str) -> dict[str, tuple[str, ...]]:
        """Group name -> names of its hosts."""
        with self._current():
            rows: Iterable[Group] = self._inventory(inventory).groups.values()
            return {row.name: tuple(host.name for host in row.hosts.values()) for row in rows}

    def jobs(self, template: int | str | None = None) -> list[JobRecord]:
        """The jobs, of one template or of all, oldest first; of a sliced launch its slices."""
        with self._current():
            rows = self._world.jobs.values() if template is None else self._template(template).jobs
            return [self._job_record(row) for row in rows]

    def jobs_ever(self) -> list[JobRecord]:
        """Every job that ever was, also those that a restore of an older state has undone."""
        with self._current():
            rows = [*self._world.gone_jobs, *(row for row in self._world.jobs.values() if not row.restored)]
            return [self._job_record(row) for row in rows]

    def requests(self, method: str | None = None, contains: str = "") -> list[RequestRecord]:
        """The requests so far, those of a method whose path contains a text."""
        answered = self._traffic.requests()
        return [one for one in answered if method in (None, one.method) and contains in one.path]

    def most_at_once(self) -> int:
        """The most requests that the server had in hand at one time, answered or not.

        Since the start or the last `forget_requests`.
        """
        return self._traffic.most_at_once()

    def forget_requests(self) -> None:
        self._traffic.forget()

    def run_playbook(
        self,
        template: int | str,
        limit: str,
        inventory: int | str | None = None,
        *,
        job_type: str | None = None,
        job_tags: str | None = None,
        skip_tags: str | None = None,
        username: str | None = None,
    ) -> JobRecord:
        """Launches what a person would from the UI, say a deployment to a group. Returns the job as just queued.

        job_type, job_tags, skip_tags: what the person chose, whether or not the template prompts for it; None is the
        template's own. username: whose job it is, the operator's otherwise.
        """
        with self._current():
            row = self._template(template)
            where = row.inventory if inventory is None else self._inventory(inventory)
            user = self._world.operator if username is None else self._user(username)
            job = self._engine.launch(
                Launch(row, where, limit, "{}", user, job_type=job_type, job_tags=job_tags, skip_tags=skip_tags)
            )
            return self._job_record(job if isinstance(job, Job) else job.jobs[0])

    def _user(self, username: str) -> User:
        return next(row for row in self._world.users.values() if row.username == username)

    def cancel_job(self, job_id: int) -> None:
        """What a person would cancel from the UI."""
        with self._current():
            self._engine.cancel(self._world.jobs[job_id])

    def wait_for_job(self, job_id: int, timeout: float = 60.0) -> JobRecord:
        """Waits until a job is final and its host summaries are there. Raises TimeoutError."""
        deadline = self._clock() + timeout
        while True:
            with self._current():
                row = self._world.jobs[job_id]
                if job_id not in self._engine.open:
                    return self._job_record(row)
            if self._clock() > deadline:
                raise TimeoutError(f"job {job_id} is {row.status} after {timeout} s")
            self._wait(WAIT_STEP)

    def _job_record(self, row: Job) -> JobRecord:
        return JobRecord(
            id=row.id,
            template=row.template.name,
            inventory=row.inventory.name if row.inventory else "",
            limit=row.limit,
            status=row.status,
            created=row.created,
            started=row.started,
            finished=row.finished,
            hosts=dict(row.results),
            addresses=dict(row.addresses),
            cut_short=bool(row.results and row.run and row.run.cut),
            done=frozenset(row.run.done if row.results and row.run else ()),
            explanation=row.explanation,
            extra_vars=row.extra_vars,
            launched_by=row.launched_by.username,
            job_type=row.job_type,
            job_tags=row.job_tags,
            skip_tags=row.skip_tags,
            events_processed=row.events_done is not None and row.events_done <= self._world.now(),
        )

    def _away_status(self) -> int | None:
        """The status to refuse with, 0 for closing the connection, None while Tower is there."""
        if self._away is None:
            return None
        until, status = self._away
        if self._clock() >= until:
            return None
        return 0 if status is None else status

    def _tower_time(self) -> float:
        return self._clock() + self._world.clock_skew


def _matcher(match: Match) -> HostMatch:
    if isinstance(match, str):
        return lambda host: match in (host.name, host.instance_id, host.address)
    return lambda host: match(_host_record(host))


def _survey(required: Iterable[str]) -> list[dict[str, Any]]:
    """A survey of questions that must be answered, one for each of these variables."""
    return [
        {"question_name": variable, "variable": variable, "type": "text", "required": True, "default": ""}
        for variable in required
    ]


def _host_life(row: Host) -> HostLife:
    return HostLife(
        id=row.id,
        name=row.name,
        instance_id=row.instance_id,
        inventory=row.inventory.name,
        group=str(row.marker.get("group", "")),
        address=row.address,
        created=row.restored or row.created,
        removed=row.removed,
        account=str(row.marker.get("account", "")),
        vpc=str(row.marker.get("vpc", "")),
        restored=row.restored is not None,
        periods=tuple(row.periods),
        joined=row.joined,
    )


def _host_record(row: Host) -> HostRecord:
    return HostRecord(
        id=row.id,
        name=row.name,
        inventory=row.inventory.name,
        inventory_id=row.inventory.id,
        instance_id=row.instance_id,
        enabled=row.enabled,
        variables=row.parsed(),
        text=row.variables,
        groups=tuple(group.name for group in row.groups.values()),
        address=row.address,
        created=row.created,
        modified=row.modified,
    )
