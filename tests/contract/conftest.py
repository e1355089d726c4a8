"""A Tower to hold the client to, and an operator who sets the world up and looks at it over HTTP.

By default the Tower is the embedded one, in several guises: as it is; behind a gateway, refusing duplicates in the
words of its database as when a race is lost; as an older server without bulk calls; and with a client whose user is no
administrator, but has the roles of roles.py on what a test makes. With these in the environment it is a real one:

    TOWER_URL           as the parameter TowerUrl: https://HOST, or https://HOST/api/controller/v2/
    TOWER_TOKEN         the client's
    TOWER_ADMIN_TOKEN   of somebody who may make organizations, inventories and job templates, and grant roles; without
                        it TOWER_TOKEN has to be such a one
    TOWER_CA_BUNDLE     a PEM file, where the server has a private certificate authority
    TOWER_JOB_TEMPLATE  name or id of a job template that prompts for limit and inventory and whose play gathers facts;
                        needed where no project of the server has the playbook hello_world.yml; the client's user
                        has to have Execute on it

Everything is made in organizations of its own and removed at the end, also when tests fail. Before the first test a
real server is asked once; where that does not go well, one line says why. No report shows its token.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import requests

from contract.roles import NEEDED
from lab.clock import SkippingClock
from lab.tower.embedded import Tower as EmbeddedTower
from rollcall.domain.errors import BadSettings
from rollcall.domain.inventories import Inventory
from rollcall.domain.jobs import JobTemplate
from rollcall.http.transport import shown_url
from rollcall.tower.client import Tower
from rollcall.tower.connection import Credentials, api_root

type Json = dict[str, Any]

PLAYBOOKS = ("hello_world.yml", "hello.yml")  # of the project that every AWX and Tower is installed with
TIMEOUTS = (5, 60)  # seconds to connect and to read
PATIENCE = 300  # seconds until a job has to end, or a thing to be gone
ORDINARY = "an ordinary user's token"
EMBEDDED = (
    *("embedded", "embedded behind a gateway, losing every race", "embedded without bulk calls"),
    *(f"embedded, {ORDINARY}", f"embedded without bulk calls, {ORDINARY}"),
)
JOB_TIME = 1.2  # seconds; over the one second that is the shortest timeout of a job template
EVENT_LAG = 0.3  # seconds
CLOCK_SKEW = 600.0  # seconds; whoever asks this machine for the time is wrong by them
OK, UNAUTHORIZED, NOT_FOUND, CONFLICT = 200, 401, 404, 409
TOKEN = re.compile(r"[!-~]+")  # what a header can carry
UNUSABLE_SERVER = 4  # pytest's exit code for being called in a wrong way
BUSY = ("still processing events", "Cannot delete running job")  # in refusals that pass


@dataclass(frozen=True)
class Server:
    """A Tower: its URL as users give it, and the certificate authorities to trust (a PEM file), if any.

    token: the client's. admin_token: of whoever makes what the client works with. wait: lets seconds pass there; the
    embedded Tower's need not pass here.
    """

    url: str
    token: str = field(repr=False)
    admin_token: str = field(repr=False)
    ca_file: str | None = None
    wait: Callable[[float], None] = time.sleep

    @property
    def shown(self) -> str:
        """The URL behind a blank, or nothing where it may hold a password."""
        return shown_url(self.url)

    def client(self, token: str | None = None, *, path: str | None = None, renewed: str | None = None) -> Tower:
        """The client under test. token: another than the server's; path: another root; renewed: the token it gets
        when it asks for it afresh."""
        url = self.url if path is None else "/".join(self.url.split("/")[:3]) + path
        given = self.token if token is None else token
        ca_bundle = None
        if self.ca_file:
            with open(self.ca_file) as file:
                ca_bundle = file.read()

        def credentials(refresh: bool) -> Credentials:
            return Credentials(renewed if refresh and renewed else given, ca_bundle)

        return Tower(url, credentials)


class Operator:
    """A person at Tower's API: makes what a test needs, looks at what became of it, and clears up.

    Paths are relative to the API's root. Every thing made has a name of its own, beginning with `prefix`.
    """

    def __init__(self, server: Server) -> None:
        self.prefix = f"rollcall-contract-{uuid4().hex[:8]}"
        self._root = api_root(server.url)
        self._session = requests.Session()
        self._session.trust_env = False
        if server.ca_file:
            self._session.verify = server.ca_file
        self._server = server
        self._numbers = count(1)
        self._made: list[str] = []
        self._inventories: list[int] = []

    def ask(self, method: str, path: str, body: Json | None = None, **query: object) -> requests.Response:
        """Any answer, also one that is no success."""
        return self._ask(self._server.admin_token, method, path, body, query)

    def ask_as_client(self, method: str, path: str, body: Json | None = None, **query: object) -> requests.Response:
        """Likewise, with the token of the client under test."""
        return self._ask(self._server.token, method, path, body, query)

    def _ask(
        self, token: str, method: str, path: str, body: Json | None, query: Mapping[str, object]
    ) -> requests.Response:
        return self._session.request(
            method,
            self._root + path,
            json=body,
            params={key: str(value) for key, value in query.items()},
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUTS,
            allow_redirects=False,
        )

    @cached_property
    def client_user(self) -> Json:
        """The user of the client under test."""
        answer = self.ask_as_client("GET", "me/")
        assert answer.status_code == OK, f"GET me: {answer.status_code} {answer.text[:300]}"
        return dict(answer.json()["results"][0])

    @property
    def client_is_another(self) -> bool:
        """Whether the client's user is another than the operator, and has but the roles that are needed."""
        return self._server.token != self._server.admin_token

    def grant(self, path: str, role: str, *, take_away: bool = False) -> None:
        """Give the client's user a role on an object, by the field of its `object_roles`; or take it away."""
        number = self.read(path)["summary_fields"]["object_roles"][role]["id"]
        body = {"id": number} | ({"disassociate": True} if take_away else {})
        answer = self.ask("POST", f"users/{self.client_user['id']}/roles/", body)
        assert answer.ok, f"{role} on {path}: {answer.status_code} {answer.text[:300]}"

    def read(self, path: str, **query: object) -> Any:
        """What a GET shows."""
        answer = self.ask("GET", path, None, **query)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json()

    def listed(self, path: str, **query: object) -> list[Json]:
        """The rows of a list, by their ids."""
        rows: list[Json] = []
        for page in count(1):
            shown = self.read(path, page_size=200, order_by="id", page=page, **query)
            rows += shown["results"]
            if not shown["next"]:
                break
        return rows

    def new_name(self) -> str:
        """A name that nothing has."""
        return f"{self.prefix}-{next(self._numbers)}"

    def try_to_make(self, collection: str, **fields: object) -> requests.Response:
        """The answer to a POST; what it makes is removed at the end. The client's user gets the roles it needs."""
        answer = self.ask("POST", f"{collection}/", fields)
        if answer.status_code == 201:
            self._made.append(f"{collection}/{answer.json()['id']}/")
            if collection == "inventories":
                self._inventories.append(answer.json()["id"])
            for role in NEEDED if self.client_is_another else ():
                if role.collection == collection:
                    self.grant(self._made[-1], role.field)
        return answer

    def try_to_make_token(self, scope: str) -> requests.Response:
        """The answer to a POST for another token of the client's user; it is removed at the end."""
        answer = self.ask_as_client("POST", "tokens/", {"scope": scope, "description": self.new_name()})
        if answer.status_code == 201:
            self._made.append(f"tokens/{answer.json()['id']}/")
        return answer

    def make(self, collection: str, **fields: object) -> Json:
        """A new object; without a name given it has one of its own."""
        answer = self.try_to_make(collection, **{"name": self.new_name()} | fields)
        assert answer.status_code == 201, f"POST {collection}: {answer.status_code} {answer.text[:300]}"
        return dict(answer.json())

    def make_host(self, inventory: Inventory, name: str, variables: str = "", instance_id: str = "") -> int:
        """A host as a person would make it."""
        body = {"name": name, "inventory": inventory.id, "variables": variables, "instance_id": instance_id}
        answer = self.ask("POST", "hosts/", body)
        assert answer.status_code == 201, f"POST hosts: {answer.status_code} {answer.text[:300]}"
        return int(answer.json()["id"])

    def host_names(self, inventory: Inventory) -> set[str]:
        """The names of all hosts of an inventory."""
        return {row["name"] for row in self.listed(f"inventories/{inventory.id}/hosts/")}

    def has_bulk_calls(self) -> bool:
        """Whether the server creates and deletes hosts in bulk; older ones do not."""
        return self.ask("GET", "bulk/host_create/").status_code != NOT_FOUND

    def clear_up(self) -> None:
        """Remove everything that was made. Raises AssertionError naming what stays."""
        try:
            runs = [f"{kind}/{row['id']}/" for kind in ("workflow_jobs", "jobs") for row in self._runs(kind)]
            for path in runs:
                self.ask("POST", f"{path}cancel/")
            organizations = [path for path in self._made if path.startswith("organizations/")]
            others = [path for path in reversed(self._made) if path not in organizations]
            stays = [*self._remove(runs), *self._remove(others), *self._remove(organizations)]
            assert not stays, f"not removed from {self._root}: {', '.join(stays)}"
        finally:
            self._session.close()

    def _runs(self, kind: str) -> list[Json]:
        if not self._inventories:
            return []
        return self.listed(f"{kind}/", inventory__in=",".join(map(str, self._inventories)))

    def _remove(self, paths: Sequence[str]) -> list[str]:
        """Delete these together, and wait until they are gone. Those that stay, with the server's words."""
        refusals = {path: self._refusal(path) for path in paths}
        for path in paths:
            if not refusals[path]:
                self._wait_until_gone(path)
        return [f"{path} ({refusal})" for path, refusal in refusals.items() if refusal]

    def _wait_until_gone(self, path: str) -> None:
        self.wait_until(lambda: self.ask("GET", path).status_code == NOT_FOUND, f"{path} is gone")

    def _refusal(self, path: str) -> str:
        """Delete one thing, if need be when the jobs that hold it have ended. Why it stays, if it does."""

        def delete() -> requests.Response | None:
            answer = self.ask("DELETE", path)
            busy = answer.status_code == CONFLICT or any(words in answer.text for words in BUSY)
            return None if busy else answer

        answer = self.wait_until(delete, f"{path} can be deleted")
        return "" if answer.ok or answer.status_code == NOT_FOUND else f"{answer.status_code} {answer.text[:300]}"

    def wait_until[T](self, condition: Callable[[], T | None], what: str) -> T:
        """The first true value of condition(). TimeoutError naming what was waited for."""
        deadline = time.monotonic() + PATIENCE
        pause = 0.02
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {PATIENCE} s: {what}")
            self._server.wait(pause)
            pause = min(pause * 1.5, 1.0)
        return value


