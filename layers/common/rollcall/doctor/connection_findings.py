"""Why Tower does not answer the functions at all: the way there, the secret, the token. Pure.

Each hides what else may be wrong with Tower, for then nothing more is read of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.aws.client import is_unreached
from rollcall.domain.errors import (
    AwsDenied,
    AwsRejected,
    AwsUnavailable,
    BadSettings,
    NoTimeLeft,
    RollcallError,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.shell_commands import command
from rollcall.http.transport import Obstacle, obstacle_of

from .unread_findings import WAY_TO_AWS, remedy_of, secret_remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedTower

TOWER = "Tower"
MAKE_ANOTHER = (
    "make a token with the scope Write (Tower: the user's page, Tokens) and put it into the secret that TowerSecretArn "
    "names"
)
ROOTS = (
    "https://HOST for AWX, Tower and AAP up to 2.4, https://HOST/api/controller/v2/ for AAP 2.5 and later, where HOST "
    "is what you open in the browser"
)
CERTIFICATE = (
    "put the certificate authority that signed Tower's certificate into the secret that TowerSecretArn names, as "
    '{"token": "...", "ca_bundle": "PEM"}; if the reason says that the host name does not match, or that it has '
    "expired, correct TowerUrl or renew Tower's certificate"
)
NAME_IN_VPC = (
    "correct TowerUrl; if only your network knows the name, let the VPC of SubnetIds resolve it (DNS support, a "
    "private hosted zone, a Route 53 Resolver rule)"
)
NAME_OUTSIDE = (
    "correct TowerUrl; if only your network knows the name, deploy with SubnetIds and SecurityGroupIds of a VPC that "
    "does"
)
PATH_IN_VPC = (
    "give the subnets in SubnetIds a route to Tower (a NAT gateway for a public address; peering, a transit gateway or "
    "VPN for a private one), let the security groups in SecurityGroupIds out to Tower's port, and Tower's let them in"
)
PATH_OUTSIDE = (
    "the functions run outside your VPCs: for a Tower that is only reached inside one deploy with SubnetIds and "
    "SecurityGroupIds; for a public one let its firewall in from anywhere"
)
SILENCE = (
    "fix Tower, or the proxy or load balancer before it: the way there is right, for it takes the connection, and then "
    "it does not answer in time (is the database up, are its web processes all busy?)"
)
BREAK = (
    "correct the scheme and the port in TowerUrl if something else than Tower's HTTPS answers there; else fix Tower, "
    "or the proxy or firewall before it that breaks connections off"
)


def connection_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """Why Tower does not say its version, or not whose token it is."""
    tower = observed.tower
    if isinstance(tower.version, RollcallError):
        what, remedy = _unreachable(tower, tower.version, secret=here.tower_secret, in_vpc=here.in_vpc)
        reason = f"{tower.version}. No inventory, job template or role was read"
        yield Finding(TOWER, what, Severity.BREAKS_LAUNCHES, reason, remedy, hides=True)
    elif isinstance(tower.user, RollcallError):
        reason = f"Tower does not say whose token it is: {tower.user}. No inventory, job template or role was read"
        yield Finding(TOWER, "token", Severity.BREAKS_LAUNCHES, reason, _token_remedy(tower.user), hides=True)


def _token_remedy(error: RollcallError) -> str:
    if isinstance(error, TowerDenied):
        return MAKE_ANOTHER
    return (
        "fix Tower, then run doctor again" if isinstance(error, TowerUnavailable) else f"deploy with TowerUrl={ROOTS}"
    )


def _unreachable(tower: ObservedTower, error: RollcallError, *, secret: str, in_vpc: bool) -> tuple[str, str]:
    """The cause and the remedy. secret: the ARN of the token's; in_vpc: where the functions run."""
    if isinstance(error, NoTimeLeft):
        return "not looked at", remedy_of(error)
    if isinstance(error, (BadSettings, AwsDenied, AwsRejected, AwsUnavailable)):
        return _secret(error, secret=secret, in_vpc=in_vpc)
    if obstacle := obstacle_of(error):
        return _obstacle(obstacle, in_vpc=in_vpc)
    if isinstance(error, (TowerRejected, TowerDenied)) or "was redirected" in str(error):
        return "API root", f"deploy with TowerUrl={tower.other_roots[0] if tower.other_roots else ROOTS}"
    return "unavailable", "fix Tower; it is reached, and answers that it cannot work"


def _secret(error: RollcallError, *, secret: str, in_vpc: bool) -> tuple[str, str]:
    if isinstance(error, BadSettings):
        words = ("--secret-id", secret, "--secret-string", '{"token": "..."}')
        return "secret", (
            'put the token there, with "ca_bundle": "PEM" where Tower has a private certificate authority: '
            f"{command('aws', 'secretsmanager', 'put-secret-value', *words)}"
        )
    if isinstance(error, (AwsDenied, AwsRejected)):
        return "secret", secret_remedy(error, "TowerSecretArn")
    if in_vpc and is_unreached(error):
        return "secret", f"the subnets in SubnetIds need a way to AWS: {WAY_TO_AWS}"
    return "secret", remedy_of(error)


def _obstacle(obstacle: Obstacle, *, in_vpc: bool) -> tuple[str, str]:
    match obstacle:
        case Obstacle.DISTRUST:
            return "certificate", CERTIFICATE
        case Obstacle.NAME:
            return "host name", NAME_IN_VPC if in_vpc else NAME_OUTSIDE
        case Obstacle.REFUSAL:
            return "connection refused", "start Tower, or correct host and port in TowerUrl; a firewall may refuse, too"
        case Obstacle.NO_WAY:
            return "network path", PATH_IN_VPC if in_vpc else PATH_OUTSIDE
        case Obstacle.SILENCE:
            return "no answer", SILENCE
        case Obstacle.BREAK:
            return "connection broken off", BREAK
