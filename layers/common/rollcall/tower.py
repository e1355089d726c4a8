"""The Tower REST API (AWX, Tower, AAP controller), as much of it as we use.

Raw JSON comes in here and frozen dataclasses go out; every answer that is not a success becomes an error of our
taxonomy with the server's own words in it. What the server does was observed on AWX 24.6.1; numbers in brackets name
its recorded exchanges in tests/contract/recordings.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from itertools import batched
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from .errors import BadSettings, TowerDenied, TowerRejected, TowerUnavailable
from .expiring import Expiring
from .model import Host, Inventory, Job, JobStatus, JobTemplate, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

type Json = dict[str, Any]

DEFAULT_API_ROOT = "/api/v2/"  # AWX, Tower 3.x and AAP up to 2.4; AAP 2.5+ has /api/controller/v2/
CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 20.0  # seconds; a bulk delete of 250 hosts takes about five on a small server
TRIES = 3  # of a call that is safe to repeat
RETRY_AFTER_MAX = 5  # seconds; beyond that the queue waits better than a running function
DEADLINE_MARGIN = 15.0  # seconds kept back at the end of an invocation for heartbeats and put-offs
PAGE_SIZE = 200  # the server's maximum
NAMES_PER_QUERY = 75  # two lists of 75 instance ids stay under the 4 kB that every proxy lets through
BULK_CREATE_MAX = 100  # BULK_HOST_MAX_CREATE, the server's default
BULK_DELETE_MAX = 250  # BULK_HOST_MAX_DELETE, the server's default
CONNECTIONS = 8  # kept alive per invocation
REFERENCES_TTL = 60.0  # seconds that inventories and templates are remembered
USUAL_DURATION_TTL = 300.0  # seconds
TOO_MANY_CREATED = "BULK_HOST_MAX_CREATE"  # in the answer of a server with a lower limit [210]
TOO_MANY_DELETED = "BULK_HOST_MAX_DELETE"  # likewise [225]
FAILURE_EVENTS = ("runner_on_failed", "runner_on_unreachable")
TASK_EVENTS = ("playbook_on_task_start", "playbook_on_handler_task_start")
HTTP_OK = range(200, 300)
HTTP_REDIRECT = range(300, 400)
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY_REQUESTS, SERVER_ERROR = 401, 403, 404, 429, 500
GATEWAY_BUSY = (TOO_MANY_REQUESTS, 502, 503, 504)


@dataclass(frozen=True)
class Credentials:
    """A bearer token, and the certificate authorities (PEM) to trust instead of the public ones, if any."""

    token: str
    ca_bundle: str | None = None


@dataclass(frozen=True)
class NewHost:
    """A host to be created; named after its instance."""

    instance_id: str
    variables: Mapping[str, object]


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


def api_root(url: str) -> str:
    """The API root of a Tower URL, ending in a slash; a URL without a path gets the usual one.

    Raises BadSettings for anything but https (plain http is allowed to this machine only).
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadSettings(f"Tower URL {url!r} is not a URL: {error}") from error
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise BadSettings(f"Tower URL {url!r} is not a URL: use https://HOST or https://HOST/api/controller/v2/")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise BadSettings(f"Tower URL {url!r} would send the token in clear text: use https://")
    path = parts.path.strip("/")
    return f"{parts.scheme}://{parts.netloc}/{path}/" if path else f"{parts.scheme}://{parts.netloc}{DEFAULT_API_ROOT}"