def embedded(guise: str, clock: SkippingClock) -> EmbeddedTower:
    """The embedded Tower, where machines are what their hosts' variables say, as under Ansible."""
    root = "/api/controller/v2/" if "gateway" in guise else "/api/v2/"
    tower = EmbeddedTower(boot_time=0, job_time=JOB_TIME, event_lag=EVENT_LAG, api_root=root, clock=clock)
    tower.clock_skew = CLOCK_SKEW
    tower.no_bulk = "without bulk" in guise
    tower.race = "losing every race" in guise
    tower.dark_host(lambda host: host.variables.get("ansible_connection") != "local")
    tower.fail_host(lambda host: "ansible_python_interpreter" in host.variables)
    return tower


def real_server() -> Server | None:
    """The Tower that the environment names, if it does."""
    if "TOWER_URL" not in os.environ:
        return None
    token = os.environ.get("TOWER_TOKEN", "")
    admin_token = os.environ.get("TOWER_ADMIN_TOKEN") or token
    return Server(os.environ["TOWER_URL"], token, admin_token, os.environ.get("TOWER_CA_BUNDLE") or None)


def pytest_configure(config: pytest.Config) -> None:
    """Before a real server is held to anything: it answers, and no report can show its token."""
    server = real_server()
    if server is None:
        return
    if config.option.tbstyle in ("auto", "long"):
        config.option.tbstyle = "short"  # longer ones show what functions were called with: headers
    config.option.showlocals = config.option.fulltrace = False
    if hasattr(config, "workerinput"):  # the process that started this one has asked
        return
    if trouble := trouble_with(server):
        pytest.exit(f"TOWER_URL{server.shown}: {trouble}", returncode=UNUSABLE_SERVER)


