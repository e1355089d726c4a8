"""What Tower answers, row by row, in AWX's own fields; and what the tests of its client ask about."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

from rollcall.domain.inventories import Host, Inventory
from rollcall.domain.jobs import Job, JobKind, JobStatus, JobTemplate

if TYPE_CHECKING:
    pass

PROD = Inventory(3, "prod")
KIND = JobKind(10, PROD.id)
TEMPLATE = JobTemplate(10, "provision", None, asks_limit=True, asks_inventory=True, slices=1)
DUPLICATES = [
    {"__all__": ["Hostnames must be unique in an inventory. Duplicates found: ['i-a']"]},
    "cannot create host, host creation error duplicate key value violates unique constraint",
    {"__all__": ["Host with this Name and Inventory already exists."]},
    {"detail": 'duplicate key value violates unique constraint "main_host_name_inventory_id_45aecd68_uniq"'},
]
TOO_LARGE = (413, "<html>\r\n<head><title>413 Request Entity Too Large</title></head></html>")
LONG_IDS = [f"i-{number:017x}" for number in range(500)]
DENIED = {"detail": "You do not have permission to perform this action."}


def raw_host(number: int = 1, name: str = "i-a", **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "inventory": 3,
        "instance_id": name,
        "variables": "",
        "created": "2026-11-21T02:00:11.123456Z",
        "summary_fields": {"inventory": {"name": "prod", "kind": ""}, "groups": {"count": 0, "results": []}},
    } | changes


def raw_job(number: int = 7, limit: str = "i-a", **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "unified_job_template": 10,
        "status": "running",
        "limit": limit,
        "created": "2026-11-21T02:00:11Z",
        "started": None,
        "finished": None,
        "job_explanation": "",
        "event_processing_finished": True,
        "elapsed": 1.0,
        "job_type": "run",
        "inventory": 3,
        "job_tags": "",
        "skip_tags": "",
        "playbook": "site.yml",
        "scm_revision": "c0ffee",
        "summary_fields": {"created_by": {"username": "fleet"}},
    } | changes


def host(number: int = 1, inventory: Inventory = PROD) -> Host:
    return Host(number, f"i-{number}", inventory.id, inventory.name, f"i-{number}", {}, 0.0, frozenset())


def raw_inventory(number: int = 3, name: str = "prod", organization: str = "Default", **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "kind": "",
        "summary_fields": {"organization": {"name": organization}},
    } | changes


def raw_template(**changes: Any) -> dict[str, Any]:
    return {
        "id": 10,
        "name": "provision",
        "inventory": None,
        "ask_limit_on_launch": True,
        "ask_inventory_on_launch": True,
        "job_slice_count": 1,
        "summary_fields": {"organization": {"name": "Default"}},
    } | changes


def job_of(status: str, **changes: Any) -> Job:
    known = Job(
        7, 10, JobStatus(status), frozenset({"i-a"}), 0.0, 0.0, 1.0, "", 3, True, True, "site.yml", "c0ffee", "fleet"
    )
    return replace(known, **changes)


def summary(name: str, **changes: Any) -> dict[str, Any]:
    return {"host_name": name, "host": None, "failed": False, "dark": 0, "failures": 0, "ok": 1, "ignored": 0} | changes


def capable(**capabilities: bool) -> dict[str, Any]:
    return {"summary_fields": {"user_capabilities": capabilities}}
