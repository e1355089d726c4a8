"""What is wrong with the Chef server as the functions find it: the way there, the user, its key. Pure.

All of it warns: launches have nothing to do with Chef, and terminations go on without it in the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import (
    AwsDenied,
    AwsRejected,
    BadSettings,
    ChefDenied,
    ChefRejected,
    ChefUnavailable,
    RollcallError,
)
from rollcall.domain.findings import Finding, Severity
from rollcall.http.transport import Obstacle, obstacle_of

from .unread_findings import listed, remedy_of, secret_remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.settings import Settings

    from .observations import Observations

CHEF = "Chef"
PLACE = "the secret that ChefSecretArn names"
MAY_NOT_LIST = "may not list nodes"


def chef_findings(observed: Observations, _: Settings) -> Iterator[Finding]:
    """Why the list of its nodes, the only thing that is read from it, did not come."""
    error = observed.chef
    if not isinstance(error, RollcallError):
        return
    groups = [each.name for each in observed.opted_in if each.settings.nodes]
    what, remedy = _cause(error)
    yield Finding(
        CHEF,
        what,
        Severity.WARNING,
        f"{error}. Nodes and clients of {listed(groups)} stay in Chef, and terminations wait for it as long as their "
        "hooks let them",
        remedy,
        hides=what != MAY_NOT_LIST,  # it is the last that is read from Chef
    )


def _cause(error: RollcallError) -> tuple[str, str]:
    obstacle = obstacle_of(error)
    if obstacle == Obstacle.DISTRUST:
        return "certificate", f"put the authority that signed the server's certificate into {PLACE}, as ca_bundle (PEM)"
    if obstacle in (Obstacle.SILENCE, Obstacle.BREAK):
        return "no answer", (
            "fix the Chef server, or the proxy or load balancer before it: it takes the connection, and then it does "
            "not answer in time or breaks off"
        )
    if obstacle:
        return "not reached", (
            f"correct organization_url in {PLACE}, or give the functions a way there: a route from SubnetIds, security "
            "groups that let it pass, DNS that knows the name; for a public server, its firewall"
        )
    if isinstance(error, ChefDenied):
        if "with 401:" in str(error):
            return "signature", (
                f"put the user's name and its RSA key into {PLACE} (docs/guides/chef.md); if the words are about "
                "clocks, let the server keep its time by NTP"
            )
        return MAY_NOT_LIST, "let the user list, read and delete nodes, and delete clients, of the organization"
    if isinstance(error, ChefRejected):
        return "organization", f"correct organization_url in {PLACE}: https://HOST/organizations/NAME"
    if isinstance(error, ChefUnavailable):
        return "unavailable", "fix the Chef server; it is reached, and answers that it cannot work"
    if isinstance(error, BadSettings):
        return "secret", f"let {PLACE} hold what docs/guides/chef.md says"
    if isinstance(error, (AwsDenied, AwsRejected)):
        return "secret", secret_remedy(error, "ChefSecretArn")
    return f"not looked at ({type(error).__name__})", remedy_of(error)
