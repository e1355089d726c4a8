"""The Tower REST API (AWX, Tower, AAP controller), as much of it as we use.

Raw JSON comes in here and frozen dataclasses go out; every answer that is not a success becomes an error of our
taxonomy with the server's own words in it. What the server does was observed on AWX 24.6.1; numbers in brackets name
its recorded exchanges in tests/contract/recordings.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from copy import replace
from datetime import UTC, datetime
from itertools import batched
from typing import TYPE_CHECKING
from urllib.parse import quote

from rollcall.domain.cache import ExpiringCache
from rollcall.domain.errors import BadSettings, CancelRefused, Kept, RollcallError, TowerRejected
from rollcall.domain.inventories import MARKER, BulkLimits, Dump, DumpedHost, Host, HostLimit, Inventory
from rollcall.domain.inventory_text import INSTANCE_ID, json_is_surely_plain
from rollcall.domain.job_limit import limit_to
from rollcall.domain.jobs import (
    HostSummary,
    Job,
    JobEvent,
    JobKind,
    JobStatus,
    JobTemplate,
    LaunchTerms,
    PastJob,
    TowerUser,
)
from rollcall.http.transport import FORBIDDEN, NOT_FOUND, text_of

from .bulk_hosts import (
    BULK_CREATE_MAX,
    BULK_DELETE_MAX,
    Deleting,
    MadeHosts,
    Making,
    NewHost,
    encoded,
    require_instance_id,
    require_text,
    says_duplicate,
)
from .connection import PAGE_SIZE, Connection, reads_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rollcall.http.transport import Exchange, Json, Query

    from .connection import Credentials

NAMES_PER_QUERY = 150  # instance ids that stay under the 4 kB of URL that every proxy lets through
NEEDLES_PER_QUERY = 100  # ends of instance ids, likewise
TERMS_LENGTH = 3600  # characters of a URL for what is looked for, likewise: 130 IPv4 addresses, 40 long names
NEEDLE = 8  # last characters of an instance id: enough to find few others, short enough for many in a query
REFERENCES_TTL = 60.0  # seconds that inventories, templates and their usual durations are remembered
ID_PREFIX = "id:"  # before a number in a reference: the id, whatever is named so
ID_MAX = 2**31 - 1  # of inventories and templates: a PostgreSQL integer
TOWERS_OWN = ("remote_host_enabled", "remote_host_id", "remote_tower_enabled", "remote_tower_id")  # in a dump [700]
TOO_MANY_CREATED = "BULK_HOST_MAX_CREATE"  # in the answer of a server with a lower limit [210]
TOO_MANY_DELETED = "BULK_HOST_MAX_DELETE"  # likewise [225]
PAST_JOBS = 10  # how many of them doctor estimates by
NAMED_LIKE_A_HOST = "A Host with that name already exists"  # in the answer (awx, GroupSerializer.validate)
NOT_ALLOWED = 405
LIMITS_RESOLVED = 5  # jobs with other limits than ids of which one look asks at least which hosts they ran on
SUMMARY_CALLS = 50  # that it makes for these and for older ones at most; the gate's invocation has 110 s
# Each job has a directory of its own, on servers without containers, that its project and requirements are put into.
BEFORE_PROJECT = re.compile(r"^.*?/(?=(?:project|requirements_roles|requirements_collections)/)")
OF_ANSIBLE = re.compile(r"^ansible\.(?:builtin|legacy)\.")
WHOLE_RUN = {"job_type": "run", "job_tags": "", "skip_tags": ""}  # a job that changes hosts by all of a playbook


@reads_answers
class Tower:
    """One Tower, spoken to through one kept-alive session.

    credentials(refresh) gives the token; with refresh=True it must be read afresh. The methods raise TowerUnavailable,
    TowerDenied or TowerRejected, and what they add to that they name.
    """

    def __init__(self, url: str, credentials: Callable[[bool], Credentials]) -> None:
        self._http = Connection(url, credentials)
        self._inventories: ExpiringCache[str, Inventory] = ExpiringCache(REFERENCES_TTL)
        self._templates: ExpiringCache[str, JobTemplate] = ExpiringCache(REFERENCES_TTL)
        self._durations: ExpiringCache[JobKind, tuple[float, ...] | None] = ExpiringCache(REFERENCES_TTL)

    def finish_within(self, seconds: float) -> None:
        """Bound what follows to the seconds left in this invocation; calls beyond that raise TowerUnavailable."""
        self._http.finish_within(seconds)

    @property
    def root(self) -> str:
        """The API root, ending in a slash."""
        return self._http.root

    def exchanges(self) -> list[Exchange]:
        """What the requests took of which this was not told yet: see Transport.exchanges."""
        return self._http.exchanges()

    def now(self) -> float:
        """Tower's own clock, in epoch seconds: see Connection.now."""
        return self._http.now()

    # Inventories and templates

    def inventory(self, reference: str) -> Inventory:
        """The inventory that a reference means, remembered for a minute: see _referenced."""
        return self._inventories.get(
            reference,
            lambda: _inventory(self._referenced("inventories", "inventory", reference)),
        )

    def job_template(self, reference: str) -> JobTemplate:
        """The job template that a reference means, remembered for a minute: see _referenced."""
        return self._templates.get(
            reference,
            lambda: _job_template(self._referenced("job_templates", "job template", reference)),
        )

    def _referenced(self, collection: str, kind: str, reference: str) -> Json:
        """What a reference means: a name, ORGANIZATION/NAME, an id, or id:N.

        An organization and a name may hold slashes, and a name may be a number, so a reference can mean several things;
        which of them is never guessed. id:N is the id N and nothing else: what an error offers. Raises BadSettings if
        there is nothing or more than one thing that it can mean.
        """
        number = _number_in(reference)
        only_id = reference.startswith(ID_PREFIX) and number is not None
        names = [] if only_id else _names_in(reference)
        queries = [[("or__name", each) for each in chunk] for chunk in _fitting("or__name=", names)] or [[]]
        if number is not None:
            queries[0].append(("or__id", str(number)))
        listed = {raw["id"]: raw for query in queries for raw in self._http.pages(f"{collection}/", query)}
        found = [
            raw
            for raw in listed.values()
            if raw["id"] == number or reference in (raw["name"], f"{_organization(raw)}/{raw['name']}")
        ]
        if not found:
            wanted = f"{kind} {reference!r}" if number is None else f"{kind} with id {number}"
            wanted += "" if only_id or number is None else f" and none that is named {reference!r}"
            raise BadSettings(
                f"Tower has no {wanted} that the token can read: correct the tag, create it, or grant its role"
            )
        if len(found) > 1:
            named = " and ".join(f"{_organization(raw)}/{raw['name']} (id {raw['id']})" for raw in found)
            spelled = " or ".join(f"{ID_PREFIX}{raw['id']}" for raw in found)
            words = f"{kind} {reference!r} is ambiguous: {named}; name the one that is meant as {spelled}"
            raise BadSettings(words, candidates=[raw["id"] for raw in found])
        return found[0]

    # What the server is, and what the token may do there

    def version(self) -> str:
        """The server's version; it tells everybody, whatever their token [001]."""
        version = self._http.get("ping/").get("version")
        if not isinstance(version, str):
            raise TowerRejected(f"{self.root}ping/ does not answer as Tower does: it names no version")
        return version

    def user(self) -> TowerUser:
        """Whose token it is. A token that may only read shows its user without any capability [016]."""
        [raw] = self._http.get("me/")["results"]
        return TowerUser(raw["username"], _capability(raw, "edit"))

    def has_bulk_calls(self) -> bool:
        """Whether the server creates and deletes hosts in bulk; older ones do not."""
        return self._http.send("GET", "bulk/host_delete/").status_code != NOT_FOUND

    def bulk_limits(self) -> BulkLimits | None:
        """The server's limits for bulk calls [227]; None where the token's user may not read settings."""
        answer = self._http.send("GET", "settings/bulk/")
        if answer.status_code in (FORBIDDEN, NOT_FOUND):
            return None
        settings = self._http.read(answer)
        return BulkLimits(
            settings.get(TOO_MANY_CREATED, BULK_CREATE_MAX), settings.get(TOO_MANY_DELETED, BULK_DELETE_MAX)
        )

    def may_change(self, inventory: Inventory) -> bool:
        """Whether the token may add hosts to an inventory and remove them: who may administer it may edit it."""
        return _capability(self._http.get(f"inventories/{inventory.id}/"), "edit")

    def organization_limit(self, inventory: Inventory) -> HostLimit | None:
        """The hosts of an inventory's organization; None without a limit, or where the token's user may not read it."""
        organization = self._http.get(f"inventories/{inventory.id}/").get("organization")
        answer = self._http.send("GET", f"organizations/{organization}/")
        if answer.status_code in (FORBIDDEN, NOT_FOUND):
            return None
        raw = self._http.read(answer)
        used = raw["summary_fields"].get("related_field_counts", {}).get("hosts")
        most = raw.get("max_hosts")  # 0: any number
        return HostLimit(f"organization {raw['name']!r}", used, most) if most and used is not None else None

    def licence_limit(self) -> HostLimit | None:
        """The hosts that the server has and is licensed for; None without a licence that counts [005]."""
        raw = self._http.get("config/").get("license_info") or {}
        most, used = raw.get("instance_count"), raw.get("current_instances")
        return HostLimit("the licence", int(used), int(most)) if most and used is not None else None

    def launch_terms(self, template: JobTemplate) -> LaunchTerms:
        """How a template may be launched."""
        raw = self._http.get(f"job_templates/{template.id}/")
        startable, simultaneous = _capability(raw, "start"), bool(raw.get("allow_simultaneous"))
        timeout, forks = raw.get("timeout") or 0, raw.get("forks") or 0
        if not startable:
            return LaunchTerms(startable, simultaneous, timeout=timeout, forks=forks)
        asked = self._http.get(f"job_templates/{template.id}/launch/")
        needed = [
            *(f"an answer to the survey's question {each!r}" for each in asked.get("variables_needed_to_start", ())),
            *(f"the password {each}" for each in asked.get("passwords_needed_to_start", ())),
            *(["a credential"] if asked.get("credential_needed_to_start") else []),
        ]
        return LaunchTerms(startable, simultaneous, tuple(needed), timeout, forks)

    def past_jobs(self, template: JobTemplate) -> tuple[PastJob, ...]:
        """A template's last successful jobs that ran all of it on hosts whose number is known: limited to instances."""
        query = {"status": "successful", "job_type": "run", "order_by": "-finished", "page_size": str(PAST_JOBS)}
        jobs = self._http.get(f"job_templates/{template.id}/jobs/", query)["results"]
        limits = [[each for each in re.split(r"[,:\s]+", raw["limit"]) if each] for raw in jobs]
        return tuple(
            PastJob(len(set(hosts)), raw.get("forks") or 0, raw["elapsed"])
            for raw, hosts in zip(jobs, limits, strict=True)
            if hosts and all(map(INSTANCE_ID.fullmatch, hosts)) and not (raw["job_tags"] or raw["skip_tags"])
        )

    def default_job_timeout(self) -> int | None:
        """Seconds after which the server ends a job whose template has no timeout, 0 for never.

        None where the token's user may not read settings.
        """
        answer = self._http.send("GET", "settings/jobs/")
        if answer.status_code in (FORBIDDEN, NOT_FOUND):
            return None
        return int(self._http.read(answer).get("DEFAULT_JOB_TIMEOUT") or 0)

    # Whole inventories

    def marked_inventories(self) -> list[Inventory]:
        """Every inventory that holds a host with a marker, this installation's or another's [870]."""
        found = self._http.pages("inventories/", {"hosts__variables__contains": MARKER})
        return [_inventory(raw) for raw in found if not raw.get("kind")]

    def dump(self, inventory: Inventory) -> Dump:
        """A whole inventory in one call, hosts that are disabled too [700]."""
        query = {"hostvars": "1", "all": "1", "towervars": "1"}
        answer = self._http.send("GET", f"inventories/{inventory.id}/script/", query=query)
        raw = self._http.read(answer)
        groups: defaultdict[str, set[str]] = defaultdict(set)
        for group, contents in raw.items():
            if group not in ("all", "_meta"):
                for name in contents.get("hosts", ()):
                    groups[name].add(group)
        hosts = raw["_meta"]["hostvars"].items()
        dumped = tuple(_dumped_host(inventory, name, raw, groups[name]) for name, raw in hosts)
        return Dump(inventory, dumped, plain=json_is_surely_plain(answer.content))

    def created_at(self, host_ids: Collection[int]) -> dict[int, float]:
        """When each of these hosts was made, in epoch seconds by Tower's clock; those that are gone are left out."""
        return {
            raw["id"]: _epoch(raw["created"])
            for chunk in batched(sorted(host_ids), PAGE_SIZE)
            for raw in self._http.pages("hosts/", {"id__in": ",".join(map(str, chunk))})
        }

    # Hosts

    def hosts_named(self, inventory: Inventory, names: Collection[str]) -> list[Host]:
        """The hosts of an inventory that have one of these names."""
        return self._hosts(
            {"inventory": str(inventory.id), "name__in": ",".join(chunk)} for chunk in batched(names, NAMES_PER_QUERY)
        )

    def names_of_group(self, inventory: Inventory, group: str, names: Collection[str]) -> set[str]:
        """Those of the names that are an inventory's hosts whose marker names this Auto Scaling group.

        The text of our variables is searched for the marker as we write it. One that a person laid out anew is not
        found.
        """
        return {
            raw["name"]
            for chunk in batched(sorted(names), NAMES_PER_QUERY)
            for raw in self._http.pages(
                "hosts/",
                {"inventory": str(inventory.id), "name__in": ",".join(chunk), "variables__contains": _marked(group)},
            )
        }

    def hosts_of(self, instance_ids: Collection[str]) -> list[Host]:
        """Every host, in whatever inventory, whose name or instance_id is one of these.

        Hosts of smart and constructed inventories are left out: they only mirror those of ordinary ones.
        """
        return self._hosts(
            {"or__name__in": ",".join(chunk), "or__instance_id__in": ",".join(chunk)}
            for chunk in batched(instance_ids, NAMES_PER_QUERY // 2)
        )

    def hosts_at(self, inventory: Inventory, addresses: Collection[str]) -> list[Host]:
        """The hosts of an inventory whose ansible_host is one of these addresses, however a person laid it out.

        Not found: what a YAML alias or tag hides, and a host without ansible_host whose name is its address. The
        database searches the variables' text, 0.15 s for 100 addresses among 5,000 hosts on PostgreSQL 15; only hosts
        found cost Tower the 16 ms of a list's row. All Towers know the filter, and Python's and PostgreSQL's regular
        expressions agree on this one.
        """
        wanted = frozenset(addresses)
        found = self._hosts(
            {"inventory": str(inventory.id), "variables__regex": _connects_to(chunk)}
            for chunk in _fitting("|", [re.escape(each) for each in wanted])
        )
        by_id = {host.id: host for host in found if str(host.variables.get("ansible_host")) in wanted}
        return list(by_id.values())

    def _hosts(self, queries: Iterable[dict[str, str]]) -> list[Host]:
        return [
            self._host(raw)
            for query in queries
            for raw in self._http.pages("hosts/", query)
            if not raw["summary_fields"]["inventory"].get("kind")
        ]

    def _host(self, raw: Json) -> Host:
        groups = raw["summary_fields"].get("groups", {"count": -1, "results": []})
        return Host(
            id=raw["id"],
            name=raw["name"],
            inventory_id=raw["inventory"],
            inventory_name=raw["summary_fields"]["inventory"]["name"],
            instance_id=raw["instance_id"],
            variables=self._variables(raw),
            created_at=_epoch(raw["created"]),
            group_ids=(
                frozenset(group["id"] for group in groups["results"])
                if groups["count"] == len(groups["results"])
                else None
            ),
            description=raw.get("description", ""),
            enabled=raw.get("enabled", True),
        )

    def _variables(self, raw: Json) -> Mapping[str, object]:
        try:
            variables = json.loads(raw["variables"] or "{}")
        except ValueError:  # a person saved them as YAML; Tower parses that for us
            variables = self._http.get(f"hosts/{raw['id']}/variable_data/")
        return variables if isinstance(variables, dict) else {}

    def create_hosts(self, inventory: Inventory, hosts: Sequence[NewHost]) -> MadeHosts:
        """Make hosts, in bulk or one by one on servers without bulk calls, and say of each what came of it.

        What is wrong with one fails that one alone. Of more than a limit of the organization or the licence lets in the
        first ones are made, as many as fit; the others have HostLimitReached. What is about none of them in particular
        (TowerUnavailable, TowerDenied, an odd answer) is raised if nothing came of any, else it is the error of the
        rest.
        """
        return Making(self._http, inventory, lambda names: self.hosts_named(inventory, names)).make(hosts)

    def update_host(
        self,
        host_id: int,
        instance_id: str,
        variables: Mapping[str, object],
        *,
        enabled: bool | None = None,
        description: str | None = None,
    ) -> None:
        """Replace a host's variables and its instance_id, and where given whether jobs run on it and its description.

        TowerRejected also for what Tower could not store, before it is asked.
        """
        try:
            require_instance_id(instance_id)
            body: Json = {"variables": encoded(variables), "instance_id": instance_id}
            if enabled is not None:
                body["enabled"] = enabled
            if description is not None:
                require_text("description", description)
                body["description"] = description
        except TowerRejected as error:
            raise TowerRejected(f"host {host_id} is not changed: {error}") from error
        self._http.read(self._http.send("PATCH", f"hosts/{host_id}/", body))

    def delete_hosts(self, hosts: Sequence[Host | DumpedHost]) -> Mapping[int, Kept]:
        """Delete hosts, at most BULK_DELETE_MAX, also while jobs run on their inventories; why Tower keeps some, by id.

        That one is gone already is no error. A refusal for one inventory or one host keeps no other one.
        """
        return Deleting(self._http, self.created_at).delete(hosts)

    # Groups

    def group_ids(self, inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        """The ids of an inventory's groups by name; those missing are created.

        BadSettings for a name that a host of the inventory has: Tower makes no group of it, and Ansible would give the
        group what is the host's.
        """
        found = self.groups_named(inventory, names)
        for name in sorted(set(names) - found.keys()):
            answer = self._http.send("POST", "groups/", {"name": name, "inventory": inventory.id})
            if NAMED_LIKE_A_HOST in text_of(answer):
                raise BadSettings(
                    f"inventory {inventory.name!r} has a host {name!r}, so there can be no group of that name: rename "
                    "the host, or name another group in the tag rollcall:groups"
                )
            if not says_duplicate(answer):
                found[name] = int(self._http.read(answer)["id"])
        missing = set(names) - found.keys()
        return found | self.groups_named(inventory, missing) if missing else found

    def groups_named(self, inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        """The ids of an inventory's groups that have one of these names, by name."""
        # A term for each: a group's name may hold the comma that separates the names of a list.
        return {
            raw["name"]: raw["id"]
            for chunk in _fitting("or__name=", names)
            for raw in self._http.pages(
                "groups/", [("inventory", str(inventory.id)), *(("or__name", each) for each in chunk)]
            )
        }

    def add_to_group(self, group_id: int, host_id: int) -> None:
        """Put a host into a group; that it is there already is no error."""
        self._http.read(self._http.send("POST", f"groups/{group_id}/hosts/", {"id": host_id}))

    def take_out_of_group(self, group_id: int, host_id: int) -> None:
        """Take a host out of a group; that it is not there is no error."""
        self._http.read(self._http.send("POST", f"groups/{group_id}/hosts/", {"id": host_id, "disassociate": True}))

    def group_members(self, group_id: int, names: Collection[str]) -> set[str]:
        """Those of the names whose hosts are in a group."""
        return {
            raw["name"]
            for chunk in batched(names, NAMES_PER_QUERY)
            for raw in self._http.pages(f"groups/{group_id}/hosts/", {"name__in": ",".join(chunk)})
        }

    # Jobs

    def launch(self, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str]) -> int:
        """Launch a template on these hosts, as a run of the whole playbook where it lets us choose; the job's id.

        An answer that ignores a field, is no single job, or a job that is not as we wanted it, is cancelled at once and
        raises TowerRejected: such a job would run on other hosts too [320, 850], or prove nothing. BadLimit without
        a host, which Tower takes for every host [852], and for what is no instance's id.
        """
        wanted: Json = {"limit": limit_to(instance_ids), **WHOLE_RUN}
        asked = {
            "limit": True,
            "job_type": template.asks_job_type,
            "job_tags": template.asks_tags,
            "skip_tags": template.asks_skip_tags,
        }
        body = {name: value for name, value in wanted.items() if asked[name]}
        if template.asks_inventory:
            body["inventory"] = inventory.id
        launched = self._http.read(self._http.send("POST", f"job_templates/{template.id}/launch/", body))
        job = launched.get("job")
        wanted["inventory"] = inventory.id
        unlike = {name for name, value in wanted.items() if launched.get(name, value) != value}
        if job is None or launched.get("ignored_fields") or unlike - WHOLE_RUN.keys():
            ignored = sorted(launched.get("ignored_fields") or [])
            remedy = (
                f"ignored: {ignored}, other than wanted: {sorted(unlike)}): let it prompt for limit on launch, without "
                "slicing"
            )
            raise self._cancelled_at_once(template, launched, "did not keep to its limit", remedy)
        if unlike:
            remedy = f"other than wanted: {sorted(unlike)}): let it be of the job type 'Run', without tags"
            raise self._cancelled_at_once(template, launched, "did not run the whole of its playbook", remedy)
        return int(job)

    def _cancelled_at_once(self, template: JobTemplate, launched: Json, what: str, remedy: str) -> TowerRejected:
        """The error for a job that must not run, once it was cancelled if Tower lets it be."""
        kind = "jobs" if launched.get("type") == "job" else "workflow_jobs"
        try:
            self._http.read(self._http.send("POST", f"{kind}/{launched['id']}/cancel/", {}))
            cancelled = "was cancelled"
        except RollcallError as error:
            cancelled = f"COULD NOT BE CANCELLED ({error})"
        return TowerRejected(
            f"job template {template.name!r} {what} and {cancelled} ({kind} {launched['id']}, {remedy}"
        )

    def cancel(self, job_id: int) -> None:
        """Cancel a job; that it has ended already is no error.

        Whoever launched one may do so, and who has Admin on its template; CancelRefused names the user that it belongs
        to. Of an ended job superusers learn by a 405 [370], others by a 403, as of another's that is still active
        (AWX 24.6.1, awx/main/access.py, JobAccess.can_cancel); GET tells these two apart [371].
        """
        answer = self._http.send("POST", f"jobs/{job_id}/cancel/", {})
        if answer.status_code == NOT_ALLOWED:
            return
        if answer.status_code == FORBIDDEN:
            if not self._http.get(f"jobs/{job_id}/cancel/")["can_cancel"]:
                return
            owner = _owner(self._http.get(f"jobs/{job_id}/"))
            if owner != self.user().name:
                raise CancelRefused(job_id, owner)
        self._http.read(answer)

    def jobs(self, ids: Collection[int]) -> dict[int, Job]:
        """Jobs by id; those that Tower does not have are left out."""
        return {
            job.id: job
            for chunk in batched(sorted(ids), NAMES_PER_QUERY)
            for job in map(_job, self._http.pages("jobs/", {"id__in": ",".join(map(str, chunk))}))
        }

    def jobs_holding(self, kind: JobKind, instance_ids: Collection[str], since: float) -> list[Job]:
        """The jobs of a kind created since then (epoch seconds) that hold one of these hosts, the newest first.

        A limit holds the ids in it; a job that has ended also the hosts that it ran on, whatever its limit. Jobs in
        check mode change nothing on a host and are left out, as are those under other tags or on another inventory.
        """
        wanted = frozenset(instance_ids)
        found: dict[int, Json] = {}
        for chunk in batched(sorted(wanted), NEEDLES_PER_QUERY):
            query = [
                *_of_kind(kind),
                ("created__gte", _iso(since)),
                ("or__limit__regex", "|".join(re.escape(each[-NEEDLE:]) for each in chunk)),
                ("or__job_host_summaries__host_name__in", ",".join(chunk)),
            ]
            found |= {raw["id"]: raw for raw in self._http.pages(f"job_templates/{kind.template_id}/jobs/", query)}
        jobs = self._with_ran_on([_job(found[each]) for each in sorted(found, reverse=True)], found, wanted)
        return [job for job in jobs if job.hosts & wanted]

    def _with_ran_on(self, jobs: list[Job], raw: Mapping[int, Json], wanted: frozenset[str]) -> list[Job]:
        """The same; those that ended and whose limits do not name each of their hosts with the wanted ones it ran on.

        It is the newest job that decides. So the newest of them are asked for all wanted hosts, LIMITS_RESOLVED jobs;
        and older ones for those of which no job that ended is known yet, as long as there are any, in SUMMARY_CALLS
        calls at most. What ran only in older ones than these counts as without a job.
        """
        known: list[Job] = []
        missing, asked, calls = wanted, 0, 0
        for each in jobs:
            job = each
            if job.status.final and not _is_plain(raw[job.id]["limit"]):
                names = wanted if asked < LIMITS_RESOLVED else missing
                cost = math.ceil(len(names) / NAMES_PER_QUERY)
                if asked < LIMITS_RESOLVED or calls + cost <= SUMMARY_CALLS:
                    job = replace(job, hosts=job.hosts | self.summaries(job.id, names).keys())
                    asked, calls = asked + 1, calls + cost
            if job.status.final:
                missing -= job.hosts
            known.append(job)
        return known

    def has_reached(self, kind: JobKind, since: float, newest: int) -> bool:
        """Whether jobs of a kind reached any host: created since then (epoch seconds), and up to the job id newest.

        An unreachable host that the playbook ignores counts as ignored in a job's summaries, and not as unreachable. So
        does a failure on a host that was reached: a host of which something was ignored tells nothing here. Conditions
        on related rows are about one and the same row, unless they are chained (AWX's manual, filtering).
        """
        reached = [("job_host_summaries__dark", "0"), ("job_host_summaries__ignored", "0")]
        of_jobs = [("created__gte", _iso(since)), ("id__lte", str(newest)), ("page_size", "1")]
        query = [*_of_kind(kind), *reached, *of_jobs]
        return bool(self._http.get(f"job_templates/{kind.template_id}/jobs/", query)["count"])

    def jobs_unreached(self, kind: JobKind, since: float, count: int) -> list[Job]:
        """The jobs of a kind, created since then, that ended and may not have reached a host.

        First those with a host that was not reached, the newest first, at most count. Then as many in which something
        was ignored: that a host was not reached, perhaps.
        """
        ended = [*_of_kind(kind), ("created__gte", _iso(since)), ("status__in", "successful,failed")]
        found: dict[int, Job] = {}
        for what in ("dark", "ignored"):
            query = [*ended, (f"job_host_summaries__{what}__gte", "1")]
            for job in self._newest_jobs(kind.template_id, query, count):
                found.setdefault(job.id, job)
        return list(found.values())

    def names_without_host(self, job: Job) -> frozenset[str]:
        """The names of a job's hosts that are not in Tower any more: their summaries stay [810, 811]."""
        found = self._http.pages(f"jobs/{job.id}/job_host_summaries/", {"host__isnull": "true"})
        return frozenset(str(raw["host_name"]) for raw in found)

    def jobs_of_group_before(self, job: Job, group: str, count: int) -> list[Job]:
        """The ended jobs of a job's kind before it that may say something about an Auto Scaling group.

        Those that ran on hosts of the group, and those that failed on hosts that are gone by now, whosever they were.
        The newest first, at most count.
        """
        before = [*_of_kind(job.kind), ("id__lt", str(job.id))]
        of_the_group = [
            ("status__in", "successful,failed"),
            ("job_host_summaries__host__variables__contains", _marked(group)),
        ]
        of_gone_hosts = [("status", "failed"), ("job_host_summaries__host__isnull", "true")]
        found = {
            each.id: each
            for some in (of_the_group, of_gone_hosts)
            for each in self._newest_jobs(job.template_id, [*before, *some], count)
        }
        return [found[each] for each in sorted(found, reverse=True)][:count]

    def good_jobs(self, job: Job, count: int) -> list[Job]:
        """The newest successful jobs of a job's kind that ran the same playbook of the same revision, at most count."""
        query = [
            *_of_kind(job.kind),
            ("status", "successful"),
            ("playbook", job.playbook),
            ("scm_revision", job.scm_revision),
        ]
        return self._newest_jobs(job.template_id, query, count)

    def last_good_job(self, job: Job) -> Job | None:
        """The newest successful job of a job's kind that ran the same playbook, whatever its revision; None without."""
        query = [*_of_kind(job.kind), ("status", "successful"), ("playbook", job.playbook)]
        return next(iter(self._newest_jobs(job.template_id, query, 1)), None)

    def active_after(self, job: Job, count: int) -> list[Job]:
        """The newest jobs of a job's kind that were created after it and have not ended, at most count."""
        active = ",".join(each for each in JobStatus if not each.final)
        query = [*_of_kind(job.kind), ("id__gt", str(job.id)), ("status__in", active)]
        return self._newest_jobs(job.template_id, query, count)

    def _newest_jobs(self, template_id: int, query: list[tuple[str, str]], count: int) -> list[Job]:
        path = f"job_templates/{template_id}/jobs/"
        found = self._http.get(path, [*query, ("order_by", "-id"), ("page_size", str(count))])["results"]
        return [_job(raw) for raw in found]

    def usual_durations(self, kind: JobKind) -> tuple[float, ...]:
        """Seconds that the last successful jobs of a kind took, the shortest first.

        Remembered for a minute; a kind without any is asked for again.
        """
        return self._durations.get(kind, lambda: self._usual_durations(kind)) or ()

    def _usual_durations(self, kind: JobKind) -> tuple[float, ...] | None:
        query = [*_of_kind(kind), ("status", "successful"), ("order_by", "-finished"), ("page_size", "5")]
        jobs = self._http.get(f"job_templates/{kind.template_id}/jobs/", query)["results"]
        return tuple(sorted(raw["elapsed"] for raw in jobs)) or None

    # What a job showed

    def has_all_events(self, job_id: int) -> bool:
        """Whether Tower has processed the events of a job, which takes it up to a minute after its end [802, 625]."""
        return bool(self._http.get(f"jobs/{job_id}/")["event_processing_finished"])

    def summaries(self, job_id: int, names: Collection[str]) -> dict[str, HostSummary]:
        """What became of those of these hosts that a job ran on, by name. To list them takes Tower 16 ms a host."""
        return {
            str(raw["host_name"]): HostSummary(int(raw["failures"]), int(raw["dark"]), int(raw.get("ignored", 0)))
            for chunk in batched(sorted(names), NAMES_PER_QUERY)
            for raw in self._http.pages(f"jobs/{job_id}/job_host_summaries/", {"host_name__in": ",".join(chunk)})
        }

    def count_well(self, job_id: int, names: Collection[str], *, ignoring: bool) -> int:
        """On how many of these hosts a job met no failure and reached them; counted, and not listed.

        ignoring: also those on which it met what its playbook ignores.
        """
        well = {"failed": "false", "dark": "0", "page_size": "1"} | ({} if ignoring else {"ignored": "0"})
        return sum(
            self._http.get(f"jobs/{job_id}/job_host_summaries/", well | {"host_name__in": ",".join(chunk)})["count"]
            for chunk in batched(sorted(names), NAMES_PER_QUERY)
        )

    def ran_on_some(self, job_id: int) -> bool:
        """Whether a job has a summary of any host: its limit matched one, and Ansible itself came to an end [813]."""
        return bool(self._http.get(f"jobs/{job_id}/job_host_summaries/", {"page_size": "1"})["count"])

    def events(
        self, job_id: int, kinds: Collection[str], at_most: int, hosts: Collection[str] = ()
    ) -> list[JobEvent] | None:
        """A job's events of these kinds, of these hosts or of all; None where there are more than at_most."""
        found: list[JobEvent] = []
        for query in _events_query(kinds, hosts):
            path, number = f"jobs/{job_id}/job_events/", 1
            while True:
                page = self._http.get(path, [*query, ("page_size", str(PAGE_SIZE)), ("page", str(number))])
                if len(found) + page["count"] - PAGE_SIZE * (number - 1) > at_most:
                    return None
                found += map(read_event, page["results"])
                if not page["next"]:
                    break
                number += 1
        return found

    def last_events(
        self, job_id: int, count: int, kinds: Collection[str] = (), hosts: Collection[str] = ()
    ) -> list[JobEvent]:
        """A job's newest events, the newest first, at most count (200) for each 150 hosts."""
        return [
            read_event(raw)
            for query in _events_query(kinds, hosts, "-counter")
            for raw in self._http.get(f"jobs/{job_id}/job_events/", [*query, ("page_size", str(count))])["results"]
        ]


def _fitting(before: str, texts: Collection[str]) -> Iterator[tuple[str, ...]]:
    """The texts, in an order of their own, in chunks that a URL has room for with that before each."""
    ordered = sorted(texts)
    longest = max((len(quote(f"{before}&{each}")) for each in ordered), default=1)
    return batched(ordered, max(1, TERMS_LENGTH // longest))


def _connects_to(alternatives: Iterable[str]) -> str:
    """What the text of variables looks like, in JSON or YAML, that set ansible_host to one of these."""
    return rf"""ansible_host["']?\s*:\s*["']?({"|".join(alternatives)})(["'\s,}}]|$)"""


def _dumped_host(inventory: Inventory, name: str, raw: Json, groups: set[str]) -> DumpedHost:
    return DumpedHost(
        id=raw["remote_tower_id"],
        name=name,
        inventory_id=inventory.id,
        inventory_name=inventory.name,
        enabled=raw["remote_tower_enabled"] == "true",
        variables={key: value for key, value in raw.items() if key not in TOWERS_OWN},
        groups=frozenset(groups),
    )


def _marked(group: str) -> str:
    """The text of our variables on the hosts of an Auto Scaling group."""
    return f'"{MARKER}": {json.dumps({"group": group})[:-1]},'


def _iso(moment: float) -> str:
    """Epoch seconds as Tower writes a time."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _number_in(reference: str) -> int | None:
    """The id that a reference is or may be."""
    digits = reference.removeprefix(ID_PREFIX)
    return int(digits) if re.fullmatch("[1-9][0-9]{0,9}", digits) and int(digits) <= ID_MAX else None


def _names_in(reference: str) -> list[str]:
    """The names that a reference can mean: all of it, and what follows each slash."""
    places = [place for place, sign in enumerate(reference) if sign == "/"]
    return [name for name in (reference, *(reference[place + 1 :] for place in places)) if name]


def _capability(raw: Json, name: str) -> bool:
    return bool(raw["summary_fields"].get("user_capabilities", {}).get(name))


def _organization(raw: Json) -> str:
    return str(raw["summary_fields"].get("organization", {}).get("name", "(no organization)"))


def _owner(raw: Json) -> str:
    """The user that launched a job; what else did, where none did."""
    user = raw["summary_fields"].get("created_by") or {}
    return str(user.get("username") or (raw.get("launched_by") or {}).get("name") or "(unknown)")


def _inventory(raw: Json) -> Inventory:
    if raw.get("kind"):
        raise BadSettings(f"inventory {raw['name']!r} is {raw['kind']} and cannot hold hosts of its own: name another")
    return Inventory(raw["id"], raw["name"], _organization(raw))


def _job_template(raw: Json) -> JobTemplate:
    return JobTemplate(
        id=raw["id"],
        name=raw["name"],
        inventory_id=raw["inventory"],
        asks_limit=raw["ask_limit_on_launch"],
        asks_inventory=raw["ask_inventory_on_launch"],
        slices=raw.get("job_slice_count") or 1,
        job_type=raw.get("job_type", "run"),
        tags=raw.get("job_tags", ""),
        skip_tags=raw.get("skip_tags", ""),
        asks_job_type=raw.get("ask_job_type_on_launch", False),
        asks_tags=raw.get("ask_tags_on_launch", False),
        asks_skip_tags=raw.get("ask_skip_tags_on_launch", False),
    )


def _job(raw: Json) -> Job:
    try:
        status = JobStatus(raw["status"])
    except ValueError as error:
        raise TowerRejected(f"job {raw['id']} has a status we do not know: {raw['status']!r}") from error
    return Job(
        id=raw["id"],
        template_id=raw["unified_job_template"],
        status=status,
        hosts=_named(raw["limit"]),
        created_at=_epoch(raw["created"]),
        started_at=_epoch(raw["started"]) if raw["started"] else None,
        finished_at=_epoch(raw["finished"]) if raw["finished"] else None,
        explanation=raw["job_explanation"],
        inventory_id=raw["inventory"],
        is_whole={name: raw[name] for name in WHOLE_RUN} == WHOLE_RUN,
        is_limited_to_ids=_is_plain(raw["limit"]),
        playbook=str(raw["playbook"]),
        scm_revision=str(raw["scm_revision"]),
        launched_by=_owner(raw),
    )


def _of_kind(kind: JobKind) -> list[tuple[str, str]]:
    """The query for whole runs of a kind. An empty filter is one: Tower compares with it."""
    return [("inventory", str(kind.inventory_id)), *WHOLE_RUN.items()]


def _events_query(kinds: Collection[str], hosts: Collection[str], order: str = "counter") -> list[Query]:
    """The queries for events of these kinds and hosts, each of all where there are none."""
    common = [("order_by", order), *([("event__in", ",".join(kinds))] if kinds else [])]
    if not hosts:
        return [common]
    return [[*common, ("host_name__in", ",".join(chunk))] for chunk in batched(sorted(hosts), NAMES_PER_QUERY)]


def _words(limit: str) -> list[str]:
    """What a limit is made of: Ansible separates its patterns by commas, colons and blanks."""
    return [word for word in re.split(r"[,:\s]+", limit) if word]


def _named(limit: str) -> frozenset[str]:
    """The instance ids that a limit names, and does not exclude. Patterns and groups name none."""
    words = _words(limit)
    return frozenset(filter(INSTANCE_ID.fullmatch, words)) - {word[1:] for word in words if word.startswith("!")}


def _is_plain(limit: str) -> bool:
    """Whether a limit is nothing but instance ids: then a job runs on no other host."""
    words = _words(limit)
    return bool(words) and all(map(INSTANCE_ID.fullmatch, words))


def read_event(raw: Json) -> JobEvent:
    """An event as Tower lists it; what ansible-runner reports of it is in event_data."""
    data = raw.get("event_data") or {}
    result = data.get("res")
    return JobEvent(
        counter=int(raw["counter"]),
        kind=str(raw["event"]),
        host=str(raw.get("host_name") or ""),
        task=str(raw.get("task") or ""),
        path=BEFORE_PROJECT.sub("", data.get("task_path") or ""),
        action=OF_ANSIBLE.sub("", data.get("task_action") or ""),
        play=str(data.get("play_uuid") or ""),
        task_id=str(data.get("task_uuid") or ""),
        at=_epoch(raw["created"]),
        is_handler=bool(data.get("is_conditional")),
        handler=str(data.get("handler") or ""),
        ignored=bool(data.get("ignore_errors")),
        delegated=isinstance(result, dict) and bool(result.get("_ansible_delegated_vars")),
    )
