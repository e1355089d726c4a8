"""What the server is, and what the token may do there.

Numbers in brackets: recorded exchanges, see tests/contract/recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import TowerRejected
from rollcall.domain.inventories import BulkLimits, HostLimit
from rollcall.domain.jobs import TowerUser
from rollcall.http.transport import FORBIDDEN, NOT_FOUND

from .bulk_hosts import BULK_CREATE_MAX, BULK_DELETE_MAX
from .connection import TowerPart, reads_answers
from .parsing import has_capability

if TYPE_CHECKING:
    from rollcall.domain.inventories import Inventory

    from .connection import Connection

TOO_MANY_CREATED = "BULK_HOST_MAX_CREATE"  # in the answer of a server with a lower limit [210]
TOO_MANY_DELETED = "BULK_HOST_MAX_DELETE"  # likewise [225]


@reads_answers
class Server(TowerPart):
    """The server, its limits, and the rights of the token."""

    def version(self) -> str:
        """The server's version; also without a valid token [001]."""
        version = self._http.get("ping/").get("version")
        if not isinstance(version, str):
            raise TowerRejected(f"{self._http.root}ping/ does not answer as Tower does: it names no version")
        return version

    def user(self) -> TowerUser:
        """Whose token it is. A token that may only read shows its user without any capability [016]."""
        return user_of(self._http)

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
        return has_capability(self._http.get(f"inventories/{inventory.id}/"), "edit")

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
        """The hosts that the server has and is licensed for; None without a licence that counts. Not recorded."""
        raw = self._http.get("config/").get("license_info") or {}
        most, used = raw.get("instance_count"), raw.get("current_instances")
        return HostLimit("the licence", int(used), int(most)) if most and used is not None else None

    def default_job_timeout(self) -> int | None:
        """Seconds after which the server ends a job whose template has no timeout, 0 for never.

        None where the token's user may not read settings.
        """
        answer = self._http.send("GET", "settings/jobs/")
        if answer.status_code in (FORBIDDEN, NOT_FOUND):
            return None
        return int(self._http.read(answer).get("DEFAULT_JOB_TIMEOUT") or 0)


def user_of(http: Connection) -> TowerUser:
    """See Server.user."""
    [raw] = http.get("me/")["results"]
    return TowerUser(raw["username"], has_capability(raw, "edit"))