class Tower:
    """One Tower, spoken to through one kept-alive session.

    credentials(refresh) gives the token; with refresh=True it must be read afresh. The methods raise TowerUnavailable,
    TowerDenied or TowerRejected, and what they add to that they name.
    """

    def __init__(self, url: str, credentials: Callable[[bool], Credentials]) -> None:
        self.root = api_root(url)
        self._credentials = credentials
        self._session: requests.Session | None = None
        self._connecting = Lock()
        self._clock_offset = 0.0
        self._deadline = float("inf")
        self._inventories: Expiring[str, Inventory] = Expiring(REFERENCES_TTL)
        self._templates: Expiring[str, JobTemplate] = Expiring(REFERENCES_TTL)
        self._durations: Expiring[int, float | None] = Expiring(USUAL_DURATION_TTL)

    def finish_within(self, seconds: float) -> None:
        """Bound what follows to the seconds left in this invocation; calls beyond that raise TowerUnavailable."""
        self._deadline = time.monotonic() + seconds - DEADLINE_MARGIN

    def now(self) -> float:
        """Tower's own clock, in epoch seconds: the Date of its latest answer, carried on."""
        return time.time() + self._clock_offset

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
            answer = self._send("GET", f"{collection}/{reference}/")
            if answer.status_code == NOT_FOUND and _object(answer):
                raise BadSettings(f"Tower has no {kind} with id {reference} that the token can read")
            return self._json(answer)
        found = self._named(collection, reference)
        if not found:
            raise BadSettings(
                f"Tower has no {kind} {reference!r} that the token can read: create it, or grant its role"
            )
        if len(found) > 1:
            names = " and ".join(f"{_organization(each)}/{each['name']} (id {each['id']})" for each in found[:2])
            raise BadSettings(f"{kind} {reference!r} is ambiguous: {names}; name it org/name or by its id")
        return found[0]

    def _named(self, collection: str, reference: str) -> list[Json]:
        found = list(self._pages(f"{collection}/", {"name": reference}))
        organization, slash, name = reference.partition("/")
        if slash and not found:
            found = list(self._pages(f"{collection}/", {"organization__name": organization, "name": name}))
        return found

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
            for chunk in batched(instance_ids, NAMES_PER_QUERY)
        )

    def _hosts(self, queries: Iterable[dict[str, str]]) -> list[Host]:
        return [
            self._host(raw)
            for query in queries
            for raw in self._pages("hosts/", query)
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
        )

    def _variables(self, raw: Json) -> Mapping[str, object]:
        try:
            variables = json.loads(raw["variables"] or "{}")
        except ValueError:  # a person saved them as YAML; Tower parses that for us
            variables = self._get(f"hosts/{raw['id']}/variable_data/")
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
        answer = self._send("POST", "bulk/host_create/", body)
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
            raise TowerDenied(f"Tower lets the token add no hosts to inventory {inventory.name!r}: {_words(answer)}")
        if _says_duplicate(answer):
            raise HostsExist(created)
        created.update((host["name"], host["id"]) for host in self._json(answer)["hosts"])

    def _create_one(self, inventory: Inventory, host: NewHost, created: dict[str, int]) -> None:
        answer = self._send("POST", "hosts/", {"inventory": inventory.id} | _new_host(host))
        if _says_duplicate(answer):
            raise HostsExist(created)
        created[host.instance_id] = self._json(answer)["id"]

    def update_host(self, host_id: int, instance_id: str, variables: Mapping[str, object]) -> None:
        """Replace a host's variables and its instance_id."""
        self._json(
            self._send("PATCH", f"hosts/{host_id}/", {"variables": json.dumps(variables), "instance_id": instance_id})
        )

    def delete_hosts(self, hosts: Sequence[Host]) -> None:
        """Delete hosts, at most BULK_DELETE_MAX, also while jobs run on their inventories.

        Raises HostsVanished if one is gone already, DeleteRefused naming the inventories if the token may not. Then
        look again: a server with bulk calls has deleted none of the call's hosts, another one some.
        """
        answer = self._send("POST", "bulk/host_delete/", {"hosts": [host.id for host in hosts]})
        if answer.status_code == NOT_FOUND:
            for host in hosts:
                self._disassociate(host)
            return
        if answer.status_code == FORBIDDEN:
            inventories = (_object(answer) or {}).get("inventories", {})
            raise DeleteRefused(self._denied(answer), frozenset(inventories))
        if TOO_MANY_DELETED in answer.text and len(hosts) > 1:
            half = len(hosts) // 2
            self.delete_hosts(hosts[:half])
            self.delete_hosts(hosts[half:])
            return
        if answer.status_code == 400 and "do not exist" in answer.text:
            raise HostsVanished
        self._json(answer)

    def _disassociate(self, host: Host) -> None:
        """Deletes a host the way that running jobs do not stop [862] and that old servers know."""
        answer = self._send("POST", f"inventories/{host.inventory_id}/hosts/", {"id": host.id, "disassociate": True})
        if answer.status_code == FORBIDDEN:
            raise DeleteRefused(self._denied(answer), frozenset({host.inventory_name}))
        if answer.status_code in (400, NOT_FOUND):
            raise HostsVanished
        self._json(answer)

    # Groups

    def group_ids(self, inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        """The ids of an inventory's groups by name; those missing are created."""
        found = self._groups(inventory, names)
        for name in sorted(set(names) - found.keys()):
            answer = self._send("POST", "groups/", {"name": name, "inventory": inventory.id})
            if not _says_duplicate(answer):
                found[name] = int(self._json(answer)["id"])
        missing = set(names) - found.keys()
        return found | self._groups(inventory, missing) if missing else found

    def _groups(self, inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        # One query a name: a group's name may hold the comma that separates the names of a list.
        return {
            name: raw["id"]
            for name in names
            for raw in self._pages("groups/", {"inventory": str(inventory.id), "name": name})
        }

    def add_to_group(self, group_id: int, host_id: int) -> None:
        """Put a host into a group; that it is there already is no error."""
        self._json(self._send("POST", f"groups/{group_id}/hosts/", {"id": host_id}))

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
        launched = self._json(self._send("POST", f"job_templates/{template.id}/launch/", body))
        job = launched.get("job")
        if job is None or launched.get("ignored_fields"):
            kind = "jobs" if launched.get("type") == "job" else "workflow_jobs"
            self._send("POST", f"{kind}/{launched['id']}/cancel/", {})
            raise TowerRejected(
                f"job template {template.name!r} did not keep to its limit and was cancelled "
                f"({kind} {launched['id']}, ignored: {sorted(launched.get('ignored_fields') or [])}): "
                "let it prompt for limit on launch, without slicing"
            )
        return int(job)

    def jobs(self, ids: Collection[int]) -> dict[int, Job]:
        """Jobs by id; those that Tower does not have are left out."""
        return {
            job.id: job
            for chunk in batched(sorted(ids), NAMES_PER_QUERY)
            for job in map(_job, self._pages("jobs/", {"id__in": ",".join(map(str, chunk))}))
        }

    def jobs_holding(self, template_id: int, instance_ids: Collection[str], since: float) -> list[Job]:
        """A template's jobs created since then (epoch seconds) whose limit holds one of these hosts, newest first."""
        wanted = frozenset(instance_ids)
        created = datetime.fromtimestamp(since, UTC).isoformat().replace("+00:00", "Z")
        found = {
            raw["id"]: _job(raw)
            for chunk in batched(sorted(wanted), NAMES_PER_QUERY)
            for raw in self._pages(
                f"job_templates/{template_id}/jobs/",
                [("created__gte", created), *(("or__limit__contains", each) for each in chunk)],
            )
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
        return [_job(raw) for raw in self._get(f"job_templates/{job.template_id}/jobs/", query)["results"]]

    def outcomes(self, job: Job) -> dict[str, Outcome] | None:
        """What an ended job showed about each of its hosts by name; None while Tower still processes its events [802].

        A job that ended by its own timeout, by an error of Tower's or by being cancelled proves nothing for anyone.
        """
        if not self._get(f"jobs/{job.id}/")["event_processing_finished"]:
            return None
        if job.status in (JobStatus.ERROR, JobStatus.CANCELED) or job.explanation:
            return dict.fromkeys(job.hosts, Outcome.UNPROVEN)
        summaries = {raw["host_name"]: raw for raw in self._pages(f"jobs/{job.id}/job_host_summaries/", {})}
        cut_short = job.status == JobStatus.FAILED and self._was_cut_short(job)
        return {host: _outcome(summaries.get(host), cut_short=cut_short) for host in job.hosts}

    def _was_cut_short(self, job: Job) -> bool:
        """Whether the play of a failed job ended for everybody at somebody's failure.

        It says so itself [833], but not where any_errors_fatal ended it from ansible-core 2.17 on. So a last failure
        after which no task started counts too: at worst the others run once more, without the host that failed.
        """
        events = f"jobs/{job.id}/job_events/"
        if self._get(events, {"event": "playbook_on_no_hosts_remaining", "page_size": "1"})["count"]:
            return True
        failures = {"event__in": ",".join(FAILURE_EVENTS), "order_by": "-counter", "page_size": "1"}
        last = self._get(events, failures)["results"]
        if not last:
            return False
        later = {"event__in": ",".join(TASK_EVENTS), "counter__gt": str(last[0]["counter"]), "page_size": "1"}
        return not self._get(events, later)["count"]

    def usual_duration(self, template_id: int) -> float | None:
        """The median seconds of a template's last successful jobs, None without any; remembered for five minutes."""
        return self._durations.get(template_id, lambda: self._usual_duration(template_id))

    def _usual_duration(self, template_id: int) -> float | None:
        query = {"status": "successful", "order_by": "-finished", "page_size": "5"}
        elapsed = sorted(raw["elapsed"] for raw in self._get(f"job_templates/{template_id}/jobs/", query)["results"])
        return float(elapsed[len(elapsed) // 2]) if elapsed else None

    # HTTP

    def _pages(self, path: str, query: Mapping[str, str] | Sequence[tuple[str, str]]) -> Iterator[Json]:
        items = list(query.items()) if isinstance(query, dict) else list(query)
        number = 1
        while True:
            page = self._get(path, [*items, ("order_by", "id"), ("page_size", str(PAGE_SIZE)), ("page", str(number))])
            yield from page["results"]
            if not page["next"]:
                return
            number += 1

    def _get(self, path: str, query: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> Json:
        return self._json(self._send("GET", path, query=query))

    def _send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    ) -> requests.Response:
        answer = self._exchange(method, path, body, query)
        if answer.status_code == UNAUTHORIZED:  # perhaps the token was rotated
            answer = self._exchange(method, path, body, query, refused=answer.request.headers["Authorization"])
        if date := answer.headers.get("Date"):
            self._clock_offset = parsedate_to_datetime(date).timestamp() - time.time()
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        body: Json | None,
        query: Mapping[str, str] | Sequence[tuple[str, str]],
        *,
        refused: str | None = None,
    ) -> requests.Response:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TowerUnavailable(f"no time left in this invocation to ask Tower for {path}")
        session = self._connected(refused)
        try:
            return session.request(
                method,
                self.root + path,
                json=body,
                params=query,
                timeout=(min(CONNECT_TIMEOUT, left / TRIES), min(READ_TIMEOUT, left / TRIES)),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise TowerRejected(
                f"Tower's certificate at {self.root} is not trusted: put its CA into the secret's ca_bundle ({error})"
            ) from error
        except requests.RequestException as error:
            raise TowerUnavailable(f"Tower at {self.root} cannot be reached for {path}: {error}") from error

    def _connected(self, refused: str | None) -> requests.Session:
        """The session; a new one with the token read afresh if the present one's was refused. Threads share it."""
        with self._connecting:
            if self._session is None or refused == self._session.headers["Authorization"]:
                self._session = _session(self._credentials(refused is not None))
            return self._session

    def _json(self, answer: requests.Response) -> Json:
        """The answer's object. Raises the taxonomy's error for anything but a success."""
        status = answer.status_code
        what = f"{answer.request.method} {answer.request.path_url.partition('?')[0]}"
        if status in HTTP_REDIRECT:
            raise TowerRejected(
                f"{what} was redirected to {answer.headers.get('Location')}: the Tower URL is not the API itself"
            )
        if status == TOO_MANY_REQUESTS or status >= SERVER_ERROR:
            raise TowerUnavailable(f"Tower answered {what} with {status}: {_words(answer)}")
        if status in (UNAUTHORIZED, FORBIDDEN):
            if "still processing events" in answer.text:  # of a job that just ended; passes within a minute [625]
                raise TowerUnavailable(f"Tower answered {what} with {status}: {_words(answer)}")
            raise TowerDenied(self._denied(answer))
        if not answer.content and status in HTTP_OK:
            return {}
        value = _object(answer)
        if value is None:
            raise TowerRejected(
                f"Tower answered {what} with {status} and something that is not the API's JSON: {_words(answer)}; "
                f"is {self.root} the API root?"
            )
        if status not in HTTP_OK:
            raise TowerRejected(f"Tower answered {what} with {status}: {_words(answer)}")
        return value

    def _denied(self, answer: requests.Response) -> str:
        remedy = (
            "check the token in the secret"
            if answer.status_code == UNAUTHORIZED
            else "grant the token's user the role it lacks"
        )
        what = f"{answer.request.method} {answer.request.path_url.partition('?')[0]}"
        return f"Tower refused {what} with {answer.status_code}: {_words(answer)}; {remedy}"


def _session(credentials: Credentials) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # else a .netrc could replace the token
    session.headers["Authorization"] = f"Bearer {credentials.token}"
    session.headers["Accept"] = "application/json"
    if credentials.ca_bundle:
        file = Path(tempfile.gettempdir()) / f"tower-{sha256(credentials.ca_bundle.encode()).hexdigest()}.pem"
        file.write_text(credentials.ca_bundle)
        session.verify = str(file)
    retry = Retry(
        total=TRIES - 1,
        status_forcelist=GATEWAY_BUSY,
        allowed_methods=("GET",),
        backoff_factor=0.5,
        backoff_jitter=0.5,
        retry_after_max=RETRY_AFTER_MAX,
        raise_on_status=False,
    )
    adapter = HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=retry)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _object(answer: requests.Response) -> Json | None:
    """The answer's JSON object, None if it is something else."""
    try:
        value = answer.json()
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _words(answer: requests.Response) -> str:
    """The server's own words, in one line of bounded length."""
    return " ".join(answer.text.split())[:500] or "(no words)"


def _says_duplicate(answer: requests.Response) -> bool:
    """Whether a create failed on a name that exists: found by the check [031, 204], or lost in a race [450, 453]."""
    return answer.status_code == 400 and any(
        words in answer.text for words in ("already exists", "Duplicates found", "duplicate key value")
    )


def _new_host(host: NewHost) -> Json:
    return {"name": host.instance_id, "instance_id": host.instance_id, "variables": json.dumps(host.variables)}


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


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
