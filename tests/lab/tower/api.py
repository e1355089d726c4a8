"""The embedded Tower's HTTP views: requests in, statuses and JSON out, as AWX 24.6.1 answered them.

One call of `Api.answer` is one request. It is synchronous and works on the world directly, so the caller holds the
lock. What decides between two answers is quoted by the number of a recording in square brackets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, unquote

from lab.tower.filters import Lists, Query, paginate
from lab.tower.jobs import JobEngine, Launch, events_of
from lab.tower.shapes import ASKS, Json, Shapes
from lab.tower.world import (
    DEFAULT_PLAYBOOKS,
    JOB_TYPES,
    Fields,
    Group,
    Host,
    HostFields,
    Inventory,
    Job,
    JobTemplate,
    Organization,
    Project,
    Refusal,
    Token,
    User,
    WorkflowJob,
    World,
    denied,
    parse_variables,
    read_host,
)

VERSION = "24.6.1"
COPY_TIME = 0.5  # seconds until a copied inventory has its hosts; they are copied asynchronously (api/generics.py)
DELETION_TIME = 0.5  # seconds until a deleted inventory is gone; it is deleted asynchronously [500, 501]
LONGEST_URL = 8 * 1024  # bytes; nginx's default for a request line (large_client_header_buffers)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

HTML = "text/html; charset=utf-8"
NOT_FOUND = """
<!doctype html>
<html lang="en">
<head>
  <title>Not Found</title>
</head>
<body>
  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>
</body>
</html>
"""
SERVER_ERROR = """
<!doctype html>
<html lang="en">
<head>
  <title>Server Error (500)</title>
</head>
<body>
  <h1>Server Error (500)</h1><p></p>
