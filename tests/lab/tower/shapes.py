"""The JSON of the embedded Tower's objects, with the keys that AWX 24.6.1 gives them (recordings 014-073, 301-369,
477, 800-871). `root` is the API root the client came through: every URL carries it [560-565].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from lab.tower.jobs import JobEvent
from lab.tower.plays import TASKS
from lab.tower.world import (
    Group,
    Host,
    Inventory,
    Job,
    JobTemplate,
    Organization,
    Project,
    Role,
    Summary,
    Token,
    User,
    WorkflowJob,
    World,
    parse_variables,
)

Json = dict[str, Any]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ASKS = _names(
    """
    scm_branch diff_mode variables limit tags skip_tags job_type verbosity inventory credential
    execution_environment labels forks job_slice_count timeout instance_groups
    """
)
ENVIRONMENT = {"id": 1, "name": "AWX EE (latest)", "description": "", "image": "awx-ee:latest"}
PLACE_OF_RUN = {  # of a job that was started, in its summary
    "execution_environment": ENVIRONMENT,
    "instance_group": {"id": 2, "name": "default", "is_container_group": False},
}
NO_LABELS = {"count": 0, "results": []}
NODE = "awx-local"
HOST_LINKS = _names(
    """
    variable_data groups all_groups job_events job_host_summaries activity_stream inventory_sources
    smart_inventories ad_hoc_commands ad_hoc_command_events ansible_facts
    """
)
GROUP_LINKS = _names(
    """
    variable_data hosts potential_children children all_hosts job_events job_host_summaries activity_stream
    inventory_sources ad_hoc_commands
    """
)
INVENTORY_LINKS = _names(
    """
    hosts variable_data script activity_stream job_templates ad_hoc_commands access_list object_roles
    instance_groups copy labels groups root_groups update_inventory_sources inventory_sources tree
    """
)
NOT_OF_SMART = frozenset(_names("groups root_groups update_inventory_sources inventory_sources tree"))  # [440]
TEMPLATE_LINKS = _names(
    """
    labels credentials jobs schedules activity_stream launch webhook_key notification_templates_started
    notification_templates_success notification_templates_error access_list survey_spec object_roles
    instance_groups slice_workflow_jobs copy
    """
)
JOB_LINKS = _names(
    """
    labels credentials stdout job_events job_host_summaries activity_stream notifications create_schedule cancel
    relaunch
    """
)
USER_LINKS = _names(
    """
    teams organizations admin_of_organizations projects credentials roles activity_stream access_list tokens
    authorized_tokens personal_tokens
    """
)
ORGANIZATION_LINKS = _names(
    """
    execution_environments projects inventories job_templates workflow_job_templates users admins teams
    credentials applications activity_stream notification_templates notification_templates_started
    notification_templates_success notification_templates_error notification_templates_approvals object_roles
    access_list instance_groups galaxy_credentials
    """
)


CAPABILITIES = ("edit", "delete", "start", "schedule", "copy")  # of a job template
TEMPLATE_FIELDS = ("job_type", "playbook", "survey_enabled", "allow_simultaneous", "job_slice_count")
COLLECTIONS = {  # where the rows of a relation are
    "inventory": "inventories",
    "organization": "organizations",
    "project": "projects",
    "host": "hosts",
    "job": "jobs",
    "last_job": "jobs",
    "last_job_host_summary": "job_host_summaries",
    "job_template": "job_templates",
    "unified_job_template": "job_templates",
}

# What is the same in every row that a Tower of ours shows.
PROJECT_DEFAULTS: Json = {
    "scm_branch": "",
    "scm_refspec": "",
    "scm_clean": False,
    "scm_track_submodules": False,
    "scm_delete_on_update": False,
    "credential": None,
    "timeout": 0,
    "last_job_run": None,
    "last_job_failed": False,
    "next_job_run": None,
    "scm_update_on_launch": False,
    "scm_update_cache_timeout": 0,
    "allow_override": False,
    "custom_virtualenv": None,
    "default_environment": None,
    "signature_validation_credential": None,
    "last_update_failed": False,
    "last_updated": None,
}
PLAYBOOK_DEFAULTS: Json = {  # of templates and jobs
    "scm_branch": "",
    "verbosity": 0,
    "force_handlers": False,
    "start_at_task": "",
    "use_fact_cache": False,
    "diff_mode": False,
    "webhook_service": "",
    "webhook_credential": None,
}
TEMPLATE_DEFAULTS: Json = {
    **PLAYBOOK_DEFAULTS,
    "next_job_run": None,
    "execution_environment": None,
    "host_config_key": "",
    "become_enabled": False,
    "custom_virtualenv": None,
    "prevent_instance_group_fallback": False,
}
JOB_DEFAULTS: Json = {
    **PLAYBOOK_DEFAULTS,
    "launch_type": "manual",
    "passwords_needed_to_start": [],
    "webhook_guid": "",
}
WORKFLOW_JOB_DEFAULTS: Json = {
    "launch_type": "manual",
    "canceled_on": None,
    "job_cwd": "",
    "job_explanation": "",
    "work_unit_id": None,
    "workflow_job_template": None,
    "is_sliced_job": True,
    "scm_branch": "",
    "webhook_service": "",
    "webhook_credential": None,
    "webhook_guid": "",
    "skip_tags": "",
    "job_tags": "",
}
EVENT_DEFAULTS: Json = {"changed": False, "role": "", "start_line": 0, "end_line": 0, "verbosity": 0}

type Described = Organization | Project | Inventory | Group | Host | JobTemplate


class Shapes:
    """Renders the rows of one world for clients of one API root."""

    def __init__(self, world: World, root: str, token: Token | None = None) -> None:
        self._world = world
        self._token = token
        self.root = root

    def _may_change(self, inventory: Inventory | None) -> bool:
        """Whether the client may change what is in an inventory [016, 411]."""
        token = self._token
        return token is None or not (token.read_only or (inventory and not token.administers(inventory)))

    def _template_capabilities(self, row: JobTemplate) -> Json:
        """What the client may do with a template; nothing with a token that may only read, as with hosts [016]."""
        token = self._token
        edits = token is None or (token.administers_template(row) and not token.read_only)
        starts = token is None or (token.launches(row) and not token.read_only)
        return {name: starts if name in ("start", "schedule") else edits for name in CAPABILITIES}

    def time(self, when: float | None) -> str | None:
        if when is None:
            return None
        shown = datetime.fromtimestamp(when + self._world.clock_skew, UTC)
        return shown.isoformat(timespec="microseconds")[:-6] + "Z"

    def url(self, *parts: object) -> str:
        return f"{self.root}{'/'.join(map(str, parts))}/"

    def _links(self, url: str, names: Iterable[str]) -> Json:
        return {name: f"{url}{name}/" for name in names}

    def _related(self, **rows: Described | Job | Summary | None) -> Json:
        """The URLs of those of the rows that there are, by the name of the relation."""
        return {name: self.url(COLLECTIONS[name], row.id) for name, row in rows.items() if row}

    def _named_url(self, collection: str, name: str, *, detail: bool) -> Json:
        """The URL with a name in the place of the id, which only details have. name: with those of its parents."""
        return {"named_url": self.url(collection, name)} if detail else {}

    def _described(self, kind: str, url: str, row: Described) -> Json:
        """What every row has that a person can name and describe."""
        return {
            "id": row.id,
            "type": kind,
            "url": url,
            "created": self.time(row.created),
            "modified": self.time(row.modified),
            "name": row.name,
            "description": row.description,
        }

    def _by(self, user: User | None) -> Json:
        """The links and summaries of who made a row; absent from a host that a bulk create made [205]."""
        if user is None:
            return {}
        url = self.url("users", user.id)
        return {"created_by": url, "modified_by": url}

    def _who(self, user: User | None, names: Iterable[str] = ("created_by", "modified_by")) -> Json:
        if user is None:
            return {}
        return {name: {"id": user.id, "username": user.username, "first_name": "", "last_name": ""} for name in names}

    def me(self, token: Token) -> Json:
        """The client's own user [014, 401]: one whose token only reads shows no capability [016]."""
        shown = self.user(token.user, detail=False)
        shown["summary_fields"]["user_capabilities"] = {"edit": not token.read_only, "delete": False}
        return {**shown, "email": f"{token.user.username}@localhost", "is_superuser": token.everything}

    def user(self, user: User, *, detail: bool = True) -> Json:
        """A user as an administrator sees it [400]."""
        url = self.url("users", user.id)
        named = self._named_url("users", user.username, detail=detail)
        return {
            "id": user.id,
            "type": "user",
            "url": url,
            "related": {**named, **self._links(url, USER_LINKS)},
            "summary_fields": {
                "resource": {"ansible_id": f"00000000-0000-4000-8000-{user.id:012d}", "resource_type": "shared.user"},
                "user_capabilities": {"edit": True, "delete": True},
            },
            "created": self.time(user.created),
            "modified": None,
            "username": user.username,
            "first_name": "",
            "last_name": "",
            "email": "",
            "is_superuser": user is self._world.admin,
            "is_system_auditor": False,
            "password": "$encrypted$",
            "ldap_dn": "",
            "last_login": None,
            "external_account": None,
            "auth": [],
        }

    def role(self, numbered: tuple[int, Role]) -> Json:
        number, role = numbered
        kind = {"inventory": "inventory", "template": "job_template"}[role.kind]
        fields = {"resource_id": role.row, "resource_type": kind}
        return {"id": number, "type": "role", "name": role.name, "summary_fields": fields}

    def token(self, row: Token, text: str = "************") -> Json:
        url = self.url("tokens", row.id)
        return {
            "id": row.id,
            "type": "o_auth2_access_token",
            "url": url,
            "related": {"user": self.url("users", row.user.id), **self._links(url, ("activity_stream",))},
            "summary_fields": {"user": self._who(row.user, ("user",))["user"]},
            "created": self.time(row.created),
            "modified": self.time(row.created),
            "description": row.description,
            "user": row.user.id,
            "token": text,
            "refresh_token": None,
            "application": None,
            "expires": self.time(row.created + 31_536_000_000.0),
            "scope": "read" if row.read_only else "write",
        }

    def organization(self, row: Organization, *, detail: bool = True) -> Json:
        url = self.url("organizations", row.id)
        named = self._named_url("organizations", row.name, detail=detail)
        counts = dict.fromkeys(("inventories", "teams", "users", "job_templates", "admins", "projects"), 0)
        inventories = sum(other.organization is row for other in self._world.inventories.values())
        return {
            **self._described("organization", url, row),
            "related": {**named, **self._by(self._world.admin), **self._links(url, ORGANIZATION_LINKS)},
            "summary_fields": {
                "resource": {
                    "ansible_id": f"00000000-0000-4000-9000-{row.id:012d}",
                    "resource_type": "shared.organization",
                },
                **self._who(self._world.admin),
                "object_roles": {},
                "user_capabilities": {"edit": True, "delete": True},
                "related_field_counts": {**counts, "inventories": inventories},
            },
            "max_hosts": row.max_hosts,
            "custom_virtualenv": None,
            "default_environment": None,
        }

    def _organization_summary(self, row: Organization | None) -> Json:
        if row is None:
            return {}
        return {"organization": _brief(row)}

    def project(self, row: Project, *, detail: bool = True) -> Json:
        url = self.url("projects", row.id)
        name = f"{row.name}++{row.organization.name if row.organization else ''}"
        named = self._named_url("projects", name, detail=detail)
        return {
            **self._described("project", url, row),
            **PROJECT_DEFAULTS,
            "related": {
                **named,
                **self._by(self._world.admin),
                **self._links(url, ("playbooks", "inventories", "update", "project_updates", "access_list")),
            },
            "summary_fields": {
                **self._organization_summary(row.organization),
                **self._who(self._world.admin),
                "user_capabilities": {"edit": True, "delete": True, "start": True, "schedule": True, "copy": True},
            },
            "local_path": f"_{row.id}__{row.name}" if row.scm_type else row.name,
            "scm_type": row.scm_type,
            "scm_url": row.scm_url,
            "scm_revision": row.scm_revision,
            "status": _project_status(row),
            "organization": _id(row.organization),
        }

    def inventory(self, row: Inventory, *, detail: bool = True) -> Json:
        url = self.url("inventories", row.id)
        named = self._named_url("inventories", f"{row.name}++{row.organization.name}", detail=detail)
        may_change = self._may_change(row)
        return {
            **self._described("inventory", url, row),
            **_inventory_counts(row),
            "related": {
                **named,
                **self._by(self._world.admin),
                **self._links(url, (name for name in INVENTORY_LINKS if not (row.kind and name in NOT_OF_SMART))),
                **self._related(organization=row.organization),
            },
            "summary_fields": {
                **self._organization_summary(row.organization),
                **self._who(self._world.admin),
                "object_roles": _roles(row),
                "user_capabilities": {
                    **dict.fromkeys(("edit", "delete", "adhoc"), may_change),
                    "copy": may_change and (self._token is None or self._token.everything),
                },
                "labels": NO_LABELS,
            },
            "organization": row.organization.id,
            "host_filter": row.host_filter,
            "variables": row.variables,
            "pending_deletion": row.pending_deletion,
            "prevent_instance_group_fallback": False,
        }

    def _inventory_summary(self, row: Inventory | None) -> Json:
        if row is None:
            return {}
        return {"inventory": {**_brief(row), **_inventory_counts(row), "organization_id": row.organization.id}}

    def group(self, row: Group, *, detail: bool = True) -> Json:
        url = self.url("groups", row.id)
        return {
            **self._described("group", url, row),
            "related": {
                **self._named_url("groups", _named(row.name, row.inventory), detail=detail),
                **self._by(self._world.admin),
                **self._links(url, GROUP_LINKS),
                **self._related(inventory=row.inventory),
            },
            "summary_fields": {
                **self._inventory_summary(row.inventory),
                **self._who(self._world.admin),
                "user_capabilities": dict.fromkeys(("edit", "delete", "copy"), self._may_change(row.inventory)),
            },
            "inventory": row.inventory.id,
            "variables": row.variables,
        }

    def host(self, row: Host, *, detail: bool = True) -> Json:
        url = self.url("hosts", row.id)
        last = row.last_summary
        return {
            **self._described("host", url, row),
            "related": {
                **self._named_url("hosts", _named(row.name, row.inventory), detail=detail),
                **self._by(row.created_by),
                **self._links(url, HOST_LINKS),
                **self._related(inventory=row.inventory, last_job=last and last.job, last_job_host_summary=last),
            },
            "summary_fields": {
                **self._inventory_summary(row.inventory),
                **self._last_job_of_host(last),
                **self._who(row.created_by),
                "user_capabilities": dict.fromkeys(("edit", "delete"), self._may_change(row.inventory)),
                "groups": _group_summary(row),
                "recent_jobs": [self._recent_job(job) for job in row.recent_jobs],
            },
            "inventory": row.inventory.id,
            "enabled": row.enabled,
            "instance_id": row.instance_id,
            "variables": row.variables,
            "has_active_failures": row.failing,
            "has_inventory_sources": False,
            "last_job": last.job.id if last else None,
            "last_job_host_summary": _id(last),
            "ansible_facts_modified": None,
        }

    def _last_job_of_host(self, last: Summary | None) -> Json:
        if last is None:
            return {}
        job = last.job
        return {
            "last_job": {**_brief_job(job), "finished": self.time(job.finished), **_template_of(job)},
            "last_job_host_summary": {"id": last.id, "failed": last.failed},
        }

    def _recent_job(self, job: Job) -> Json:
        finished = self.time(job.finished)
        return {"id": job.id, "name": job.name, "type": "job", "status": job.status, "finished": finished}

    def bulk_host(self, row: Host) -> Json:
        return {
            "name": row.name,
            "enabled": row.enabled,
            "instance_id": row.instance_id,
            "description": row.description,
            "variables": row.variables,
            "id": row.id,
            "url": self.url("hosts", row.id),
            "inventory": self.url("inventories", row.inventory.id),
        }

    def template(self, row: JobTemplate, *, detail: bool = True) -> Json:
        url = self.url("job_templates", row.id)
        organization = row.organization
        last = _last_finished(row)
        name = f"{row.name}++{organization.name if organization else ''}"
        return {
            **self._described("job_template", url, row),
            **TEMPLATE_DEFAULTS,
            **_playbook_settings(row, row.forks),
            **_asks(row),
            "related": {
                **self._by(self._world.admin),
                **self._links(url, TEMPLATE_LINKS),
                "webhook_receiver": "",
                **self._named_url("job_templates", name, detail=detail),
                **self._related(inventory=row.inventory, project=row.project, organization=organization, last_job=last),
            },
            "summary_fields": {
                **self._organization_summary(organization),
                **self._inventory_summary(row.inventory),
                **self._project_summary(row.project),
                **self._who(self._world.admin),
                "object_roles": _roles(row),
                "user_capabilities": self._template_capabilities(row),
                "labels": NO_LABELS,
                "recent_jobs": self._recent_jobs_of_template(row),
                "credentials": [],
                **self._last_job_of_template(last),
            },
            **{name: getattr(row, name) for name in TEMPLATE_FIELDS},
            "inventory": _id(row.inventory),
            "project": _id(row.project),
            "organization": _id(organization),
            "last_job_run": self.time(last.finished) if last else None,
            "last_job_failed": bool(last and _failed(last)),
            "status": _template_status(row, last),
        }

    def _recent_jobs_of_template(self, row: JobTemplate) -> list[Json]:
        """The newest ten, sliced ones as a whole."""
        single = [job for job in row.jobs[-10:] if job.workflow is None]
        recent: list[Job | WorkflowJob] = sorted([*single, *row.workflow_jobs[-10:]], key=lambda job: -job.id)
        return [
            {
                "id": job.id,
                "status": job.status,
                "finished": self.time(job.finished),
                "canceled_on": self.time(job.canceled_on) if isinstance(job, Job) else None,
                "type": "job" if isinstance(job, Job) else "workflow_job",
            }
            for job in recent[:10]
        ]

    def _last_job_of_template(self, last: Job | None) -> Json:
        if last is None:
            return {}
        canceled = {"canceled_on": self.time(last.canceled_on)} if last.canceled_on is not None else {}
        return {
            "last_job": {**_brief_job(last), "finished": self.time(last.finished), **canceled},
            "last_update": _brief_job(last),
        }

    def _project_summary(self, row: Project | None) -> Json:
        if row is None:
            return {}
        return {
            "project": {
                **_brief(row),
                "status": _project_status(row),
                "scm_type": row.scm_type,
                "allow_override": False,
            }
        }

    def launch_options(self, row: JobTemplate, needed: list[str]) -> Json:
        """What GET on a template's launch/ shows [310, 311]."""
        return {
            "can_start_without_user_input": not (needed or row.asks or row.survey_enabled or row.inventory is None),
            "passwords_needed_to_start": [],
            **_asks(row),
            "survey_enabled": row.survey_enabled,
            "variables_needed_to_start": needed,
            "credential_needed_to_start": False,
            "inventory_needed_to_start": row.inventory is None,
            "job_template_data": {"name": row.name, "id": row.id, "description": row.description},
            "defaults": {
                "inventory": {"name": row.inventory.name, "id": row.inventory.id} if row.inventory else {},
                "limit": row.limit,
                "scm_branch": "",
                "job_tags": row.job_tags,
                "skip_tags": row.skip_tags,
                "extra_vars": row.extra_vars,
                "diff_mode": False,
                "job_type": row.job_type,
                "verbosity": 0,
                "execution_environment": {},
                "forks": row.forks,
                "job_slice_count": row.job_slice_count,
                "timeout": row.timeout,
                "instance_groups": [],
            },
        }

    def _template_summary(self, row: JobTemplate) -> Json:
        if row.deleted:
            return {}
        return {"job_template": _brief(row), "unified_job_template": {**_brief(row), "unified_job_type": "job"}}

    def _launcher(self, user: User) -> Json:
        return {"id": user.id, "name": user.username, "type": "user", "url": self.url("users", user.id)}

    def job(self, row: Job, now: float, *, form: str = "detail") -> Json:
        """A job as a list shows it, as its launch answers it, or in detail: `form` is "list", "launch" or "detail"."""
        url = self.url("jobs", row.id)
        template = row.template
        template_id = None if template.deleted else template.id
        shown: Json = {
            "id": row.id,
            "type": "job",
            "url": url,
            **JOB_DEFAULTS,
            **_playbook_settings(row, template.forks),
            **_progress_of_job(row),
            "related": self._job_related(row, url),
            "summary_fields": self._job_summary_fields(row),
            "created": self.time(row.created),
            "modified": self.time(row.modified),
            "name": row.name,
            "description": template.description,
            "job_type": row.job_type,
            "inventory": _id(row.inventory),
            "project": _id(template.project),
            "playbook": template.playbook,
            "organization": _id(template.organization),
            "job_template": template_id,
            "unified_job_template": template_id,
            "started": self.time(row.started),
            "finished": self.time(row.finished),
            "canceled_on": self.time(row.canceled_on),
            "elapsed": _elapsed(row, now),
            "launched_by": self._launcher(row.launched_by),
            "allow_simultaneous": template.allow_simultaneous,
            "scm_revision": row.scm_revision,
            "job_slice_number": row.slice_number,
            "job_slice_count": row.slice_count,
        }
        if form != "list":
            shown |= _end_of_job(row, now)
        if form == "detail":
            shown |= _counts_of_job(row)
        return shown

    def _job_related(self, row: Job, url: str) -> Json:
        template = row.template
        shown = template if not template.deleted else None
        environment = {"execution_environment": self.url("execution_environments", 1)} if _was_started(row) else {}
        return {
            **{name: self.url("users", row.launched_by.id) for name in _changed_by(row)},
            **self._links(url, JOB_LINKS),
            **self._related(
                job_template=shown,
                unified_job_template=shown,
                inventory=row.inventory,
                project=template.project,
                organization=template.organization,
            ),
            **environment,
        }

    def _job_summary_fields(self, row: Job) -> Json:
        template, token = row.template, self._token
        return {
            **self._organization_summary(template.organization),
            **self._inventory_summary(row.inventory),
            **self._project_summary(template.project),
            **self._template_summary(template),
            **self._who(row.launched_by, _changed_by(row)),
            "user_capabilities": {
                "delete": token is None or token.everything,
                "start": token is None or token.launches(template),
            },
            "labels": NO_LABELS,
            "credentials": [],
            **(PLACE_OF_RUN if _was_started(row) else {}),
        }

    def workflow_job(self, row: WorkflowJob, now: float) -> Json:
        url = self.url("workflow_jobs", row.id)
        links = ("workflow_nodes", "labels", "activity_stream", "relaunch", "cancel")
        template = row.template
        return {
            "id": row.id,
            "type": "workflow_job",
            "url": url,
            **WORKFLOW_JOB_DEFAULTS,
            "related": {**self._by(row.launched_by), **self._links(url, links)},
            "summary_fields": {
                **self._organization_summary(template.organization),
                **self._inventory_summary(row.inventory),
                **self._template_summary(template),
                **self._who(row.launched_by),
                "user_capabilities": {"delete": True, "start": True},
                "labels": NO_LABELS,
            },
            "created": self.time(row.created),
            "modified": self.time(row.created),
            "name": row.name,
            "description": template.description,
            "unified_job_template": template.id,
            "status": row.status,
            "failed": row.status == "failed",
            "started": self.time(row.started),
            "finished": self.time(row.finished),
            "elapsed": _elapsed(row, now),
            "launched_by": self._launcher(row.launched_by),
            "extra_vars": row.extra_vars,
            "allow_simultaneous": template.allow_simultaneous,
            "job_template": template.id,
            "inventory": _id(row.inventory),
            "limit": row.limit,
        }

    def _job_summary(self, job: Job, now: float) -> Json:
        return {**_brief_job(job), "elapsed": _elapsed(job, now), "type": "job", **_template_of(job)}

    def summary(self, row: Summary, now: float) -> Json:
        """A job host summary. A deleted host leaves `host` null and keeps its name [810, 811]."""
        host = None if row.host.deleted else row.host
        return {
            "id": row.id,
            "type": "job_host_summary",
            "url": self.url("job_host_summaries", row.id),
            "related": self._related(job=row.job, host=host),
            "summary_fields": {"job": self._job_summary(row.job, now), **_host_summary(host)},
            "created": self.time(row.created),
            "modified": self.time(row.created),
            "job": row.job.id,
            "host": _id(host),
            "constructed_host": None,
            "host_name": row.host_name,
            "changed": row.changed,
            "dark": row.dark,
            "failures": row.failures,
            "ok": row.ok,
            "processed": 1,
            "skipped": row.skipped,
            "failed": row.failed,
            "ignored": row.ignored,
            "rescued": 0,
        }

    def event(self, row: JobEvent, now: float) -> Json:
        host = row.host if row.host and not row.host.deleted else None
        url = self.url("job_events", row.id)
        data = _event_data(row)
        return {
            "id": row.id,
            "type": "job_event",
            "url": url,
            **EVENT_DEFAULTS,
            "related": {**self._related(job=row.job, host=host), **self._links(url, ("children",))},
            "summary_fields": {"job": self._job_summary(row.job, now), "role": {}, **_host_summary(host)},
            "created": self.time(row.created),
            "modified": self.time(row.created + row.job.event_lag),
            "job": row.job.id,
            "event": row.event,
            "counter": row.counter,
            "event_display": row.display,
            "event_data": data,
            "event_level": 3 if row.host_name else 2,
            "failed": row.failed,
            "uuid": data["uuid"],
            "parent_uuid": data.get("task_uuid", "") if row.host_name else "",
            "host": _id(host),
            "host_name": row.host_name,
            "playbook": data["playbook"],
            "play": data.get("play", ""),
            "task": row.task,
            "stdout": row.message,
        }

    def script(self, row: Inventory, query: dict[str, str]) -> Json:
        """The whole inventory in Ansible's dynamic form [378, 379, 700].

        Groups without hosts are left out; `all.hosts` are the hosts in no group.
        """
        shown = [host for host in row.hosts.values() if host.enabled or _on(query, "all")]
        groups = _script_groups(row, shown)
        top = _script_variables(row.variables)
        if alone := [host.name for host in shown if not host.groups]:
            top["hosts"] = alone
        if groups:
            top["children"] = list(groups)
        result: Json = {"all": top, **groups}
        if _on(query, "hostvars"):
            tower = _tower_variables if _on(query, "towervars") else _no_variables
            result["_meta"] = {"hostvars": {host.name: {**host.parsed(), **tower(host)} for host in shown}}
        return result


