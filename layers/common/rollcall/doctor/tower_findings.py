"""What is wrong with Tower as the functions find it: the way there, the token, roles, job templates. Pure."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain.errors import (
    AwsDenied,
    BadSettings,
    RollcallError,
    Throttled,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
    Transient,
)
from rollcall.domain.findings import Finding, Severity, breaks, warns
from rollcall.domain.inventories import HostLimit
from rollcall.domain.shell_commands import command
from rollcall.domain.timing import CLOCKS_APART
from rollcall.http.transport import Obstacle, obstacle_of
from rollcall.tower.bulk_hosts import BULK_CREATE_MAX, BULK_DELETE_MAX

from .observations import SeenInventory, SeenSample, SeenTemplate
from .unreadable import WAY_TO_AWS, listed, remedy_of, unlooked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from rollcall.domain.inventories import BulkLimits

    from .observations import Look, SeenTower

TOWER = "Tower"
TOKENS_PLACE = "the secret that TowerSecretArn names"
NEARLY = 0.9  # of a host limit
ROOTS = (
    "https://HOST for AWX, Tower and AAP up to 2.4, https://HOST/api/controller/v2/ for AAP 2.5 and later, where HOST "
    "is what you open in the browser"
)


def diagnose_tower(
    tower: SeenTower,
    inventories: Mapping[str, Collection[str]],
    templates: Mapping[str, Collection[str]],
    retiring: Collection[str],
    *,
    secret: str,
    in_vpc: bool,
) -> Iterator[Finding]:
    """What is wrong with it. inventories, templates: the groups that name each, by how they name it.

    retiring: the templates that only retire instances, without which launches go on. secret: the ARN of the token's.
    """
    if isinstance(tower.version, RollcallError):
        yield unreachable(tower, tower.version, secret=secret, in_vpc=in_vpc)
        return
    yield from _clock(tower.ahead)
    if isinstance(tower.user, RollcallError):
        yield _token(tower.user)
        return
    yield from _bulk(tower.bulk, tower.limits)
    unread = {"settings": tower.job_timeout} if isinstance(tower.job_timeout, RollcallError) else {}
    yield from unlooked("the default timeout of jobs", unread, Severity.WARNING)
    silent = reads_only(tower)
    if silent:
        yield breaks(
            TOWER,
            "token reads only",
            "the token may change nothing: its scope is Read, or its user has no role at all",
            f"make a token with the scope Write (Tower: the user's page, Tokens) and put it into {TOKENS_PLACE}",
        )
    yield from _unlooked(tower)
    yield from _limits(tower)
    for reference, groups in inventories.items():
        yield from _inventory(reference, groups, tower.inventories.get(reference), silent=silent)
    for reference, groups in templates.items():
        for each in _template(reference, groups, tower.templates.get(reference), silent=silent):
            yield replace(each, severity=Severity.WARNING) if reference in retiring else each


def reads_only(tower: SeenTower) -> bool:
    """Whether the token may change nothing that was seen: what a scope of Read shows [016], and hides roles behind."""
    if tower.user is None or isinstance(tower.user, RollcallError) or tower.user.writes:
        return False
    changeable = (each.changeable is True for each in tower.inventories.values() if not isinstance(each, RollcallError))
    startable = (
        not isinstance(each.terms, RollcallError) and each.terms.startable
        for each in tower.templates.values()
        if not isinstance(each, RollcallError)
    )
    return not any(changeable) and not any(startable)


# The way there


def unreachable(tower: SeenTower, error: RollcallError, *, secret: str, in_vpc: bool) -> Finding:
    """Why Tower does not even tell its version. Everything that is asked of it is hidden behind that."""
    what, remedy = _way(tower, error, secret=secret, in_vpc=in_vpc)
    return Finding(
        TOWER,
        what,
        Severity.BREAKS_LAUNCHES,
        f"{error}. No inventory, job template or role was looked at",
        remedy,
        True,
    )


def _way(tower: SeenTower, error: RollcallError, *, secret: str, in_vpc: bool) -> tuple[str, str]:
    if isinstance(error, Throttled) and not error.__cause__:  # doctor's own, for want of time
        return "not looked at", remedy_of(error)
    if isinstance(error, (BadSettings, AwsDenied, Throttled)):
        return _secret(error, secret=secret, in_vpc=in_vpc)
    if obstacle := obstacle_of(error):
        return _obstacle(obstacle, in_vpc=in_vpc)
    if isinstance(error, (TowerRejected, TowerDenied)) or "was redirected" in str(error):
        found = f"deploy with TowerUrl={tower.other_roots[0]}" if tower.other_roots else f"deploy with TowerUrl={ROOTS}"
        return "API root", found
    return "unavailable", "mend Tower; it is reached, and answers that it cannot work"


def _obstacle(obstacle: Obstacle, *, in_vpc: bool) -> tuple[str, str]:
    match obstacle:
        case Obstacle.DISTRUST:
            return "certificate", (
                "put the certificate authority that signed Tower's certificate into the secret that TowerSecretArn "
                'names, as {"token": "...", "ca_bundle": "PEM"}; if the reason says that the host name does not match, '
                "or that it has expired, correct TowerUrl or renew Tower's certificate"
            )
        case Obstacle.NAME:
            return "host name", (
                "correct TowerUrl; if only your network knows the name, let the VPC of SubnetIds resolve it (DNS "
                "support, a private hosted zone, a Route 53 Resolver rule)"
                if in_vpc
                else "correct TowerUrl; if only your network knows the name, deploy with SubnetIds and "
                "SecurityGroupIds of a VPC that does"
            )
        case Obstacle.REFUSAL:
            return "connection refused", (
                "start Tower, or correct the host and port in TowerUrl; a firewall may refuse, too"
            )
        case Obstacle.NO_WAY:
            return "network path", (
                "give the subnets in SubnetIds a route to Tower (a NAT gateway for a public address; peering, a "
                "transit gateway or VPN for a private one), let the security groups in SecurityGroupIds out to Tower's "
                "port, and Tower's let them in"
                if in_vpc
                else "the functions run outside your VPCs: for a Tower that is only reached inside one deploy with "
                "SubnetIds and SecurityGroupIds; for a public one let its firewall in from anywhere"
            )
        case Obstacle.SILENCE:
            return "no answer", (
                "mend Tower, or the proxy or load balancer before it: the way there is right, for it takes the "
                "connection, and then it does not answer in time (is the database up, are its web processes all busy?)"
            )
        case Obstacle.BREAK:
            return "connection broken off", (
                "correct the scheme and the port in TowerUrl if something else than Tower's HTTPS answers there; else "
                "mend Tower, or the proxy or firewall before it that breaks connections off"
            )


def _secret(error: RollcallError, *, secret: str, in_vpc: bool) -> tuple[str, str]:
    if isinstance(error, BadSettings):
        words = ("--secret-id", secret, "--secret-string", '{"token": "..."}')
        return "secret", (
            'put the token there, with "ca_bundle": "PEM" where Tower has a private certificate authority: '
            f"{command('aws', 'secretsmanager', 'put-secret-value', *words)}"
        )
    if isinstance(error, AwsDenied):
        return "secret", (
            "deploy with the full ARN of the secret as TowerSecretArn; if a key of your own encrypts it, let the "
            "functions' roles kms:Decrypt with it"
        )
    return "secret", (
        f"the subnets in SubnetIds need a way to AWS: {WAY_TO_AWS}"
        if in_vpc
        else "run doctor again; if it lasts, see the AWS Health Dashboard"
    )


def _clock(ahead: float) -> Iterator[Finding]:
    if abs(ahead) < CLOCKS_APART:
        return
    yield warns(
        TOWER,
        "clock",
        f"Tower's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} that of AWS: where an event "
        "names no lifecycle action, a job of before an instance came back may be taken for one of its present stay",
        "let Tower's servers keep their time by NTP",
    )


def _token(error: RollcallError) -> Finding:
    remedy = (
        f"make a token with the scope Write (Tower: the user's page, Tokens) and put it into {TOKENS_PLACE}"
        if isinstance(error, TowerDenied)
        else "mend Tower, then run doctor again"
        if isinstance(error, TowerUnavailable)
        else f"deploy with TowerUrl={ROOTS}"
    )
    reason = f"Tower does not say whose token it is: {error}. No inventory, job template or role was looked at"
    return Finding(TOWER, "token", Severity.BREAKS_LAUNCHES, reason, remedy, hides=True)


def _bulk(bulk: Look[bool], limits: Look[BulkLimits | None]) -> Iterator[Finding]:
    errors = {
        name: each for name, each in (("bulk calls", bulk), ("their limits", limits)) if isinstance(each, RollcallError)
    }
    yield from unlooked("endpoints", errors, Severity.WARNING)
    if bulk is False:
        yield warns(
            TOWER,
            "no bulk calls",
            "this server creates and deletes hosts one by one: a storm of launches takes a second for each six",
            "upgrade to AWX 22 or AAP 2.4 or later",
        )
    if limits is None or isinstance(limits, RollcallError):
        return
    for name, limit, wanted in (
        ("BULK_HOST_MAX_CREATE", limits.create, BULK_CREATE_MAX),
        ("BULK_HOST_MAX_DELETE", limits.delete, BULK_DELETE_MAX),
    ):
        if limit < wanted:
            yield warns(
                TOWER,
                name,
                f"the setting {name} is {limit}: calls for {wanted} hosts are refused, cut in half and sent again",
                f"set {name} to at least {wanted} (PATCH its API at settings/bulk/, as a system administrator)",
            )


# Roles, and what tags name


def _unlooked(tower: SeenTower) -> Iterator[Finding]:
    """What Tower did not tell, each kind once."""
    inventories = {name: look for name, look in tower.inventories.items() if isinstance(look, SeenInventory)}
    templates = {name: look for name, look in tower.templates.items() if isinstance(look, SeenTemplate)}
    yield from unlooked("inventories", _of_type(tower.inventories, Transient))
    yield from unlooked("job templates", _of_type(tower.templates, Transient))
    changeable = {name: look.changeable for name, look in inventories.items()}
    yield from unlooked("roles on inventories", _of_type(changeable, RollcallError))
    terms = {name: look.terms for name, look in templates.items()}
    yield from unlooked("launch terms of job templates", _of_type(terms, RollcallError))
    past = {name: look.past for name, look in templates.items()}
    yield from unlooked("past jobs of job templates", _of_type(past, RollcallError), Severity.WARNING)
    hosts = {name: look.hosts for name, look in inventories.items()}
    yield from unlooked("hosts of inventories", _of_type(hosts, RollcallError), Severity.WARNING)
    elsewhere: Mapping[str, object] = {"all inventories": tower.sample}
    if isinstance(tower.sample, SeenSample):
        elsewhere = {each.name: look for each, look in tower.sample.elsewhere.items()}
    yield from unlooked("hosts elsewhere", _of_type(elsewhere, RollcallError), Severity.WARNING)
    limits = {name: look.limit for name, look in inventories.items()} | {"the licence": tower.licence}
    yield from unlooked("host limits", _of_type(limits, RollcallError), Severity.WARNING)


def _limits(tower: SeenTower) -> Iterator[Finding]:
    """Whether there is room for more hosts, each limit once."""
    looks = [tower.licence, *(each.limit for each in tower.inventories.values() if isinstance(each, SeenInventory))]
    limits = {each.owner: each for each in looks if isinstance(each, HostLimit)}
    for owner, limit in limits.items():
        if limit.used < NEARLY * limit.most:
            continue
        full = limit.used >= limit.most
        raised = (
            "extend the subscription" if limit is tower.licence else "let a system administrator raise its 'Max hosts'"
        )
        yield Finding(
            TOWER,
            f"host limit of {owner}",
            Severity.BREAKS_LAUNCHES if full else Severity.WARNING,
            f"{limit.used:,} of the {limit.most:,} hosts that {owner} allows are there: beyond that Tower makes none, "
            "and new instances wait without a host",
            f"remove hosts that are no longer needed, or {raised}",
        )


def _of_type[E: RollcallError](looks: Mapping[str, object], kind: type[E]) -> dict[str, E]:
    return {name: look for name, look in looks.items() if isinstance(look, kind)}


def _inventory(
    reference: str, groups: Collection[str], seen: Look[SeenInventory] | None, *, silent: bool
) -> Iterator[Finding]:
    subject = f"inventory {reference!r}"
    named = f"tag rollcall:inventory of {listed(groups)}"
    if seen is None or isinstance(seen, Transient):
        return
    if isinstance(seen, RollcallError):
        yield _not_found(subject, named, seen, "Read, better Admin,")
        return
    if seen.changeable is False and not silent:
        yield breaks(
            subject,
            "role",
            f"the token's user may read inventory {seen.inventory.name!r} and not change it ({named}): hosts can be "
            "neither added nor removed",
            f"grant the token's user the role Admin on it (Tower: Inventories, {seen.inventory.name}, Access)",
        )


def _template(
    reference: str, groups: Collection[str], seen: Look[SeenTemplate] | None, *, silent: bool
) -> Iterator[Finding]:
    subject = f"job template {reference!r}"
    named = f"named by tags of {listed(groups)}"
    if seen is None or isinstance(seen, Transient):
        return
    if isinstance(seen, RollcallError):
        yield _not_found(subject, named, seen, "Execute")
        return
    name, terms = seen.template.name, seen.terms
    if isinstance(terms, RollcallError):
        return
    if not terms.startable and not silent:
        yield breaks(
            subject,
            "role",
            f"the token's user may not launch job template {name!r} ({named})",
            f"grant the token's user the role Execute on it (Tower: Templates, {name}, Access)",
        )
    if terms.needed:
        yield breaks(
            subject,
            "launch needs more",
            f"Tower does not launch job template {name!r} ({named}) without {', '.join(terms.needed)}, which Rollcall "
            "never gives",
            "make the survey's questions optional or set the values as extra variables of the template, and give it "
            "credentials that ask for nothing at launch",
        )
    if not terms.simultaneous:
        yield warns(
            subject,
            "one job at a time",
            f"job template {name!r} ({named}) allows no concurrent jobs: a second batch waits for the first one's job",
            "tick 'Concurrent jobs' (allow_simultaneous) in the template",
        )


def _not_found(subject: str, named: str, error: RollcallError, role: str) -> Finding:
    reason = str(error)
    if isinstance(error, BadSettings):  # whose words end with a remedy for whoever has nothing but a log
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
    return Finding(subject, "not found", Severity.BREAKS_LAUNCHES, f"{reason} ({named})", remedy)