</body>
</html>
"""
TOO_LARGE = (  # nginx's own page
    b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n"
    b"<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
NO_CREDENTIALS = (
    "Authentication credentials were not provided. To establish a login session, visit /api/login/."  # [006-008, 019]
)
WRONG_CONTENT_TYPE = (
    "You did not use correct Content-Type in your HTTP request. "
    "If you are using our REST API, the Content-Type must be application/json"
)
PROMPTS = {  # launch field -> the ask_X_on_launch that admits it
    "extra_vars": "variables",
    "limit": "limit",
    "inventory": "inventory",
    "job_type": "job_type",
    "credentials": "credential",
    "job_tags": "tags",
    "skip_tags": "skip_tags",
    "verbosity": "verbosity",
    "diff_mode": "diff_mode",
    "scm_branch": "scm_branch",
    "execution_environment": "execution_environment",
    "labels": "labels",
    "forks": "forks",
    "job_slice_count": "job_slice_count",
    "timeout": "timeout",
    "instance_groups": "instance_groups",
}
RESOURCES = (
    *("ping", "config", "me", "organizations", "projects", "tokens", "inventories", "groups", "hosts"),
    *("job_templates", "jobs", "workflow_jobs", "settings", "bulk", "users"),
)


class Response(NamedTuple):
    """kind and items say what work it was, for the latency model: items is the number of rows it dealt with."""

    status: int
    headers: dict[str, str]
    body: bytes
    kind: str = ""
    items: int = 0


@dataclass(slots=True)
class Call:
    """One request on its way through the views."""

    method: str
    path: str
    query: Query
    headers: dict[str, str]
    raw: bytes
    shapes: Shapes
    now: float
    token: Token | None = None
    allow: str = ""
    kind: str = ""
    items: int = 1
    _body: Json | None = field(default=None)

    @property
    def user(self) -> Token:
        if self.token is None:
            raise Refusal(401, {"detail": NO_CREDENTIALS})
        return self.token

    @property
    def body(self) -> Json:
        """The JSON object sent; an empty body is an empty object [122, 324]."""
        if self._body is None:
            self._body = self._parsed()
        return self._body

    def _parsed(self) -> Json:
        if not self.raw:
            return {}
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, {"detail": WRONG_CONTENT_TYPE})
        try:
            found = json.loads(self.raw)
        except ValueError as error:
            words = f"JSON parse error - {error}\nPossible cause: trailing comma."
            raise Refusal(400, {"detail": words}) from None
        if not isinstance(found, dict):
            raise Refusal(400, {"detail": "JSON parse error - not a JSON object"})
        return found


Result = tuple[int, Any] | tuple[int, Any, dict[str, str]]
View = Callable[..., Result]


class Api:
    """All views over one world."""

    def __init__(self, world: World, engine: JobEngine, *, roots: tuple[str, ...], gateway: bool) -> None:
        self._world = world
        self._engine = engine
        self._lists = Lists(world)
        self._roots = roots
        self._gateway = gateway
        self.no_bulk = False
        self.longest_body: int | None = None  # bytes of a request
        self._collections: dict[
            str, tuple[str, dict[int, Any]]
        ] = {  # what AWX calls a row in its messages, and all rows
            "tokens": ("OAuth2AccessToken", world.tokens),
            "users": ("User", world.users),
            "organizations": ("Organization", world.organizations),
            "projects": ("Project", world.projects),
            "inventories": ("Inventory", world.inventories),
            "groups": ("Group", world.groups),
            "hosts": ("Host", world.hosts),
            "job_templates": ("JobTemplate", world.templates),
            "jobs": ("Job", world.jobs),
            "workflow_jobs": ("WorkflowJob", world.workflow_jobs),
        }

    def answer(self, method: str, path: str, query_string: str, headers: dict[str, str], body: bytes) -> Response:
        """Answers one request. `path` is as sent, percent-encoded; header names are in lower case."""
        if len(path) + len(query_string) > LONGEST_URL:
            return Response(414, {"Content-Type": HTML}, b"<h1>414 Request-URI Too Large</h1>", "refused")
        if self.longest_body is not None and len(body) > self.longest_body:
            return Response(413, {"Content-Type": "text/html"}, TOO_LARGE, "refused")
        if path in ("/api/", "/api/controller/"):
            return _response(200, self._versions(path), {"Allow": "GET, HEAD, OPTIONS"}, "ping")
        root = next((root for root in self._roots if path.startswith(root)), None)
        if root is None:
            return _response(404, NOT_FOUND, {}, "refused")
        now = self._world.now()
        query = parse_qsl(query_string, keep_blank_values=True)
        call = Call(method, path, query, headers, body, Shapes(self._world, root), now)
        try:
            status, result, extra = self._dispatch(call, path[len(root) :])
        except Refusal as refusal:
            status, result, extra = refusal.status, refusal.body, {}
            if status == 401:
                extra = {"WWW-Authenticate": "Bearer realm=api authorization_url=/api/o/authorize/"}
        if call.allow:
            extra = {**extra, "Allow": call.allow}
        return _response(status, result, extra, call.kind, call.items)

    def _dispatch(self, call: Call, rest: str) -> tuple[int, Any, dict[str, str]]:
        pattern, key = self._route(rest)
        if rest and not rest.endswith("/"):
            return 301, "", {"Location": f"{call.path}/"}
        views = self._ROUTES[pattern]
        call.allow = ", ".join(name for name in METHODS if name in views or name in ("HEAD", "OPTIONS"))
        call.kind = f"{call.method} {pattern}"
        if not _accepts_json(call.headers.get("accept", "*/*")):
            raise Refusal(406, {"detail": "Could not satisfy the request Accept header."})
        self._authenticate(call, public=pattern == "ping")
        call.shapes = Shapes(self._world, call.shapes.root, call.token)
        view = views.get("GET" if call.method == "HEAD" else call.method)
        if view is None:
            raise Refusal(405, {"detail": f'Method "{call.method}" not allowed.'})
        result = view(self, call, self._find(pattern.partition("/")[0], key)) if key else view(self, call)
        return (*result, {}) if len(result) == 2 else result

    def _route(self, rest: str) -> tuple[str, str]:
        """The route of a path below the root, and the id or name of a row in it; empty without one. Raises Refusal."""
        parts = rest.strip("/").split("/") if rest else []
        if "" in parts or (self.no_bulk and parts[:1] == ["bulk"]):
            raise Refusal(404, NOT_FOUND)
        if rest.strip("/") in self._ROUTES and "#" not in parts:
            return rest.strip("/"), ""
        pattern = "/".join([*parts[:1], "#", *parts[2:]])
        if len(parts) < 2 or pattern not in self._ROUTES:
            raise Refusal(404, NOT_FOUND)
        return pattern, parts[1]

    def _authenticate(self, call: Call, *, public: bool) -> None:
        scheme, _, text = call.headers.get("authorization", "").partition(" ")
        call.token = self._world.tokens_by_text.get(text.strip()) if scheme.lower() == "bearer" else None
        if public:
            return
        if call.user.read_only and call.method not in ("GET", "HEAD", "OPTIONS"):
            raise denied()

    def _find(self, collection: str, key: str) -> Any:
        """The row that stands in the URL: by its id, or by its name with those of its parents [057, 334]."""
        kind, rows = self._collections[collection]
        if re.fullmatch(r"[0-9]+", key):
            if int(key) not in rows:
                raise Refusal(404, {"detail": f"No {kind} matches the given query."})
            return rows[int(key)]
        names = [unquote(name) for name in key.split("++")]
        for row in rows.values():
            if getattr(row, "name", None) == names[0] and _parents(row) == names[1:]:
                return row
        raise Refusal(404, NOT_FOUND)

    # Lists

    def _list(self, call: Call, model: str, rows: Iterable[Any], show: Callable[[Any], Json]) -> Result:
        page = paginate(self._lists.select(model, rows, call.query), call.path, call.query)
        call.kind, call.items = f"list {model}", len(page.rows)
        results = [show(row) for row in page.rows]
        if not page.counted:
            return 200, {"results": results}
        return 200, {"count": page.total, "next": page.next, "previous": page.previous, "results": results}

    def _show_hosts(self, call: Call, rows: Iterable[Host]) -> Result:
        return self._list(call, "host", rows, lambda row: call.shapes.host(row, detail=False))

    def _show_groups(self, call: Call, rows: Iterable[Group]) -> Result:
        return self._list(call, "group", rows, lambda row: call.shapes.group(row, detail=False))

    def _show_jobs(self, call: Call, rows: Iterable[Job]) -> Result:
        return self._list(call, "job", rows, lambda row: call.shapes.job(row, call.now, form="list"))

    # The server itself

    def _versions(self, path: str) -> Json:
        """GET /api/: the versions [002, 560]; behind a gateway, the gateway's list of services."""
        if self._gateway and path == "/api/":
            services = {"gateway": "/api/gateway/", "controller": "/api/controller/"}
            return {"description": "AAP REST API", "apis": services}
        root = f"{path}v2/"
        shown: Json = {
            "description": "AWX REST API",
            "current_version": root,
            "available_versions": {"v2": root},
            "custom_logo": "",
            "custom_login_info": "",
            "login_redirect_override": "",
        }
        return {**shown, "oauth2": "/api/o/"} if path == "/api/" else shown

    def _index(self, call: Call) -> Result:
        return 200, {name: call.shapes.url(name) for name in RESOURCES}

    def _ping(self, call: Call) -> Result:
        capacity = self._engine.capacity
        node = {"node": "awx-local", "node_type": "hybrid", "uuid": "00000000-0000-4000-b000-000000000001"}
        beat = {"heartbeat": call.shapes.time(call.now), "capacity": capacity, "version": VERSION}
        group = {"name": "default", "capacity": capacity, "instances": ["awx-local"]}
        return 200, {
            "ha": False,
            "version": VERSION,
            "active_node": "awx-local",
            "install_uuid": "00000000-0000-4000-b000-000000000000",
            "instances": [{**node, **beat}],
            "instance_groups": [{**group, "name": "controlplane"}, group],
        }

    def _config(self, _: Call) -> Result:
        return 200, {
            "time_zone": "UTC",
            "license_info": {
                "license_type": "open",
                "valid_key": True,
                "subscription_name": "OPEN",
                "product_name": "AWX",
            },
            "version": VERSION,
            "eula": "",
            "analytics_status": "off",
            "analytics_collectors": {},
            "become_methods": [["sudo", "Sudo"], ["su", "Su"]],
            "ui_next": True,
            "project_base_dir": "/var/lib/awx/projects",
            "project_local_paths": [],
            "custom_virtualenvs": [],
        }

    def _me(self, call: Call) -> Result:
        return 200, {"count": 1, "next": None, "previous": None, "results": [call.shapes.me(call.user)]}

    def _bulk_settings(self, call: Call) -> Result:
        _admin_only(call)
        return 200, {
            "BULK_JOB_MAX_LAUNCH": 100,
            "BULK_HOST_MAX_CREATE": self._world.bulk_create_limit,
            "BULK_HOST_MAX_DELETE": self._world.bulk_delete_limit,
        }

    # Tokens

    def _tokens(self, call: Call) -> Result:
        mine = [row for row in self._world.tokens.values() if row.user is call.user.user]
        return self._list(call, "token", mine, call.shapes.token)

    def _create_token(self, call: Call) -> Result:
        scope = call.body.get("scope", "write")
        if scope not in ("read", "write", "read write"):
            words = "Must be a simple space-separated string with allowed scopes ['read', 'write']."
            raise Refusal(400, {"scope": [words]})
        mine = call.user
        row = self._world.create_token(
            f"token-{len(self._world.tokens) + 1:024d}",
            mine.user,
            read_only=scope == "read",
            inventories=mine.inventories,
            readable=mine.readable,
            templates=mine.templates,
            readable_templates=mine.readable_templates,
            administered_templates=mine.administered_templates,
            description=str(call.body.get("description") or ""),
        )
        return _created(call.shapes.token(row, row.text))

    def _create_personal_token(self, call: Call, row: User) -> Result:
        if row is not call.user.user:
            raise denied()
        return self._create_token(call)

    def _show_token(self, call: Call, row: Token) -> Result:
        return 200, call.shapes.token(row)

    def _delete_token(self, _: Call, row: Token) -> Result:
        self._world.remove_token(row)
        return 204, None

    # Users and their roles

    def _users(self, call: Call) -> Result:
        rows = self._world.users.values() if call.user.everything else [call.user.user]
        return self._list(call, "user", rows, lambda row: call.shapes.user(row, detail=False))

    def _show_user(self, call: Call, row: User) -> Result:
        if row is not call.user.user:
            _admin_only(call)
        return 200, call.shapes.user(row)

    def _create_user(self, call: Call) -> Result:
        _admin_only(call)
        fields = Fields(call.body)
        username = fields.text("username", required=True, limit=150)
        fields.text("password", required=True)
        fields.check()
        return _created(call.shapes.user(self._world.create_user(username)))

    def _user_roles(self, call: Call, row: User) -> Result:
        if row is not call.user.user:
            _admin_only(call)
        granted = [(number, role) for number, role in self._world.roles.items() if role in row.roles]
        return self._list(call, "role", granted, call.shapes.role)

    def _grant_role(self, call: Call, row: User) -> Result:
        """Grants one role, or with `disassociate` takes it away [410, 418, 420]."""
        _admin_only(call)
        if "id" not in call.body:
            raise Refusal(400, {"msg": "Role 'id' field is missing."})
        role = self._body_row(call, self._world.roles, "Role")
        (row.roles.discard if call.body.get("disassociate") else row.roles.add)(role)
        return 204, None

    # Organizations and projects

    def _organizations(self, call: Call) -> Result:
        rows = self._world.organizations.values() if call.user.everything else ()
        return self._list(call, "organization", rows, lambda row: call.shapes.organization(row, detail=False))

    def _show_organization(self, call: Call, row: Organization) -> Result:
        _admin_only(call)
        return 200, call.shapes.organization(row)

    def _create_organization(self, call: Call) -> Result:
        _admin_only(call)
        fields = Fields(call.body)
        name, description = fields.text("name", required=True, limit=512), fields.text("description")
        max_hosts = fields.integer("max_hosts", 0)
        fields.check()
        return _created(call.shapes.organization(self._world.create_organization(name, description, max_hosts)))

    def _patch_organization(self, call: Call, row: Organization) -> Result:
        _admin_only(call)
        fields = Fields(call.body, partial=True)
        name, max_hosts = fields.text("name", row.name), fields.integer("max_hosts", row.max_hosts)
        fields.check()
        row.name, row.max_hosts, row.modified = name, max_hosts, call.now
        return 200, call.shapes.organization(row)

    def _delete_organization(self, call: Call, row: Organization) -> Result:
        _admin_only(call)
        self._check_jobs(lambda job: job.inventory is not None and job.inventory.organization is row)
        del self._world.organizations[row.id]
        return 204, None

    def _projects(self, call: Call) -> Result:
        rows = self._world.projects.values() if call.user.everything else ()
        return self._list(call, "project", rows, lambda row: call.shapes.project(row, detail=False))

    def _show_project(self, call: Call, row: Project) -> Result:
        _admin_only(call)
        return 200, call.shapes.project(row)

    def _create_project(self, call: Call) -> Result:
        _admin_only(call)
        fields = Fields(call.body)
        name = fields.text("name", required=True, limit=512)
        organization = self._named_row(fields, "organization", self._world.organizations)
        more = {key: fields.text(key) for key in ("description", "scm_type", "scm_url")}
        fields.check()
        return _created(call.shapes.project(self._world.create_project(name, organization, DEFAULT_PLAYBOOKS, **more)))

    def _delete_project(self, call: Call, row: Project) -> Result:
        _admin_only(call)
        self._check_jobs(lambda job: job.template.project is row)
        del self._world.projects[row.id]
        for template in self._world.templates.values():
            if template.project is row:
                template.project = None
        return 204, None

    def _playbooks(self, call: Call, row: Project) -> Result:
        _admin_only(call)
        return 200, list(row.playbooks)

    # Inventories

    def _inventories(self, call: Call) -> Result:
        rows = [row for row in self._world.inventories.values() if call.user.reads(row)]
        return self._list(call, "inventory", rows, lambda row: call.shapes.inventory(row, detail=False))

    def _show_inventory(self, call: Call, row: Inventory) -> Result:
        return 200, call.shapes.inventory(_readable(call, row))

    def _create_inventory(self, call: Call) -> Result:
        _admin_only(call)
        fields = Fields(call.body)
        name = fields.text("name", required=True, limit=512)
        more: Json = {"variables": fields.variables("variables"), "description": fields.text("description")}
        more["host_filter"] = fields.text("host_filter") or None
        kind = fields.text("kind")
        organization = self._named_row(fields, "organization", self._world.organizations, required=True)
        fields.check()
        if organization is None:
            raise Refusal(400, {"organization": ["This field may not be null."]})
        return _created(call.shapes.inventory(self._world.create_inventory(name, organization, kind, **more)))

    def _delete_inventory(self, call: Call, row: Inventory) -> Result:
        _administered(call, row)
        if row.pending_deletion:
            raise Refusal(400, {"error": "Inventory is already pending deletion."})
        self._check_jobs(lambda job: job.inventory is row)
        row.pending_deletion = True
        self._engine.later(call.now + DELETION_TIME, lambda _: self._world.remove_inventory(row))
        return 202, None

    def _inventory_hosts(self, call: Call, row: Inventory) -> Result:
        return self._show_hosts(call, _readable(call, row).hosts.values())

    def _change_inventory_hosts(self, call: Call, row: Inventory) -> Result:
        """Creates a host, or with `disassociate` deletes one, whatever jobs are active [533, 861-863]."""
        _administered(call, row)
        if "id" not in call.body:
            return self._add_host(call, row)
        host = self._body_row(call, self._world.hosts, "Host")
        if call.body.get("disassociate"):
            if host.inventory is row:
                self._world.remove_host(host)
            return 204, None
        if host.inventory is not row:
            raise Refusal(400, {"detail": "Cannot associate two items from different inventories."})
        return 204, None

    def _inventory_groups(self, call: Call, row: Inventory) -> Result:
        return self._show_groups(call, _readable(call, row).groups.values())

    def _create_inventory_group(self, call: Call, row: Inventory) -> Result:
        return self._add_group(call, _administered(call, row))

    def _script(self, call: Call, row: Inventory) -> Result:
        _readable(call, row)
        query = dict(call.query)
        call.items = len(row.hosts)
        if "host" in query:
            if query["host"] not in row.hosts:
                raise Refusal(404, {"detail": "No Host matches the given query."})
            return 200, row.hosts[query["host"]].parsed()
        return 200, call.shapes.script(row, query)

    def _can_copy(self, call: Call, row: Inventory) -> Result:
        _readable(call, row)
        return 200, {"can_copy": call.user.everything}

    def _copy_inventory(self, call: Call, row: Inventory) -> Result:
        """The copy at once, and its hosts and groups a little later (api/generics.py, CopyAPIView)."""
        _admin_only(call)
        fields = Fields(call.body)
        name = fields.text("name", required=True, limit=512)
        fields.check()
        copied, user = self._world.copy_inventory(row, name), call.user.user
        self._engine.later(call.now + COPY_TIME, lambda _: self._world.fill_copy(row, copied, user))
        return _created(call.shapes.inventory(copied))

    # Groups

    def _groups(self, call: Call) -> Result:
        return self._show_groups(call, [row for row in self._world.groups.values() if call.user.reads(row.inventory)])

    def _show_group(self, call: Call, row: Group) -> Result:
        _readable(call, row.inventory)
        return 200, call.shapes.group(row)

    def _create_group(self, call: Call) -> Result:
        return self._add_group(call, self._body_inventory(call))

    def _add_group(self, call: Call, inventory: Inventory) -> Result:
        fields = Fields(call.body)
        name, variables = fields.text("name", required=True, limit=512), fields.variables("variables")
        description = fields.text("description")
        fields.check()
        return _created(call.shapes.group(self._world.create_group(inventory, name, variables, description)))

    def _delete_group(self, call: Call, row: Group) -> Result:
        _administered(call, row.inventory)
        self._check_jobs(lambda job: job.inventory is row.inventory)
        self._world.remove_group(row)
        return 204, None

    def _group_hosts(self, call: Call, row: Group) -> Result:
        _readable(call, row.inventory)
        return self._show_hosts(call, row.hosts.values())

    def _change_group_hosts(self, call: Call, row: Group) -> Result:
        """Associates or disassociates a host by id [060-070], or by name, creating one that is missing [063, 510]."""
        _administered(call, row.inventory)
        if "id" in call.body:
            host = self._body_row(call, self._world.hosts, "Host")
            (self._world.leave if call.body.get("disassociate") else self._world.join)(row, host)
            return 204, None
        known = row.inventory.hosts.get(str(call.body.get("name", "")))
        if known:
            self._world.join(row, known)
            return 204, None
        result = self._add_host(call, row.inventory)
        self._world.join(row, self._world.hosts[result[1]["id"]])
        return result

    # Hosts

    def _hosts(self, call: Call) -> Result:
        rows: Iterable[Host] = self._world.hosts.values()
        within = dict(call.query).get("inventory", "")
        if within.isdecimal():
            inventory = self._world.inventories.get(int(within))
            rows = inventory.hosts.values() if inventory else ()
        if not call.user.everything:
            rows = [row for row in rows if call.user.reads(row.inventory)]
        return self._show_hosts(call, rows)

    def _show_host(self, call: Call, row: Host) -> Result:
        _readable(call, row.inventory)
        return 200, call.shapes.host(row)

    def _create_host(self, call: Call) -> Result:
        fields = Fields(call.body)
        read_host(fields)
        fields.key("inventory", required=True)
        fields.check()
        return self._add_host(call, self._body_inventory(call))

    def _add_host(self, call: Call, inventory: Inventory) -> Result:
        fields = Fields(call.body)
        host = read_host(fields)
        fields.check()
        return _created(call.shapes.host(self._world.create_host(inventory, host, call.user.user)))

    def _put_host(self, call: Call, row: Host) -> Result:
        return self._update_host(call, row, partial=False)

    def _patch_host(self, call: Call, row: Host) -> Result:
        return self._update_host(call, row, partial=True)

    def _update_host(self, call: Call, row: Host, *, partial: bool) -> Result:
        _administered(call, row.inventory)
        fields = Fields(call.body, partial)
        old = HostFields(row.name, row.description, row.variables, row.instance_id, row.enabled)
        new = read_host(fields, old)
        inventory = fields.key("inventory")
        fields.check()
        if inventory not in (None, row.inventory.id):
            raise denied("Unable to change inventory on a host.")
        self._world.change_host(row, new)
        return 200, call.shapes.host(row)

    def _delete_host(self, call: Call, row: Host) -> Result:
        _administered(call, row.inventory)
        self._check_jobs(lambda job: job.inventory is row.inventory)
        self._world.remove_host(row)
        return 204, None

    def _check_jobs(self, concerned: Callable[[Job], bool]) -> None:
        """409 while a job is active, 403 while the events of one that just ended are processed [360-365, 613, 625]."""
        jobs = [job for job in self._engine.open.values() if concerned(job)]
        if active := [{"id": job.id, "type": "job"} for job in jobs if job.active]:
            raise Refusal(409, {"error": "Resource is being used by running jobs.", "active_jobs": active})
        for job in jobs:
            raise denied(f"Related job job {job.id} ({job.status}) is still processing events.")

    def _host_groups(self, call: Call, row: Host) -> Result:
        _readable(call, row.inventory)
        return self._show_groups(call, row.groups.values())

    def _change_host_groups(self, call: Call, row: Host) -> Result:
        _administered(call, row.inventory)
        if "id" in call.body:
            group = self._body_row(call, self._world.groups, "Group")
            (self._world.leave if call.body.get("disassociate") else self._world.join)(group, row)
            return 204, None
        result = self._add_group(call, row.inventory)
        self._world.join(self._world.groups[result[1]["id"]], row)
        return result

    def _variables(self, call: Call, row: Host) -> Result:
        _readable(call, row.inventory)
        return 200, row.parsed()

    def _set_variables(self, call: Call, row: Host) -> Result:
        """PUT and PATCH alike replace everything [053, 054]."""
        _administered(call, row.inventory)
        row.variables, row.modified = json.dumps(call.body), call.now
        return 200, call.body

    # Many hosts at once

    def _about_bulk_create(self, _: Call) -> Result:
        return 200, {"detail": "Bulk create hosts with this endpoint"}

    def _bulk_create(self, call: Call) -> Result:
        fields = Fields(call.body)
        inventory_id = fields.key("inventory", required=True)
        listed = call.body.get("hosts")
        if not isinstance(listed, list):
            fields.errors["hosts"] = ["This field is required."]
            listed = []
        elif not listed:
            fields.errors["hosts"] = ["This list may not be empty."]
        inventory = self._world.inventories.get(inventory_id or 0)
        if inventory_id is not None and inventory is None:
            fields.errors["inventory"] = [f'Invalid pk "{inventory_id}" - object does not exist.']
        new, wrong = [], {}
        for position, body in enumerate(listed):
            one = Fields(body if isinstance(body, dict) else {})
            new.append(read_host(one))
            if one.errors:
                wrong[str(position)] = one.errors
        if wrong:
            fields.errors["hosts"] = wrong
        fields.check()
        call.items = len(new)
        if len(new) > self._world.bulk_create_limit:
            raise Refusal(400, {"__all__": ["Number of hosts exceeds system setting BULK_HOST_MAX_CREATE"]})
        if inventory is None or not call.user.administers(inventory):
            words = f"Inventory with id {inventory_id} not found or lack permissions to add hosts."
            raise Refusal(400, {"__all__": [words]})
        hosts = self._world.create_hosts(inventory, new)
        shown = [call.shapes.bulk_host(host) for host in hosts]
        return 201, {"url": call.shapes.url("inventories", inventory.id), "hosts": shown}

    def _about_bulk_delete(self, _: Call) -> Result:
        return 200, {"detail": "Bulk delete hosts with this endpoint"}

    def _bulk_delete(self, call: Call) -> Result:
        """All or nothing, from several inventories at once, and whatever jobs are active [220-226, 362, 871]."""
        ids = self._ids_to_delete(call.body.get("hosts"))
        call.items = len(ids)
        hosts = {number: self._world.hosts[number] for number in ids if number in self._world.hosts}
        if len(hosts) < len(ids):
            words = "Hosts do not exist or you lack permission to delete it"
            raise Refusal(400, {"hosts": {str(number): words for number in ids if number not in hosts}})
        inventories = {host.inventory.id: host.inventory for host in hosts.values()}.values()
        if lacking := [row.name for row in inventories if not call.user.administers(row)]:
            words = "Lack permissions to delete hosts from this inventory."
            raise Refusal(403, {"inventories": dict.fromkeys(lacking, words)})
        if others := [row.name for row in inventories if row.kind]:
            words = "Hosts can only be deleted from manual inventories."
            raise Refusal(400, {"inventories": dict.fromkeys(others, words)})
        for host in hosts.values():
            self._world.remove_host(host)
        return 201, {"hosts": {str(host.id): f"The host {host.name} was deleted" for host in hosts.values()}}

    def _ids_to_delete(self, ids: Any) -> list[int]:
        """The hosts of a body, which must be ids and not too many. Raises Refusal."""
        if not isinstance(ids, list):
            raise Refusal(400, {"hosts": ["This field is required."]})
        if not ids:
            raise Refusal(400, {"hosts": ["This list may not be empty."]})
        if len(ids) > self._world.bulk_delete_limit:
            words = "Number of hosts exceeds system setting BULK_HOST_MAX_DELETE"
            limits = {"BULK_HOST_MAX_DELETE": [str(self._world.bulk_delete_limit)], "Hosts_count": [str(len(ids))]}
            raise Refusal(400, {"ERROR": [words], **limits})
        if any(isinstance(number, bool) or not isinstance(number, int) for number in ids):
            raise Refusal(500, SERVER_ERROR)
        return ids

    # Job templates

    def _templates(self, call: Call) -> Result:
        rows = [row for row in self._world.templates.values() if call.user.reads_template(row)]
        return self._list(call, "template", rows, lambda row: call.shapes.template(row, detail=False))

    def _show_template(self, call: Call, row: JobTemplate) -> Result:
        return 200, call.shapes.template(_readable_template(call, row))

    def _create_template(self, call: Call) -> Result:
        _admin_only(call)
        fields = Fields(call.body)
        name = fields.text("name", required=True, limit=512)
        inventory = self._named_row(fields, "inventory", self._world.inventories)
        project = self._named_row(fields, "project", self._world.projects)
        more = self._template_fields(fields)
        fields.check()
        if project is None:
            raise Refusal(400, {"project": ["Job Templates must have a project assigned."]})
        playbook = str(call.body.get("playbook") or "")
        if not playbook:
            raise Refusal(400, {"playbook": ["Must select playbook for project."]})
        if playbook not in project.playbooks:
            raise Refusal(400, {"playbook": ["Playbook not found for project."]})
        if inventory is None and "inventory" not in more["asks"]:
            words = "You must either set a default value or ask to prompt on launch."
            raise Refusal(400, {"inventory": [words]})
        row = self._world.create_template(name, inventory, project, playbook=playbook, **more)
        return _created(call.shapes.template(row))

    def _template_fields(self, fields: Fields, old: JobTemplate | None = None) -> Json:
        """What both creating and changing a template sets, as the attributes of JobTemplate."""
        asks = {name for name in ASKS if fields.boolean(f"ask_{name}_on_launch", bool(old and name in old.asks))}
        return {
            "asks": asks,
            "description": fields.text("description", old.description if old else ""),
            "job_type": fields.choice("job_type", old.job_type if old else "run", JOB_TYPES),
            "job_tags": fields.text("job_tags", old.job_tags if old else ""),
            "skip_tags": fields.text("skip_tags", old.skip_tags if old else ""),
            "limit": fields.text("limit", old.limit if old else ""),
            "extra_vars": fields.variables("extra_vars", old.extra_vars if old else ""),
            "timeout": fields.integer("timeout", old.timeout if old else 0),
            "forks": fields.integer("forks", old.forks if old else 0),
            "job_slice_count": fields.integer("job_slice_count", old.job_slice_count if old else 1),
            "allow_simultaneous": fields.boolean("allow_simultaneous", bool(old and old.allow_simultaneous)),
            "survey_enabled": fields.boolean("survey_enabled", bool(old and old.survey_enabled)),
        }

    def _patch_template(self, call: Call, row: JobTemplate) -> Result:
        if not call.user.administers_template(row):
            raise denied()
        fields = Fields(call.body, partial=True)
        changes = {"name": fields.text("name", row.name, required=True), **self._template_fields(fields, row)}
        if "inventory" in call.body:
            changes["inventory"] = self._named_row(fields, "inventory", self._world.inventories)
        fields.check()
        for name, value in changes.items():
            setattr(row, name, value)
        row.modified = call.now
        return 200, call.shapes.template(row)

    def _delete_template(self, call: Call, row: JobTemplate) -> Result:
        _admin_only(call)
        self._check_jobs(lambda job: job.template is row)
        self._world.remove_template(row)
        return 204, None

    def _survey(self, call: Call, row: JobTemplate) -> Result:
        _readable_template(call, row)
        return 200, {"name": "", "description": "", "spec": row.survey}

    def _set_survey(self, call: Call, row: JobTemplate) -> Result:
        _admin_only(call)
        row.survey = list(call.body.get("spec", []))
        return 200, None

    # Launching

    def _launch_options(self, call: Call, row: JobTemplate) -> Result:
        _readable_template(call, row)
        questions = row.survey if row.survey_enabled else []
        needed = [question["variable"] for question in questions if question.get("required")]
        return 200, call.shapes.launch_options(row, needed)

    def _launch(self, call: Call, row: JobTemplate) -> Result:
        """A field the template does not prompt for is ignored, said so, and the job runs without it [320].

        One that is what the template has anyway is neither ignored nor said (awx/main/models/jobs.py,
        _accept_or_ignore_job_kwargs).
        """
        _launchable(call, row)
        if row.inventory:
            self._world.check_room_to_launch(row.inventory.organization)
        fields = Fields(call.body)
        given = _prompted_fields(fields, row)
        extra_vars = _extra_vars(fields, call.body["extra_vars"]) if "extra_vars" in call.body else {}
        inventory = row.inventory
        if "inventory" in row.asks and call.body.get("inventory") is not None:
            inventory = self._named_row(fields, "inventory", self._world.inventories)
        fields.check()
        ignored = _ignored_fields(call.body, row)
        if ignored.pop("extra_vars", None) is not None:
            extra_vars, refused = _answers_to_survey(row, extra_vars)
            ignored |= {"extra_vars": refused} if refused else {}
        _check_launch(call, row, inventory, extra_vars)
        accepted = {name: value for name, value in given.items() if name not in ignored}
        job = self._engine.launch(
            Launch(
                row,
                inventory,
                extra_vars=json.dumps({**parse_variables(row.extra_vars), **extra_vars}),
                user=call.user.user,
                **{"limit": row.limit, **accepted},
            )
        )
        if isinstance(job, WorkflowJob):
            shown = {"workflow_job": job.id, **call.shapes.workflow_job(job, call.now)}
        else:
            shown = {"job": job.id, **call.shapes.job(job, call.now, form="launch")}
        return _created({"ignored_fields": ignored, **shown})

    # Jobs

    def _template_jobs(self, call: Call, row: JobTemplate) -> Result:
        _readable_template(call, row)
        return self._show_jobs(call, row.jobs)

    def _jobs(self, call: Call) -> Result:
        return self._show_jobs(call, [row for row in self._world.jobs.values() if call.user.sees(row)])

    def _show_job(self, call: Call, row: Job) -> Result:
        return 200, call.shapes.job(_visible(call, row), call.now)

    def _delete_job(self, call: Call, row: Job) -> Result:
        _admin_only(call)
        if row.active:
            raise denied("Cannot delete running job resource.")
        del self._world.jobs[row.id]
        row.template.jobs.remove(row)
        return 204, None

    def _can_cancel(self, call: Call, row: Job) -> Result:
        """Whether the job is active, whoever may cancel it [367, 371]."""
        return 200, {"can_cancel": _visible(call, row).active}

    def _cancel(self, call: Call, row: Job) -> Result:
        """405 for an ended job is for superusers only [370]; everyone else gets 403, as for others' active jobs."""
        if not call.user.cancels(row):
            raise denied()
        if not row.active:
            raise Refusal(405, {"detail": 'Method "POST" not allowed.'})
        self._engine.cancel(row)
        return 202, None

    def _summaries(self, call: Call, row: Job) -> Result:
        rows = _visible(call, row).summaries
        return self._list(call, "summary", rows, lambda summary: call.shapes.summary(summary, call.now))

    def _events(self, call: Call, row: Job) -> Result:
        events = events_of(_visible(call, row), call.now)
        return self._list(call, "event", events, lambda event: call.shapes.event(event, call.now))

    def _workflow_jobs(self, call: Call) -> Result:
        rows = [row for row in self._world.workflow_jobs.values() if call.user.sees(row)]
        return self._list(call, "workflow_job", rows, lambda row: call.shapes.workflow_job(row, call.now))

    def _show_workflow_job(self, call: Call, row: WorkflowJob) -> Result:
        return 200, call.shapes.workflow_job(_visible(call, row), call.now)

    def _delete_workflow_job(self, call: Call, row: WorkflowJob) -> Result:
        _admin_only(call)
        if any(job.active for job in row.jobs):
            raise denied("Cannot delete running job resource.")
        del self._world.workflow_jobs[row.id]
        row.template.workflow_jobs.remove(row)
        return 204, None

    def _can_cancel_workflow(self, call: Call, row: WorkflowJob) -> Result:
        return 200, {"can_cancel": any(job.active for job in _visible(call, row).jobs)}

    def _cancel_workflow(self, call: Call, row: WorkflowJob) -> Result:
        active = [job for job in row.jobs if job.active]
        if not call.user.cancels(row):
            raise denied()
        if not active:
            raise Refusal(405, {"detail": 'Method "POST" not allowed.'})
        for job in active:
            self._engine.cancel(job)
        return 202, None

    # What a body refers to

    def _body_inventory(self, call: Call) -> Inventory:
        """The inventory a body names by its id, if one may add to it [044, 045, 405, 503]."""
        fields = Fields(call.body)
        number = fields.key("inventory", required=True)
        fields.text("name", required=True)
        fields.check()
        row = self._world.inventories.get(number or 0)
        if row is None or row.pending_deletion:
            raise Refusal(400, {"detail": "Inventory matching query does not exist."})
        return _administered(call, row)

    def _body_row[T](self, call: Call, rows: dict[int, T], kind: str) -> T:
        """The row a body's `id` names: an integer, and there [062, 065, 066]."""
        number = call.body["id"]
        if isinstance(number, bool) or not isinstance(number, int):
            raise Refusal(400, {"msg": '"id" field must be an integer.'})
        if number not in rows:
            raise Refusal(400, {"detail": f"{kind} matching query does not exist."})
        return rows[number]

    def _named_row[T](self, fields: Fields, name: str, rows: dict[int, T], *, required: bool = False) -> T | None:
        number = fields.key(name, required=required)
        if number is not None and number not in rows:
            fields.errors[name] = [f'Invalid pk "{number}" - object does not exist.']
        return rows.get(number) if number is not None else None

    _ROUTES: ClassVar[dict[str, dict[str, View]]] = {  # "#" is a row's id, or its name
        "": {"GET": _index},
        "ping": {"GET": _ping},
        "config": {"GET": _config},
        "me": {"GET": _me},
        "settings/bulk": {"GET": _bulk_settings},
        "tokens": {"GET": _tokens, "POST": _create_token},
        "tokens/#": {"GET": _show_token, "DELETE": _delete_token},
        "users": {"GET": _users, "POST": _create_user},
        "users/#": {"GET": _show_user},
        "users/#/roles": {"GET": _user_roles, "POST": _grant_role},
        "users/#/personal_tokens": {"POST": _create_personal_token},
        "organizations": {"GET": _organizations, "POST": _create_organization},
        "organizations/#": {"GET": _show_organization, "PATCH": _patch_organization, "DELETE": _delete_organization},
        "projects": {"GET": _projects, "POST": _create_project},
        "projects/#": {"GET": _show_project, "DELETE": _delete_project},
        "projects/#/playbooks": {"GET": _playbooks},
        "inventories": {"GET": _inventories, "POST": _create_inventory},
        "inventories/#": {"GET": _show_inventory, "DELETE": _delete_inventory},
        "inventories/#/hosts": {"GET": _inventory_hosts, "POST": _change_inventory_hosts},
        "inventories/#/groups": {"GET": _inventory_groups, "POST": _create_inventory_group},
        "inventories/#/script": {"GET": _script},
        "inventories/#/copy": {"GET": _can_copy, "POST": _copy_inventory},
        "groups": {"GET": _groups, "POST": _create_group},
        "groups/#": {"GET": _show_group, "DELETE": _delete_group},
        "groups/#/hosts": {"GET": _group_hosts, "POST": _change_group_hosts},
        "hosts": {"GET": _hosts, "POST": _create_host},
        "hosts/#": {"GET": _show_host, "PUT": _put_host, "PATCH": _patch_host, "DELETE": _delete_host},
        "hosts/#/groups": {"GET": _host_groups, "POST": _change_host_groups},
        "hosts/#/variable_data": {"GET": _variables, "PUT": _set_variables, "PATCH": _set_variables},
        "bulk/host_create": {"GET": _about_bulk_create, "POST": _bulk_create},
        "bulk/host_delete": {"GET": _about_bulk_delete, "POST": _bulk_delete},
        "job_templates": {"GET": _templates, "POST": _create_template},
        "job_templates/#": {"GET": _show_template, "PATCH": _patch_template, "DELETE": _delete_template},
        "job_templates/#/survey_spec": {"GET": _survey, "POST": _set_survey},
        "job_templates/#/launch": {"GET": _launch_options, "POST": _launch},
        "job_templates/#/jobs": {"GET": _template_jobs},
        "jobs": {"GET": _jobs},
        "jobs/#": {"GET": _show_job, "DELETE": _delete_job},
        "jobs/#/cancel": {"GET": _can_cancel, "POST": _cancel},
        "jobs/#/job_host_summaries": {"GET": _summaries},
        "jobs/#/job_events": {"GET": _events},
        "workflow_jobs": {"GET": _workflow_jobs},
        "workflow_jobs/#": {"GET": _show_workflow_job, "DELETE": _delete_workflow_job},
        "workflow_jobs/#/cancel": {"GET": _can_cancel_workflow, "POST": _cancel_workflow},
    }


