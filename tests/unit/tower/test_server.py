"""What the server is, and what the token may do there. Against scripted answers in AWX's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.errors import TowerRejected
from rollcall.domain.inventories import BulkLimits, HostLimit
from rollcall.domain.jobs import TowerUser
from rollcall.tower.client import Tower
from unit.wire import Wire

from .rows import PROD, capable

if TYPE_CHECKING:
    pass


def test_what_tells_no_version_is_not_tower(tower: Tower, wire: Wire) -> None:
    wire.then(200, {"pong": True})
    with pytest.raises(TowerRejected, match="ping/ does not answer as Tower does"):
        tower.version()


@pytest.mark.parametrize("edits", [True, False])
def test_the_token_writes_if_its_user_may_change_itself(tower: Tower, wire: Wire, edits: bool) -> None:
    wire.then(200, {"count": 1, "results": [{"username": "fleet"} | capable(edit=edits, delete=False)]})
    assert tower.user() == TowerUser("fleet", edits)


@pytest.mark.parametrize(("status", "has"), [(200, True), (403, True), (404, False)])
def test_only_an_unknown_page_is_no_bulk_call(tower: Tower, wire: Wire, status: int, has: bool) -> None:
    wire.then(status, {"detail": "x"})
    assert tower.has_bulk_calls() == has


@pytest.mark.parametrize(
    ("status", "body", "limits"),
    [
        (200, {"BULK_HOST_MAX_CREATE": 50, "BULK_HOST_MAX_DELETE": 60}, BulkLimits(50, 60)),
        (200, {"BULK_JOB_MAX_LAUNCH": 100}, BulkLimits(100, 250)),
        (403, {"detail": "You do not have permission to perform this action."}, None),
        (404, {"detail": "Not found."}, None),
    ],
)
def test_the_limits_of_bulk_calls_are_the_servers_or_not_told(
    tower: Tower, wire: Wire, status: int, body: Any, limits: BulkLimits | None
) -> None:
    wire.then(status, body)
    assert tower.bulk_limits() == limits


@pytest.mark.parametrize(
    ("status", "organization", "limit"),
    [
        (200, {"max_hosts": 10, "summary_fields": {"related_field_counts": {"hosts": 9}}}, 10),
        (200, {"max_hosts": 0, "summary_fields": {"related_field_counts": {"hosts": 9}}}, None),
        (200, {"max_hosts": 10, "summary_fields": {"related_field_counts": {"inventories": 2}}}, None),
        (200, {"max_hosts": 10, "summary_fields": {}}, None),
        (200, {"summary_fields": {"related_field_counts": {"hosts": 9}}}, None),
        (403, {"detail": "You do not have permission to perform this action."}, None),
        (404, {"detail": "Not found."}, None),
    ],
)
def test_an_organizations_host_limit_is_known_to_who_may_read_it(
    tower: Tower, wire: Wire, status: int, organization: Any, limit: int | None
) -> None:
    wire.then(200, {"id": PROD.id, "organization": 3}).then(status, {"name": "Default"} | organization)
    expected = limit and HostLimit("organization 'Default'", 9, limit)
    assert tower.organization_limit(PROD) == expected
    assert wire.asked[1].path.endswith("organizations/3/")


@pytest.mark.parametrize(
    ("licence", "limit"),
    [
        ({"license_type": "open", "valid_key": True}, None),
        ({}, None),
        ({"license_type": "enterprise", "instance_count": 100, "current_instances": 98}, 100),
        ({"license_type": "enterprise", "instance_count": 0, "current_instances": 98}, None),
    ],
)
def test_a_licence_that_counts_hosts_is_a_host_limit(tower: Tower, wire: Wire, licence: Any, limit: int | None) -> None:
    wire.then(200, {"license_info": licence})
    assert tower.licence_limit() == (limit and HostLimit("the licence", 98, limit))


@pytest.mark.parametrize("capabilities", [{}, {"edit": False}, {"delete": True}])
def test_who_may_not_edit_an_inventory_may_not_change_it(
    tower: Tower, wire: Wire, capabilities: dict[str, bool]
) -> None:
    wire.then(200, capable(**capabilities)).then(200, {"summary_fields": {}}).then(200, capable(edit=True))
    assert [tower.may_change(PROD) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("status", "body", "timeout"),
    [
        (200, {"DEFAULT_JOB_TIMEOUT": 3600}, 3600),
        (200, {"DEFAULT_JOB_TIMEOUT": 0}, 0),
        (200, {}, 0),
        (403, {"detail": "You do not have permission to perform this action."}, None),
        (404, {"detail": "Not found."}, None),
    ],
)
def test_the_default_timeout_of_jobs_is_known_to_who_may_read_settings(
    tower: Tower, wire: Wire, status: int, body: Any, timeout: int | None
) -> None:
    wire.then(status, body)
    assert tower.default_job_timeout() == timeout