def _script_groups(inventory: Inventory, hosts: Iterable[Host]) -> Json:
    """The groups in which there are some of these hosts."""
    ids = {host.id for host in hosts}
    found: Json = {}
    for group in inventory.groups.values():
        names = [host.name for host in group.hosts.values() if host.id in ids]
        if names:
            found[group.name] = {"hosts": names, **_script_variables(group.variables)}
    return found


def _script_variables(text: str) -> Json:
    variables = parse_variables(text) if text else {}
    return {"vars": variables} if variables else {}


def _no_variables(_: Host) -> Json:
    return {}


def _id(row: Described | Summary | None) -> int | None:
    return row.id if row else None


def _brief(row: Described) -> Json:
    return {"id": row.id, "name": row.name, "description": row.description}


def _brief_job(job: Job) -> Json:
    return {"id": job.id, "name": job.name, "description": "", "status": job.status, "failed": _failed(job)}


def _template_of(job: Job) -> Json:
    return {"job_template_id": job.template.id, "job_template_name": job.template.name}


def _host_summary(host: Host | None) -> Json:
    return {"host": _brief(host)} if host else {}


def _group_summary(host: Host) -> Json:
    groups = [{"id": group.id, "name": group.name} for group in host.groups.values()]
    return {"count": len(groups), "results": groups[:5]}