def _response(status: int, result: Any, headers: dict[str, str], kind: str, items: int = 1) -> Response:
    if result is None:
        return Response(status, headers, b"", kind, items)
    if isinstance(result, str):
        return Response(status, {"Content-Type": HTML, **headers}, result.encode(), kind, items)
    body = json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {"Content-Type": "application/json", **headers}, body, kind, items)


def _created(shown: Json) -> Result:
    return 201, shown, {"Location": shown["url"]}


def _parents(row: Any) -> list[str]:
    if isinstance(row, (Host, Group)):
        return [row.inventory.name, row.inventory.organization.name]
    if isinstance(row, (Inventory, JobTemplate, Project)):
        return [row.organization.name if row.organization else ""]
    return []


def _accepts_json(accept: str) -> bool:
    kinds = {part.partition(";")[0].strip() for part in accept.split(",")}
    return bool(kinds & {"", "*/*", "application/*", "application/json", "text/html", "text/*"})


def _admin_only(call: Call) -> None:
    if not call.user.everything:
        raise denied()


def _readable(call: Call, inventory: Inventory) -> Inventory:
    if not call.user.reads(inventory):
        raise denied()
    return inventory


def _administered(call: Call, inventory: Inventory) -> Inventory:
    if not call.user.administers(inventory):
        raise denied()
    return inventory


