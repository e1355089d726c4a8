"""Findings about what could not be looked at. Nothing is passed over in silence."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rollcall.domain.errors import AwsDenied, TowerDenied, TowerUnavailable, Transient
from rollcall.domain.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from rollcall.domain.errors import RollcallError

LISTED_MAX = 10  # names that a sentence holds
WAY_TO_AWS = (  # what doctor itself asks, and the other functions
    "a NAT gateway, or VPC endpoints for secretsmanager, sqs, sns, autoscaling, ec2, events, lambda, scheduler, "
    "dynamodb and logs; with LoadBalancers=true elasticloadbalancing, too"
)


def unlooked(
    what: str, errors: Mapping[str, RollcallError], severity: Severity = Severity.BREAKS_LAUNCHES
) -> Iterator[Finding]:
    """One finding for each kind of error; severity: of the worst that may be hidden there.

    what: the things, as in "lifecycle hooks"; errors: by whose they are.
    """
    alike: defaultdict[str, dict[str, RollcallError]] = defaultdict(dict)
    for name, error in errors.items():
        alike[type(error).__name__][name] = error
    for kind, own in alike.items():
        first = next(iter(own.values()))
        yield Finding(
            subject=what,
            what=f"not looked at ({kind})",
            severity=severity,
            reason=f"{what} of {listed(own)} could not be looked at: {first}",
            remedy=remedy_of(first),
            hides=True,
        )


def remedy_of(error: RollcallError) -> str:
    """What is to be done about an error that keeps something from being looked at."""
    if isinstance(error, AwsDenied):
        return (
            "deploy the template again, so that DoctorRole may do this; if it may, another account's policy or a "
            "service control policy forbids it"
        )
    if isinstance(error, TowerDenied):
        return "grant the token's user the role that it lacks"
    if isinstance(error, TowerUnavailable):
        return "mend Tower or the way to it, then run doctor again"
    if isinstance(error, Transient):
        return (
            "run doctor again, with --group for fewer groups; in a VPC the functions' subnets need a way to AWS: "
            f"{WAY_TO_AWS}"
        )
    return "mend what the reason names, then run doctor again"


def listed(names: Collection[str]) -> str:
    """Names in a sentence, of many the first."""
    some = sorted(names)[:LISTED_MAX]
    more = len(names) - len(some)
    return ", ".join(some) + (f" and {more} more" if more else "")