def _inventory_counts(row: Inventory) -> Json:
    """What an inventory and its summary both show."""
    return {
        "kind": row.kind,
        "has_active_failures": row.failing > 0,
        "total_hosts": len(row.hosts),
        "hosts_with_active_failures": row.failing,
        "total_groups": len(row.groups),
        "has_inventory_sources": False,
        "total_inventory_sources": 0,
        "inventory_sources_with_failures": 0,
    }


def _asks(row: JobTemplate) -> Json:
    return {f"ask_{name}_on_launch": name in row.asks for name in ASKS}


def _was_started(job: Job) -> bool:
    """Whether a node took the job, also if it was canceled after that."""
    return job.status not in ("pending", "new") and not (job.status == "canceled" and job.started is None)


def _changed_by(job: Job) -> tuple[str, ...]:
    """As what a job names the user who launched it: once it is started, Tower itself has changed it."""
    return ("created_by",) if _was_started(job) else ("created_by", "modified_by")


def _elapsed(row: Job | WorkflowJob, now: float) -> float:
    """Seconds from the start to the end, or to now."""
    if row.started is None:
        return 0.0
    return round((now if row.finished is None else row.finished) - row.started, 3)


def _progress_of_job(row: Job) -> Json:
    """How far a job has come, and where it runs."""
    started = _was_started(row)
    node = NODE if started else ""
    return {
        "status": row.status,
        "failed": _failed(row),
        "job_explanation": row.explanation,
        "execution_environment": 1 if started else None,
        "execution_node": node,
        "controller_node": node,
        "instance_group": 2 if started else None,
        "work_unit_id": f"{row.id:08x}" if row.started is not None else None,
    }