def _launchable(call: Call, template: JobTemplate) -> JobTemplate:
    if not call.user.launches(template):
        raise denied()
    return template


def _readable_template(call: Call, template: JobTemplate) -> JobTemplate:
    if not call.user.reads_template(template):
        raise denied()
    return template


def _visible[T: (Job, WorkflowJob)](call: Call, job: T) -> T:
    if not call.user.sees(job):
        raise denied()
    return job


def _prompted_fields(fields: Fields, row: JobTemplate) -> Json:
    """What a launch gives beside its inventory and variables, or else what the template has; timeout 0 is the same."""
    return {
        "limit": fields.text("limit", row.limit, null=False),
        "timeout": fields.integer("timeout", 0),
        "job_type": fields.choice("job_type", row.job_type, JOB_TYPES),
        "job_tags": fields.text("job_tags", row.job_tags, null=False),
        "skip_tags": fields.text("skip_tags", row.skip_tags, null=False),
    }


def _ignored_fields(body: Json, row: JobTemplate) -> Json:
    """Those fields of a launch for which the template does not prompt, unless it has the same anyway."""
    return {
        name: body[name]
        for name, ask in PROMPTS.items()
        if name in body and ask not in row.asks and body[name] != _template_value(row, name)
    }


def _answers_to_survey(row: JobTemplate, extra_vars: Json) -> tuple[Json, Json]:
    """The extra variables that the template's survey asks for, and the others."""
    asked = {question["variable"] for question in row.survey} if row.survey_enabled else set()
    answers = {name: value for name, value in extra_vars.items() if name in asked}
    return answers, {name: value for name, value in extra_vars.items() if name not in asked}