def trouble_with(server: Server) -> str:
    """Why no test could pass on this server, with the remedy, or nothing. Asks it for a ping, and who we are."""
    tokens = {"TOWER_TOKEN": server.token, "TOWER_ADMIN_TOKEN": server.admin_token}
    for name, token in tokens.items():
        if not TOKEN.fullmatch(token):
            return f"{name} is not set, or holds what no token does, such as a space or a line's end"
    if server.ca_file and not os.path.isfile(server.ca_file):
        return f"TOWER_CA_BUNDLE={server.ca_file} is no file"
    try:
        operator = Operator(server)
    except BadSettings as error:
        return f"{error}; check TOWER_URL"
    try:
        ping = operator.ask("GET", "ping/")
        users = {"TOWER_TOKEN": operator.ask_as_client("GET", "me/"), "TOWER_ADMIN_TOKEN": operator.ask("GET", "me/")}
    except requests.exceptions.SSLError as error:
        return (
            f"no trusted connection ({first_cause(error)}); where its certificate authority is a private one, "
            "TOWER_CA_BUNDLE has to name that one's PEM file"
        )
    except OSError as error:  # those of requests are, too
        return f"cannot be reached ({first_cause(error)}); check TOWER_URL and the way there"
    finally:
        operator.clear_up()
    if ping.status_code != OK or "version" not in ping.text:
        return f"GET {ping.url} is answered with {ping.status_code}, not as Tower's API does; check TOWER_URL"
    for name, me in users.items():
        if me.status_code == UNAUTHORIZED:
            return f"the server refuses the token (401); check {name}"
        if me.status_code != OK:
            return f"GET {me.url} is answered with {me.status_code}; check {name}"
    return ""


