"""The Tower REST API (AWX, Tower, AAP controller), as much of it as we use.

Raw JSON comes in here and frozen dataclasses go out; every answer that is not a success becomes an error of our
taxonomy with the server's own words in it. What the server does was observed on AWX 24.6.1; numbers in brackets name
its recorded exchanges in tests/contract/recordings.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from typing import TYPE_CHECKING
from urllib.parse import quote

from .connection import PAGE_SIZE, Connection
from .errors import BadSettings, RollcallError, TowerDenied, TowerRejected
from .expiring import Expiring
from .model import (
    BulkLimits,
    Dump,
    DumpedHost,
    Host,
    Inventory,
    Job,
    JobStatus,
    JobTemplate,
    LaunchTerms,
    Outcome,
    TowerUser,
)
from .transport import FORBIDDEN, NOT_FOUND, object_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import requests

    from .connection import Credentials
    from .transport import Exchange, Json

NAMES_PER_QUERY = 150  # instance ids that stay under the 4 kB of URL that every proxy lets through
BULK_CREATE_MAX = 100  # BULK_HOST_MAX_CREATE, the server's default
BULK_DELETE_MAX = 250  # BULK_HOST_MAX_DELETE, the server's default
NEEDLES_PER_QUERY = 100  # ends of instance ids, likewise
TERMS_LENGTH = 3600  # characters of a URL for what is looked for, likewise: 130 IPv4 addresses, 40 long names
NEEDLE = 8  # last characters of an instance id: enough to find few others, short enough for many in a query
REFERENCES_TTL = 60.0  # seconds that inventories, templates and their usual durations are remembered
MARKER = "rollcall"  # the variable that makes a host ours
TOWERS_OWN = ("remote_host_enabled", "remote_host_id", "remote_tower_enabled", "remote_tower_id")  # in a dump [700]
TOO_MANY_CREATED = "BULK_HOST_MAX_CREATE"  # in the answer of a server with a lower limit [210]
TOO_MANY_DELETED = "BULK_HOST_MAX_DELETE"  # likewise [225]
FAILURE_EVENTS = ("runner_on_failed", "runner_on_unreachable")
NOT_ALLOWED = 405
TASK_STARTED = "playbook_on_task_start"  # handlers do not count: force_handlers runs them after a cut too


@dataclass(frozen=True)
class NewHost:
    """A host to be created; named after its instance."""

    instance_id: str
    variables: Mapping[str, object]
    description: str = ""
    enabled: bool = True


class HostsExist(Exception):
    """Some of the hosts exist already. created: the ids, by instance id, of those that were made before that showed."""

    def __init__(self, created: Mapping[str, int]) -> None:
        super().__init__()
        self.created = created


class HostsVanished(Exception):
    """Some of the hosts are gone already, so none was deleted."""


class DeleteRefused(TowerDenied):
    """The token may not delete from some inventories, so nothing was deleted."""

    def __init__(self, message: str, inventories: frozenset[str]) -> None:
        super().__init__(message)
        self.inventories = inventories


class Tower:
    """One Tower, spoken to through one kept-alive session.

    credentials(refresh) gives the token; with refresh=True it must be read afresh. The methods raise TowerUnavailable,
    TowerDenied or TowerRejected, and what they add to that they name.
    """

    def __init__(self, url: str, credentials: Callable[[bool], Credentials]) -> None:
        self._http = Connection(url, credentials)
        self._inventories: Expiring[str, Inventory] = Expiring(REFERENCES_TTL)
        self._templates: Expiring[str, JobTemplate] = Expiring(REFERENCES_TTL)
        self._durations: Expiring[int, tuple[float, ...] | None] = Expiring(REFERENCES_TTL)

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
        """Tower's own clock, in epoch seconds: the Date of its latest answer, carried on."""
        return self._http.now()

    # Inventories and templates

    def inventory(self, reference: str) -> Inventory:
        """The inventory of a name, org/name or id, remembered for a minute. BadSettings if there is none, or two."""
        return self._inventories.get(
            reference,
            lambda: _inventory(self._referenced("inventories", "inventory", reference)),
        )

    def job_template(self, reference: str) -> JobTemplate:
        """The job template of a name, org/name or id, remembered for a minute. BadSettings if there is none, or two."""
        return self._templates.get(
            reference,
            lambda: _job_template(self._referenced("job_templates", "job template", reference)),
        )

    def _referenced(self, collection: str, kind: str, reference: str) -> Json:
        if reference.isdigit():
            answer = self._http.send("GET", f"{collection}/{reference}/")
            if answer.status_code == NOT_FOUND and object_of(answer):
                raise BadSettings(f"Tower has no {kind} with id {reference} that the token can read: correct the id")
            return self._http.read(answer)
        found = self._named(collection, reference)
        if not found:
            raise BadSettings(
                f"Tower has no {kind} {reference!r} that the token can read: correct the name, create it, or grant its "
                "role"
            )
        if len(found) > 1:
            names = " and ".join(f"{_organization(each)}/{each['name']} (id {each['id']})" for each in found[:2])
            raise BadSettings(f"{kind} {reference!r} is ambiguous: {names}; name it org/name or by its id")
        return found[0]

    def _named(self, collection: str, reference: str) -> list[Json]:
        found = list(self._http.pages(f"{collection}/", {"name": reference}))
        organization, slash, name = reference.partition("/")
        if slash and not found:
            found = list(self._http.pages(f"{collection}/", {"organization__name": organization, "name": name}))
        return found

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

    def launch_terms(self, template: JobTemplate) -> LaunchTerms:
        """How a template may be launched."""
        raw = self._http.get(f"job_templates/{template.id}/")
        startable, simultaneous = _capability(raw, "start"), bool(raw.get("allow_simultaneous"))
        if not startable:
            return LaunchTerms(startable, simultaneous)
        asked = self._http.get(f"job_templates/{template.id}/launch/")
        needed = [
            *(f"an answer to the survey's question {each!r}" for each in asked.get("variables_needed_to_start", ())),
            *(f"the password {each}" for each in asked.get("passwords_needed_to_start", ())),
            *(["a credential"] if asked.get("credential_needed_to_start") else []),
        ]
        return LaunchTerms(startable, simultaneous, tuple(needed))

    # Whole inventories

    def marked_inventories(self) -> list[Inventory]:
        """Every inventory that holds a host with a marker, this installation's or another's [870]."""
        found = self._http.pages("inventories/", {"hosts__variables__contains": MARKER})
        return [Inventory(raw["id"], raw["name"]) for raw in found if not raw.get("kind")]

    def dump(self, inventory: Inventory) -> Dump:
        """A whole inventory in one call, hosts that are disabled too [700]."""
        raw = self._http.get(f"inventories/{inventory.id}/script/", {"hostvars": "1", "all": "1", "towervars": "1"})
        groups: defaultdict[str, set[str]] = defaultdict(set)
        for group, contents in raw.items():
            if group not in ("all", "_meta"):
                for name in contents.get("hosts", ()):
                    groups[name].add(group)
        hosts = raw["_meta"]["hostvars"].items()
        return Dump(inventory, tuple(_dumped_host(inventory, name, raw, groups[name]) for name, raw in hosts))

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

    def create_hosts(self, inventory: Inventory, hosts: Sequence[NewHost]) -> dict[str, int]:
        """Create hosts in bulk, or one by one on servers without bulk calls; the ids by instance id.

        Raises HostsExist if one of them exists; then look again.
        """
        created: dict[str, int] = {}
        for chunk in batched(hosts, BULK_CREATE_MAX):
            self._create_chunk(inventory, chunk, created)
        return created

    def _create_chunk(self, inventory: Inventory, hosts: Sequence[NewHost], created: dict[str, int]) -> None:
        body = {"inventory": inventory.id, "hosts": [_new_host(host) for host in hosts]}
        answer = self._http.send("POST", "bulk/host_create/", body)
        if answer.status_code == NOT_FOUND:
            for host in hosts:
                self._create_one(inventory, host, created)
            return
        if TOO_MANY_CREATED in answer.text and len(hosts) > 1:
            half = len(hosts) // 2
            self._create_chunk(inventory, hosts[:half], created)
            self._create_chunk(inventory, hosts[half:], created)
            return
        if "lack permissions" in answer.text:  # 400 rather than 403 [407]
            raise TowerDenied(f"Tower lets the token add no hosts to inventory {inventory.name!r}: {words_of(answer)}")
        if _says_duplicate(answer):
            raise HostsExist(created)
        created.update((host["name"], host["id"]) for host in self._http.read(answer)["hosts"])

    def _create_one(self, inventory: Inventory, host: NewHost, created: dict[str, int]) -> None:
        answer = self._http.send("POST", "hosts/", {"inventory": inventory.id} | _new_host(host))
        if _says_duplicate(answer):
            raise HostsExist(created)
        created[host.instance_id] = self._http.read(answer)["id"]

    def update_host(self, host_id: int, instance_id: str, variables: Mapping[str, object]) -> None:
        """Replace a host's variables and its instance_id."""
        self._http.read(
            self._http.send(
                "PATCH", f"hosts/{host_id}/", {"variables": json.dumps(variables), "instance_id": instance_id}
            )
        )

    def delete_hosts(self, hosts: Sequence[Host | DumpedHost]) -> None:
        """Delete hosts, at most BULK_DELETE_MAX, also while jobs run on their inventories.

        Raises HostsVanished if one is gone already, DeleteRefused naming the inventories if the token may not. Then
        look again: a server with bulk calls has deleted none of the call's hosts, another one some.
        """
        answer = self._http.send("POST", "bulk/host_delete/", {"hosts": [host.id for host in hosts]})
        if answer.status_code == NOT_FOUND:
            for host in hosts:
                self._disassociate(host)
            return
        if answer.status_code == FORBIDDEN:
            inventories = (object_of(answer) or {}).get("inventories", {})
            raise DeleteRefused(self._http.denied(answer), frozenset(inventories))
        if TOO_MANY_DELETED in answer.text and len(hosts) > 1:
            half = len(hosts) // 2
            self.delete_hosts(hosts[:half])
            self.delete_hosts(hosts[half:])
            return
        if answer.status_code == 400 and "do not exist" in answer.text:
            raise HostsVanished
        self._http.read(answer)

    def _disassociate(self, host: Host | DumpedHost) -> None:
        """Deletes a host the way that running jobs do not stop [862] and that old servers know."""
        answer = self._http.send(
            "POST", f"inventories/{host.inventory_id}/hosts/", {"id": host.id, "disassociate": True}
        )
        if answer.status_code == FORBIDDEN:
            raise DeleteRefused(self._http.denied(answer), frozenset({host.inventory_name}))
        if answer.status_code in (400, NOT_FOUND):
            raise HostsVanished
        self._http.read(answer)

    # Groups

    def group_ids(self, inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        """The ids of an inventory's groups by name; those missing are created."""
        found = self.groups_named(inventory, names)
        for name in sorted(set(names) - found.keys()):
            answer = self._http.send("POST", "groups/", {"name": name, "inventory": inventory.id})
            if not _says_duplicate(answer):
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
        """Launch a template limited to these hosts; the job's id.

        An answer that ignores a field or is no single job is cancelled at once and raises TowerRejected: such a job
        would run on other hosts too [320, 850]. ValueError for an empty limit, which Tower takes for every host [852].
        """
        if not instance_ids:
            raise ValueError("a job is never launched without a limit")
        body: Json = {"limit": ",".join(instance_ids)}
        if template.asks_inventory:
            body["inventory"] = inventory.id
        launched = self._http.read(self._http.send("POST", f"job_templates/{template.id}/launch/", body))
        job = launched.get("job")
        if job is None or launched.get("ignored_fields"):
            kind = "jobs" if launched.get("type") == "job" else "workflow_jobs"
            try:
                self._http.read(self._http.send("POST", f"{kind}/{launched['id']}/cancel/", {}))
                cancelled = "was cancelled"
            except RollcallError as error:
                cancelled = f"COULD NOT BE CANCELLED ({error})"
            raise TowerRejected(
                f"job template {template.name!r} did not keep to its limit and {cancelled} "
                f"({kind} {launched['id']}, ignored: {sorted(launched.get('ignored_fields') or [])}): "
                "let it prompt for limit on launch, without slicing"
            )
        return int(job)

    def cancel(self, job_id: int) -> None:
        """Cancel a job; that it has ended already is no error [370]. Whoever launched one may do so."""
        answer = self._http.send("POST", f"jobs/{job_id}/cancel/", {})
        if answer.status_code != NOT_ALLOWED:
            self._http.read(answer)

    def jobs(self, ids: Collection[int]) -> dict[int, Job]:
        """Jobs by id; those that Tower does not have are left out."""
        return {
            job.id: job
            for chunk in batched(sorted(ids), NAMES_PER_QUERY)
            for job in map(_job, self._http.pages("jobs/", {"id__in": ",".join(map(str, chunk))}))
        }

    def jobs_holding(self, template_id: int, instance_ids: Collection[str], since: float) -> list[Job]:
        """A template's jobs created since then (epoch seconds) whose limit holds one of these hosts, newest first.

        Jobs in check mode change nothing on a host and are left out.
        """
        wanted = frozenset(instance_ids)
        created = datetime.fromtimestamp(since, UTC).isoformat().replace("+00:00", "Z")
        found = {
            raw["id"]: _job(raw)
            for chunk in batched(sorted(wanted), NEEDLES_PER_QUERY)
            for raw in self._http.pages(
                f"job_templates/{template_id}/jobs/",
                [("created__gte", created), *(("or__limit__contains", each[-NEEDLE:]) for each in chunk)],
            )
            if raw["job_type"] == "run"
        }
        return [found[each] for each in sorted(found, reverse=True) if found[each].hosts & wanted]

    def jobs_before(self, job: Job, inventory_id: int, count: int) -> list[Job]:
        """The template's last ended jobs on an inventory before this one, newest first, at most count."""
        query = {
            "inventory": str(inventory_id),
            "id__lt": str(job.id),
            "status__in": "successful,failed",
            "order_by": "-id",
            "page_size": str(count),
        }
        return [_job(raw) for raw in self._http.get(f"job_templates/{job.template_id}/jobs/", query)["results"]]

    def outcomes(self, job: Job) -> dict[str, Outcome] | None:
        """What an ended job showed about each of its hosts by name; None while Tower still processes its events [802].

        A job that ended by its own timeout, by an error of Tower's or by being cancelled proves nothing for anyone.
        """
        if not self._http.get(f"jobs/{job.id}/")["event_processing_finished"]:
            return None
        if job.status in (JobStatus.ERROR, JobStatus.CANCELED) or job.explanation:
            return dict.fromkeys(job.hosts, Outcome.UNPROVEN)
        if job.status == JobStatus.SUCCESSFUL and self._went_well(job):
            return dict.fromkeys(job.hosts, Outcome.OK)
        summaries = {raw["host_name"]: raw for raw in self._http.pages(f"jobs/{job.id}/job_host_summaries/", {})}
        cut_short = job.status == JobStatus.FAILED and self._was_cut_short(job)
        return {host: _outcome(summaries.get(host), cut_short=cut_short) for host in job.hosts}

    def _went_well(self, job: Job) -> bool:
        """Whether every host has a summary without a failure: counted, for to list them takes Tower 16 ms a host."""
        well = {"failed": "false", "dark": "0", "page_size": "1"}
        counts: list[int] = [
            self._http.get(f"jobs/{job.id}/job_host_summaries/", well | {"host_name__in": ",".join(chunk)})["count"]
            for chunk in batched(sorted(job.hosts), NAMES_PER_QUERY)
        ]
        return sum(counts) == len(job.hosts)

    def _was_cut_short(self, job: Job) -> bool:
        """Whether the play of a failed job ended for everybody at somebody's failure.

        It says so itself [833], but not where any_errors_fatal ended it from ansible-core 2.17 on. So a last failure
        after which no task started counts too: at worst the others run once more, without the host that failed.
        """
        events = f"jobs/{job.id}/job_events/"
        if self._http.get(events, {"event": "playbook_on_no_hosts_remaining", "page_size": "1"})["count"]:
            return True
        failures = {"event__in": ",".join(FAILURE_EVENTS), "order_by": "-counter", "page_size": "1"}
        last = self._http.get(events, failures)["results"]
        if not last:
            return False
        later = {"event": TASK_STARTED, "counter__gt": str(last[0]["counter"]), "page_size": "1"}
        return not self._http.get(events, later)["count"]

    def usual_durations(self, template_id: int) -> tuple[float, ...]:
        """Seconds that a template's last successful jobs took, the shortest first.

        Remembered for a minute; a template without any is asked again.
        """
        return self._durations.get(template_id, lambda: self._usual_durations(template_id)) or ()

    def _usual_durations(self, template_id: int) -> tuple[float, ...] | None:
        query = {"status": "successful", "job_type": "run", "order_by": "-finished", "page_size": "5"}
        jobs = self._http.get(f"job_templates/{template_id}/jobs/", query)["results"]
        return tuple(sorted(raw["elapsed"] for raw in jobs)) or None


def _says_duplicate(answer: requests.Response) -> bool:
    """Whether a create failed on a name that exists: found by the check [031, 204], or lost in a race [450, 453]."""
    return answer.status_code == 400 and any(
        words in answer.text for words in ("already exists", "Duplicates found", "duplicate key value")
    )


def _fitting(before: str, texts: Collection[str]) -> Iterator[tuple[str, ...]]:
    """The texts, in an order of their own, in chunks that a URL has room for with that before each."""
    ordered = sorted(texts)
    longest = max((len(quote(f"{before}&{each}")) for each in ordered), default=1)
    return batched(ordered, max(1, TERMS_LENGTH // longest))


def _connects_to(alternatives: Iterable[str]) -> str:
    """What the text of variables looks like, in JSON or YAML, that set ansible_host to one of these."""
    return rf"""ansible_host["']?\s*:\s*["']?({"|".join(alternatives)})(["'\s,}}]|$)"""


def _new_host(host: NewHost) -> Json:
    return {
        "name": host.instance_id,
        "instance_id": host.instance_id,
        "variables": json.dumps(host.variables),
        "description": host.description,
        "enabled": host.enabled,
    }


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


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _capability(raw: Json, name: str) -> bool:
    return bool(raw["summary_fields"].get("user_capabilities", {}).get(name))


def _organization(raw: Json) -> str:
    return str(raw["summary_fields"].get("organization", {}).get("name", "(no organization)"))


def _inventory(raw: Json) -> Inventory:
    if raw.get("kind"):
        raise BadSettings(f"inventory {raw['name']!r} is {raw['kind']} and cannot hold hosts of its own: name another")
    return Inventory(raw["id"], raw["name"])


def _job_template(raw: Json) -> JobTemplate:
    return JobTemplate(
        id=raw["id"],
        name=raw["name"],
        inventory_id=raw["inventory"],
        asks_limit=raw["ask_limit_on_launch"],
        asks_inventory=raw["ask_inventory_on_launch"],
        slices=raw.get("job_slice_count") or 1,
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
        hosts=frozenset(raw["limit"].split(",")) - {""},
        created_at=_epoch(raw["created"]),
        started_at=_epoch(raw["started"]) if raw["started"] else None,
        finished_at=_epoch(raw["finished"]) if raw["finished"] else None,
        explanation=raw["job_explanation"],
    )


def _outcome(summary: Json | None, *, cut_short: bool) -> Outcome:
    """What a host's summary shows: without one it was not provisioned [813], in a play cut short nothing [830]."""
    if summary is None:
        return Outcome.CUT_SHORT if cut_short else Outcome.UNPROVEN
    if summary["dark"]:
        return Outcome.UNREACHABLE
    if summary["failed"]:
        return Outcome.FAILED
    return Outcome.CUT_SHORT if cut_short else Outcome.OK