def _check_launch(call: Call, row: JobTemplate, inventory: Inventory | None, extra_vars: Json) -> None:
    """Raises Refusal where the survey is not answered, or there is no inventory that one may use."""
    if row.survey_enabled:
        _check_survey(row.survey, extra_vars)
    if inventory is None or inventory.pending_deletion:
        words = "Job Template inventory is missing or undefined."
        raise Refusal(400, {"resources_needed_to_start": [words]})
    if inventory is not row.inventory and not call.user.uses(inventory):
        raise denied()


def _template_value(row: JobTemplate, name: str) -> Any:
    """What a template has for a field of a launch."""
    if name == "inventory":
        return row.inventory.id if row.inventory else None
    return getattr(row, name, {"verbosity": 0, "diff_mode": False, "scm_branch": ""}.get(name))


def _extra_vars(fields: Fields, value: Any) -> Json:
    """Extra variables, a mapping or its text [325-328, 544]."""
    if isinstance(value, dict):
        return value
    if value is None:
        fields.errors["extra_vars"] = ["This field may not be null."]
        return {}
    try:
        return parse_variables(value)
    except ValueError as error:
        fields.errors["extra_vars"] = [str(error)]
        return {}


def _check_survey(survey: list[Json], answers: Json) -> None:
    """A survey's required questions and the bounds of its texts [342, 343]; defaults count as answers."""
    wrong: list[str] = []
    for question in survey:
        name = question["variable"]
        value = answers.get(name, question.get("default") or None)
        if value is None:
            if question.get("required"):
                wrong.append(f"'{name}' value missing")
            continue
        least, most = question.get("min"), question.get("max")
        if isinstance(most, int) and len(str(value)) > most:
            wrong.append(f"'{name}' value {value} is too large (must be no more than {most}).")
        elif isinstance(least, int) and len(str(value)) < least:
            wrong.append(f"'{name}' value {value} is too small (length is {len(str(value))} must be at least {least}).")
    if wrong:
        raise Refusal(400, {"variables_needed_to_start": wrong})