def first_cause(error: BaseException) -> str:
    """What began it, in one line."""
    while before := error.__cause__ or error.__context__:
        error = before
    return " ".join(str(error).split()) or type(error).__name__


@pytest.fixture(scope="session", params=["real"] if "TOWER_URL" in os.environ else EMBEDDED)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The Tower that the client is held to."""
    if real := real_server():
        yield real
        return
    clock = SkippingClock()
    tower = embedded(request.param, clock)
    token = tower.token
    if ORDINARY in request.param:
        token = "ordinary"
        tower.add_token(token, inventories=(), templates=(), username="fleet")
    with tower.serve() as base:
        yield Server(base + tower.api_root, token, tower.token, wait=clock.skip)


@pytest.fixture(scope="session")
def operator(server: Server) -> Iterator[Operator]:
    """Who makes what the tests need. It is gone when they are over."""
    operator = Operator(server)
    yield operator
    operator.clear_up()


@pytest.fixture
def tower(server: Server) -> Tower:
    """The client under test."""
    return server.client()


@pytest.fixture(scope="session")
def organization(operator: Operator) -> Json:
    """An organization of the tests' own."""
    return operator.make("organizations")


@pytest.fixture
def inventory(operator: Operator, organization: Json) -> Inventory:
    """An empty inventory of the test's own."""
    return new_inventory(operator, organization)


@pytest.fixture
def elsewhere(operator: Operator, organization: Json) -> Inventory:
    """Another one."""
    return new_inventory(operator, organization)


def new_inventory(operator: Operator, organization: Json) -> Inventory:
    raw = operator.make("inventories", organization=organization["id"])
    return Inventory(raw["id"], raw["name"])


@dataclass(frozen=True)
class Playbook:
    """A playbook that may run on our hosts: what a job template needs to name it."""

    project: int
    playbook: str


@pytest.fixture(scope="session")
def playbook(operator: Operator) -> Playbook:
    """The playbook of TOWER_JOB_TEMPLATE, or one that only says hello."""
    if named := os.environ.get("TOWER_JOB_TEMPLATE"):
        raw = given_template(operator, named)
        return Playbook(raw["project"], raw["playbook"])
    for project in operator.listed("projects/"):
        answer = operator.ask("GET", f"projects/{project['id']}/playbooks/")
        for name in answer.json() if answer.status_code == 200 else []:
            if name in PLAYBOOKS:
                return Playbook(project["id"], name)
    pytest.skip(f"no project here has a playbook {' or '.join(PLAYBOOKS)}: set TOWER_JOB_TEMPLATE")


def given_template(operator: Operator, named: str) -> Json:
    found = operator.listed("job_templates/", **{"id" if named.isdecimal() else "name": named})
    if len(found) != 1:
        pytest.fail(f"TOWER_JOB_TEMPLATE={named}: there are {len(found)} such job templates")
    return found[0]


@pytest.fixture(scope="session")
def make_template(server: Server, operator: Operator, playbook: Playbook) -> Callable[..., JobTemplate]:
    """Makes job templates that prompt for limit and inventory, but for what is said otherwise."""

    def make(**fields: object) -> JobTemplate:
        asked = {"ask_limit_on_launch": True, "ask_inventory_on_launch": True, "allow_simultaneous": True}
        runs = {"project": playbook.project, "playbook": playbook.playbook, "name": operator.new_name()}
        answer = operator.try_to_make("job_templates", **runs | asked | fields)
        if answer.status_code == 403:
            pytest.skip(f"the token may make no job templates: {answer.text[:300]}")
        assert answer.status_code == 201, f"POST job_templates: {answer.status_code} {answer.text[:300]}"
        return server.client().job_template(str(answer.json()["id"]))

    return make


@pytest.fixture(scope="session")
def template(server: Server, operator: Operator, request: pytest.FixtureRequest) -> JobTemplate:
    """A job template that prompts for limit and inventory: TOWER_JOB_TEMPLATE, or one of the tests' own."""
    if named := os.environ.get("TOWER_JOB_TEMPLATE"):
        return server.client().job_template(str(given_template(operator, named)["id"]))
    make: Callable[..., JobTemplate] = request.getfixturevalue("make_template")
    return make()
