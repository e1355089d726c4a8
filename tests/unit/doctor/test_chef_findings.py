"""What doctor finds wrong with the Chef server."""

from __future__ import annotations

import pytest
import requests
from urllib3.exceptions import ConnectTimeoutError, ReadTimeoutError

from rollcall.doctor.chef_findings import chef_findings
from rollcall.domain.errors import (
    AwsDenied,
    AwsRejected,
    BadSettings,
    ChefDenied,
    ChefRejected,
    ChefUnavailable,
    RollcallError,
    Throttled,
)
from rollcall.domain.findings import Severity
from unit import observed
from unit.observed import HERE, group

HANGS = ReadTimeoutError(None, "/", "slow")  # type: ignore[arg-type]
LOST = ConnectTimeoutError(None, "lost")
NODES = "/organizations/acme/nodes"


def behind(error: RollcallError, cause: Exception) -> RollcallError:
    """An error as the client raises it: from what requests raised."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("nodes", [None, 0, 12])
def test_a_server_that_answers_or_was_not_asked_is_right(nodes: int | None) -> None:
    assert list(chef_findings(observed.everything(group(chef=""), chef=nodes), HERE)) == []


@pytest.mark.parametrize(
    ("error", "key", "words", "hides"),
    [
        (ChefDenied(f"refused GET {NODES} with 401: Invalid signature; put"), "signature", "docs/guides/chef.md", True),
        (ChefDenied(f"refused GET {NODES} with 403: missing; let"), "may not list nodes", "let the user list", False),
        (
            behind(ChefRejected("odd"), requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED")),
            "certificate",
            "ca_bundle",
            True,
        ),
        (ChefRejected(f"answered GET {NODES} with 404: no"), "organization", "correct organization_url", True),
        (behind(ChefUnavailable("odd"), requests.ConnectionError("no way")), "no answer", "fix the Chef server", True),
        (behind(ChefUnavailable("odd"), requests.ConnectionError(HANGS)), "no answer", "takes the connection", True),
        (behind(ChefUnavailable("odd"), requests.ConnectTimeout(LOST)), "not reached", "SubnetIds", True),
        (ChefUnavailable(f"answered GET {NODES} with 503"), "unavailable", "fix the Chef server", True),
        (AwsDenied("AWS refused secret chef"), "secret", "full ARN", True),
        (AwsRejected("AWS refused secret chef: ResourceNotFoundException"), "secret", "make the secret again", True),
        (BadSettings("secret chef is not JSON"), "secret", "docs/guides/chef.md", True),
        (Throttled("secret chef: slow"), "not looked at (Throttled)", "run doctor again", True),
        (RollcallError("odd"), "not looked at (RollcallError)", "run doctor again", True),
    ],
)
def test_a_server_that_fails_is_a_warning_with_its_words_and_the_remedy(
    error: RollcallError, key: str, words: str, hides: bool
) -> None:
    groups = (group(chef=""), group(name="api", chef="@private_dns@"), group(name="db"))
    (finding,) = chef_findings(observed.everything(*groups, chef=error), HERE)
    assert (finding.key, finding.severity, finding.hides) == (f"Chef: {key}", Severity.WARNING, hides)
    assert finding.reason.startswith(f"{error}. Nodes and clients of api, web stay in Chef")
    assert words in finding.remedy
