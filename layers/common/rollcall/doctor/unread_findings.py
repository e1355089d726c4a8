"""Findings about what could not be read, or is not there. Nothing is passed over in silence."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rollcall.aws.client import is_unreached
from rollcall.domain.errors import (
    AwsDenied,
    AwsRejected,
    AwsUnavailable,
    BadSettings,
    NoTimeLeft,
    RollcallError,
    Throttled,
    TowerDenied,
    TowerUnavailable,
    Transient,
)
from rollcall.domain.findings import Finding, Severity, breaks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

LISTED_MAX = 10  # names that a sentence holds
WAY_TO_AWS = (  # what doctor itself calls, and the other functions
    "a NAT gateway, or VPC endpoints for secretsmanager, sqs, sns, autoscaling, ec2, events, lambda, scheduler, "
    "dynamodb and logs; with LoadBalancers=true elasticloadbalancing, with Cycles=true states and monitoring, and with "
    "Bakes=true states, ssm, kms and sts, too"
)


def not_looked_at(kind: str) -> str:
    """What a finding is about of which nothing could be read. kind: the error's name."""
    return f"not looked at ({kind})"


def unread(
    what: str, observed: Mapping[str, object], severity: Severity = Severity.BREAKS_LAUNCHES
) -> Iterator[Finding]:
    """One finding for each kind of error among what was observed; severity: of the worst that may be hidden there.

    what: the things, as in "lifecycle hooks"; observed: by whose they are.
    """
    alike: defaultdict[str, dict[str, RollcallError]] = defaultdict(dict)
    for name, each in observed.items():
        if isinstance(each, RollcallError):
            alike[type(each).__name__][name] = each
    for kind, own in alike.items():
        first = next(iter(own.values()))
        yield Finding(
            subject=what,
            what=not_looked_at(kind),
            severity=severity,
            reason=f"{what} of {listed(own)} could not be read: {first}",
            remedy=remedy_of(first),
            hides=True,
        )


def transient_only(observed: Mapping[str, object]) -> dict[str, Transient]:
    """The errors that pass by themselves: of an object of Tower that is not there another finding says it."""
    return {name: each for name, each in observed.items() if isinstance(each, Transient)}


def not_found(subject: str, named: str, error: RollcallError, role: str) -> Finding:
    """An inventory or a job template that a tag names and that cannot be found, or is of the wrong kind.

    named: by whose tags it is named; role: that the token's user needs on it.
    """
    reason = str(error)
    if isinstance(error, BadSettings):  # whose words end with a remedy for readers who have nothing but a log
        reason = reason.rpartition("; " if "is ambiguous" in reason else ": ")[0] or reason
    if "is ambiguous" in reason:
        remedy = "write org/name into the tag, or id:N, which is the id N whatever is named so"
    elif "cannot hold hosts" in reason:
        remedy = "name an ordinary inventory in the tag: smart and constructed ones only mirror others' hosts"
    else:
        remedy = (
            f"correct the tag; if it is there, grant the token's user the role {role} on it: what a user may not read "
            "does not show in Tower's lists"
        )
    return breaks(subject, "not found", f"{reason} ({named})", remedy)


def remedy_of(error: RollcallError) -> str:
    """What is to be done about an error that keeps something from being read."""
    if isinstance(error, AwsDenied):
        return (
            "deploy the template again, so that DoctorRole may do this; if it may, another account's policy or a "
            "service control policy forbids it"
        )
    if isinstance(error, TowerDenied):
        return "grant the token's user the role that it lacks"
    if isinstance(error, TowerUnavailable):
        return "fix Tower or the way to it, then run doctor again"
    if isinstance(error, NoTimeLeft):
        return "run doctor again, with --group for fewer groups"
    if isinstance(error, Throttled):
        return "run doctor again; if AWS still puts calls off, have the account's quota raised"
    if is_unreached(error):
        return (
            "run doctor again; if it lasts, see the AWS Health Dashboard, and in a VPC give the functions' subnets a "
            f"way to AWS: {WAY_TO_AWS}"
        )
    if isinstance(error, AwsUnavailable):
        return "run doctor again; if it lasts, see the AWS Health Dashboard"
    if isinstance(error, AwsRejected):
        return (
            "what AWS does not find was deleted outside the stack: make it again as the template has it, or delete the "
            "stack and deploy it anew; anything else is a mistake of Rollcall's: report it"
        )
    if isinstance(error, Transient):
        return "run doctor again"
    return "fix what the reason names, then run doctor again"


def secret_remedy(error: AwsDenied | AwsRejected, parameter: str) -> str:
    """What is to be done where a secret is not had from AWS. parameter: that names it."""
    if isinstance(error, AwsRejected):
        return f"make the secret again, or restore it, and deploy with its full ARN as {parameter}"
    return (
        f"deploy with the full ARN of the secret as {parameter}; if a key of your own encrypts it, let the functions' "
        "roles kms:Decrypt with it"
    )


def listed(names: Collection[str]) -> str:
    """Names in a sentence, of many the first."""
    some = sorted(names)[:LISTED_MAX]
    more = len(names) - len(some)
    return ", ".join(some) + (f" and {more} more" if more else "")
