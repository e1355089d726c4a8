"""What Tower answers, read into our data: raw JSON comes in here, frozen data goes out.

Numbers in brackets: recorded exchanges, see tests/contract/recordings.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from rollcall.domain.aws_text import INSTANCE_ID
from rollcall.domain.errors import BadSettings, TowerRejected
from rollcall.domain.inventories import DumpedHost, Inventory
from rollcall.domain.jobs import Job, JobEvent, JobStatus, JobTemplate

if TYPE_CHECKING:
    from rollcall.http.transport import Json

TOWERS_OWN = ("remote_host_enabled", "remote_host_id", "remote_tower_enabled", "remote_tower_id")  # in a dump [700]
# Each job has a directory of its own, on servers without containers, that its project and requirements are put into.
BEFORE_PROJECT = re.compile(r"^.*?/(?=(?:project|requirements_roles|requirements_collections)/)")
OF_ANSIBLE = re.compile(r"^ansible\.(?:builtin|legacy)\.")
WHOLE_RUN = {"job_type": "run", "job_tags": "", "skip_tags": ""}  # a job that changes hosts by all of a playbook


def epoch(text: str) -> float:
    """Epoch seconds of a time as Tower writes it."""
    return datetime.fromisoformat(text).timestamp()


def has_capability(raw: Json, name: str) -> bool:
    """Whether the token's user may do this with a thing: edit it, start it."""
    return bool(raw["summary_fields"].get("user_capabilities", {}).get(name))


def organization_of(raw: Json) -> str:
    """The name of the organization that a thing belongs to."""
    return str(raw["summary_fields"].get("organization", {}).get("name", "(no organization)"))


def owner_of(raw: Json) -> str:
    """The user that launched a job; what else did, where none did."""
    user = raw["summary_fields"].get("created_by") or {}
    return str(user.get("username") or (raw.get("launched_by") or {}).get("name") or "(unknown)")


def read_inventory(raw: Json) -> Inventory:
    """An inventory. Raises BadSettings for one that only mirrors the hosts of others."""
    if raw.get("kind"):
        raise BadSettings(f"inventory {raw['name']!r} is {raw['kind']} and cannot hold hosts of its own: name another")
    return Inventory(raw["id"], raw["name"], organization_of(raw))


def read_dumped_host(inventory: Inventory, name: str, raw: Json, groups: set[str]) -> DumpedHost:
    """A host of a dump. raw: its variables, and Tower's own beside them. groups: the names of those that it is in."""
    return DumpedHost(
        id=raw["remote_tower_id"],
        name=name,
        inventory_id=inventory.id,
        inventory_name=inventory.name,
        enabled=raw["remote_tower_enabled"] == "true",
        variables={key: value for key, value in raw.items() if key not in TOWERS_OWN},
        groups=frozenset(groups),
    )


def read_job_template(raw: Json) -> JobTemplate:
    """A job template; older servers leave out what they cannot do."""
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
        project_id=raw.get("project"),
    )


def read_job(raw: Json) -> Job:
    """A job as lists show it. Raises TowerRejected for a status that is none of AWX's."""
    try:
        status = JobStatus(raw["status"])
    except ValueError as error:
        raise TowerRejected(f"job {raw['id']} has a status we do not know: {raw['status']!r}") from error
    return Job(
        id=raw["id"],
        template_id=raw["unified_job_template"],
        status=status,
        hosts=_instances_in(raw["limit"]),
        created_at=epoch(raw["created"]),
        started_at=epoch(raw["started"]) if raw["started"] else None,
        finished_at=epoch(raw["finished"]) if raw["finished"] else None,
        explanation=raw["job_explanation"],
        inventory_id=raw["inventory"],
        is_whole={name: raw[name] for name in WHOLE_RUN} == WHOLE_RUN,
        is_limited_to_ids=names_only_instances(raw["limit"]),
        playbook=str(raw["playbook"]),
        scm_revision=str(raw["scm_revision"]),
        launched_by=owner_of(raw),
    )


def limit_words(limit: str) -> list[str]:
    """What a limit is made of: Ansible separates its patterns by commas, colons and blanks."""
    return [word for word in re.split(r"[,:\s]+", limit) if word]


def _instances_in(limit: str) -> frozenset[str]:
    """The instance ids that a limit names, and does not exclude. Patterns and groups name none."""
    words = limit_words(limit)
    return frozenset(filter(INSTANCE_ID.allows, words)) - {word[1:] for word in words if word.startswith("!")}


def names_only_instances(limit: str) -> bool:
    """Whether a limit is nothing but instance ids: then a job runs on no other host."""
    words = limit_words(limit)
    return bool(words) and all(map(INSTANCE_ID.allows, words))


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
        at=epoch(raw["created"]),
        is_handler=bool(data.get("is_conditional")),
        handler=str(data.get("handler") or ""),
        ignored=bool(data.get("ignore_errors")),
        delegated=isinstance(result, dict) and bool(result.get("_ansible_delegated_vars")),
    )