def _end_of_job(row: Job, now: float) -> Json:
    """What a list of jobs does not show."""
    return {
        "job_cwd": f"/tmp/awx_{row.id}/project" if row.started is not None else "",  # noqa: S108
        "event_processing_finished": row.events_done is not None and row.events_done <= now,
    }


def _counts_of_job(row: Job) -> Json:
    """What only the details of a job show."""
    counts = Counter("dark" if each.dark else "failures" if each.failures else "ok" for each in row.summaries)
    played = bool(row.results) and row.started is not None
    return {
        "host_status_counts": dict(counts) or None,
        "playbook_counts": {"play_count": int(played), "task_count": 2 if played else 0},
        "custom_virtualenv": None,
    }


def _roles(row: Inventory | JobTemplate) -> Json:
    """A row's roles [022, 301], without their names and descriptions for people."""
    return {name: {"id": number} for name, number in row.roles.items()}


def _tower_variables(host: Host) -> Json:
    enabled = "true" if host.enabled else "false"
    return {
        "remote_host_enabled": enabled,
        "remote_host_id": host.id,
        "remote_tower_enabled": enabled,
        "remote_tower_id": host.id,
    }


def _on(query: dict[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("1", "true", "yes", "on", "t", "y")


def _named(name: str, inventory: Inventory) -> str:
    """The last part of a named URL: the name with those of its parents, reserved characters encoded [043, 517]."""
    safe = "".join(f"%{ord(char):02X}" if char in ";/?:@=&[]" else char for char in name)
    return f"{safe}++{inventory.name}++{inventory.organization.name}"


def _failed(job: Job) -> bool:
    return job.status in ("failed", "error", "canceled")


def _project_status(project: Project) -> str:
    return "successful" if project.scm_type else "ok"


def _last_finished(row: JobTemplate) -> Job | None:
    return max((job for job in row.jobs if job.finished), key=lambda job: (job.finished, job.id), default=None)


def _template_status(row: JobTemplate, last: Job | None) -> str:
    for job in reversed(row.jobs):
        if job.active:
            return job.status
    if last is None:
        return "never updated"
    return "failed" if _failed(last) else "successful"


def _playbook_settings(row: JobTemplate | Job, forks: int) -> Json:
    return {
        "forks": forks,
        "limit": row.limit,
        "extra_vars": row.extra_vars,
        "job_tags": row.job_tags,
        "skip_tags": row.skip_tags,
        "timeout": row.timeout,
    }


def _event_data(row: JobEvent) -> Json:
    """What an event's data say of the playbook, and as far as it is about them of its play, its task and its host."""
    data: Json = {"playbook": row.job.template.playbook, "uuid": f"00000000-0000-4000-a000-{row.id:012d}"}
    if row.play:
        again = "" if row.play == 1 else f"_{row.play}"  # ansible-runner's, for the play's next batch
        data |= {"play": "all", "play_pattern": "all"}
        data |= {"play_uuid": f"02fc0000-0001-0000-0000-{row.job.id:012d}{again}"}
    if row.task:
        data |= _task_data(row)
    if row.host_name:
        data |= {"host": row.host_name}
    return data


def _task_data(row: JobEvent) -> Json:
    """What an event's data say of its task. Each job has a directory of its own for its project."""
    action = TASKS[row.task].partition(":")[0]
    shape = row.job.playbook
    data: Json = {
        "task": row.task,
        "task_uuid": f"02fc0000-0002-0000-{list(TASKS).index(row.task):04d}-{row.job.id:012d}",
        "task_action": action,
        "resolved_action": f"ansible.builtin.{action}",
        "task_args": "",
        "task_path": f"/tmp/awx_{row.job.id}/project/{row.job.template.playbook}:{shape.line_of(row.task)}",  # noqa: S108
    }
    if row.event == "playbook_on_task_start":
        data |= {"name": row.task, "is_conditional": row.is_handler}
    elif row.event == "playbook_on_notify":
        data |= {"handler": row.task}
    elif row.event != "runner_on_start" and row.host_name:
        data |= {"res": {"msg": row.message, "changed": False}}
    if row.event == "runner_on_failed":
        data |= {"ignore_errors": None}
    return data
