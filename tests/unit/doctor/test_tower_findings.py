"""What doctor finds wrong with Tower."""

from __future__ import annotations

import shlex
from copy import replace
from http.client import RemoteDisconnected
from socket import gaierror
from ssl import SSLCertVerificationError, SSLError
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ReadTimeoutError

from rollcall.aws.client import aws_errors
from rollcall.doctor.connection_findings import connection_findings
from rollcall.doctor.inventory_findings import inventory_findings
from rollcall.doctor.observations import ObservedInventory, ObservedTemplate
from rollcall.doctor.template_findings import template_findings
from rollcall.doctor.tower_findings import tower_findings
from rollcall.doctor.unread_findings import remedy_of
from rollcall.domain.errors import (
    AwsDenied,
    AwsRejected,
    AwsUnavailable,
    BadSettings,
    NoTimeLeft,
    RollcallError,
    Throttled,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.inventories import BulkLimits, HostLimit, Inventory
from rollcall.domain.jobs import LaunchTerms, TowerUser
from rollcall.http.transport import TRIES
from unit import observed
from unit.observed import group

if TYPE_CHECKING:
    from rollcall.tower.client import Tower
    from unit.wire import Wire

BREAKS, WARNS = Severity.BREAKS_LAUNCHES, Severity.WARNING
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tower-AbCdEf"
ROOT = "https://tower.example.com/api/v2/"
FINDERS = (connection_findings, tower_findings, inventory_findings, template_findings)


def found(*, in_vpc: bool = True, retiring: tuple[str, ...] = (), **changes: Any) -> dict[str, Finding]:
    """The findings about a Tower that is different in this, by key."""
    tower = observed.tower(**changes)
    groups = [
        group(inventory=inventory, job_template=None, retire_job_template=template)
        if template in retiring
        else group(inventory=inventory, job_template=template)
        for inventory in tower.inventories or ["none"]
        for template in tower.templates or [None]
    ]
    here = replace(observed.HERE, tower_secret=SECRET, in_vpc=in_vpc)
    return observed.findings(observed.everything(*groups, tower=tower), here, *FINDERS)


def only(**changes: Any) -> Finding:
    (finding,) = found(**changes).values()
    return finding


def test_a_tower_that_is_right_is_not_complained_of() -> None:
    assert found() == {}


def test_the_command_that_puts_a_token_into_the_secret_can_be_pasted_as_it_is() -> None:
    _, _, printed = only(version=BadSettings("secret x is")).remedy.partition("authority: ")
    assert shlex.split(printed) == [
        *("aws", "secretsmanager", "put-secret-value", "--secret-id", SECRET),
        *("--secret-string", '{"token": "..."}'),
    ]
    assert not set("<>") & set(printed)


def unreached() -> RollcallError:
    with pytest.raises(AwsUnavailable) as raised, aws_errors("a secret"):
        raise EndpointConnectionError(endpoint_url="https://x")
    return raised.value


WAYS = {
    "a server with a problem": (
        TowerUnavailable("Tower answered GET ping/ with 503: away"),
        "unavailable",
        ("fix", "fix"),
    ),
    "no time left": (NoTimeLeft("there was no time left for it"), "not looked at", ("--group", "--group")),
    "a page": (TowerRejected("not the API's JSON"), "API root", ("TowerUrl=https://HOST for", "AAP 2.5 and later")),
    "a redirect for a while": (
        TowerUnavailable(
            "GET /ping/ was redirected to /login: Tower may be upgrading, or the Tower URL is not the API"
        ),
        "API root",
        ("TowerUrl=", "TowerUrl="),
    ),
    "a refusal": (TowerDenied("403"), "API root", ("TowerUrl=", "TowerUrl=")),
    "a malformed secret": (BadSettings("secret x is"), "secret", ("put-secret-value", "put-secret-value")),
    "a secret that may not be read": (AwsDenied("AWS refused secret x"), "secret", ("full ARN", "kms:Decrypt")),
    "a secret that is not there": (AwsRejected("AWS refused secret x"), "secret", ("make the secret again",) * 2),
    "a secret to which there is no way": (unreached(), "secret", ("VPC endpoints", "Health")),
    "a secret at which AWS fails": (AwsUnavailable("500"), "secret", ("Health Dashboard", "Health Dashboard")),
    "a secret that AWS puts off": (Throttled("slow"), "secret", ("quota", "quota")),
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("in_vpc", [True, False])
def test_why_tower_cannot_be_asked_has_a_remedy_of_its_own_and_hides_what_else_there_may_be(
    name: str, in_vpc: bool
) -> None:
    error, what, remedies = WAYS[name]
    finding = only(version=error, in_vpc=in_vpc)
    assert (finding.key, finding.severity, finding.hides) == (f"Tower: {what}", BREAKS, True)
    assert finding.reason.startswith(str(error))
    assert remedies[not in_vpc] in finding.remedy


def refused() -> Exception:
    error = NewConnectionError(None, "not made")  # type: ignore[arg-type]
    error.__cause__ = ConnectionRefusedError(111, "no")
    return error


def unreachable() -> Exception:
    error = NewConnectionError(None, "not made")  # type: ignore[arg-type]
    error.__cause__ = OSError(101, "no")
    return error


OBSTACLES = {
    "a name that is not known": (
        NameResolutionError("tower.example.com", None, gaierror()),  # type: ignore[arg-type]
        "host name",
        ("let the VPC of SubnetIds resolve it", "deploy with SubnetIds and SecurityGroupIds"),
    ),
    "a server that does not listen": (refused(), "connection refused", ("start Tower", "start Tower")),
    "packets that are lost": (
        ConnectTimeoutError(None, "lost"),
        "network path",
        ("NAT gateway", "deploy with SubnetIds"),
    ),
    "no route": (unreachable(), "network path", ("NAT gateway", "deploy with SubnetIds")),
    "a server that hangs": (
        ReadTimeoutError(None, "/", "slow"),  # type: ignore[arg-type]
        "no answer",
        ("the way there is right", "proxy or load balancer before it"),
    ),
    "a connection that ends": (
        RemoteDisconnected("closed"),
        "connection broken off",
        ("the scheme and the port", "breaks connections off"),
    ),
    "no TLS": (SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "connection broken off", ("the port", "the port")),
    "a certificate": (
        SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"),
        "certificate",
        ('"ca_bundle": "PEM"', '"ca_bundle": "PEM"'),
    ),
}


@pytest.mark.parametrize("name", OBSTACLES)
@pytest.mark.parametrize("in_vpc", [True, False])
def test_what_keeps_requests_from_an_answer_has_a_remedy_of_its_own(
    wire: Wire, tower: Tower, name: str, in_vpc: bool
) -> None:
    error, what, remedies = OBSTACLES[name]
    wire.script = [error] * TRIES
    with pytest.raises((TowerUnavailable, TowerRejected)) as caught:
        tower.version()
    finding = only(version=caught.value, in_vpc=in_vpc)
    assert (finding.key, finding.severity, finding.hides) == (f"Tower: {what}", BREAKS, True)
    assert remedies[not in_vpc] in finding.remedy
    assert ("route" in finding.remedy) == (what == "network path" and in_vpc) or what == "host name"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BadSettings("Tower has no inventory 'a: b' that the token can read: correct the name"), "can read (tag"),
        (BadSettings("inventory 'a: b' is ambiguous: x/a: b and y/a: b; name it by its id"), "y/a: b (tag"),
        (BadSettings("inventory 'a' is smart and cannot hold hosts of its own: name another"), "its own (tag"),
    ],
)
def test_a_reason_holds_no_second_remedy(error: RollcallError, reason: str) -> None:
    assert reason in only(inventories={"x": error}).reason


@pytest.mark.parametrize("service", ["secretsmanager", "lambda", "scheduler", "sns", "dynamodb", "events", "logs"])
def test_the_way_to_aws_names_every_endpoint_that_is_needed(service: str) -> None:
    assert service in only(version=unreached(), in_vpc=True).remedy
    assert service in remedy_of(unreached())


@pytest.mark.parametrize("error", [AwsUnavailable("AWS failed at it"), Throttled("slow")])
def test_an_error_that_aws_itself_answered_with_needs_no_other_way_to_aws(error: RollcallError) -> None:
    assert "subnets" not in only(version=error, in_vpc=True).remedy
    assert "subnets" not in remedy_of(error)


def test_the_api_root_that_does_answer_is_the_remedy() -> None:
    root = "https://tower.example.com/api/controller/v2/"
    assert only(version=TowerRejected("404"), other_roots=(root,)).remedy == f"deploy with TowerUrl={root}"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (TowerDenied("401"), "make a token with the scope Write"),
        (TowerUnavailable("away"), "fix Tower"),
        (TowerRejected("404"), "deploy with TowerUrl="),
    ],
)
def test_a_token_of_no_user_hides_what_else_there_may_be(error: RollcallError, remedy: str) -> None:
    finding = only(user=error)
    assert (finding.key, finding.severity, finding.hides) == ("Tower: token", BREAKS, True)
    assert finding.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("ahead", "words"), [(60, "60 s ahead of"), (-3599, "3,599 s behind"), (3600, "3,600 s ahead of")]
)
def test_clocks_that_differ_by_more_than_a_minute_are_a_warning(ahead: float, words: str) -> None:
    finding = only(ahead=ahead)
    assert (finding.key, finding.severity) == ("Tower: clock", WARNS)
    assert words in finding.reason


@pytest.mark.parametrize("ahead", [59.9, -59.9])
def test_clocks_that_hardly_differ_are_right(ahead: float) -> None:
    assert found(ahead=ahead) == {}


READS: dict[str, Any] = {"user": TowerUser("fleet", writes=False)}
SPARE = HostLimit("organization 'Default'", 899, 1000)


@pytest.mark.parametrize(
    ("used", "severity"), [(0, None), (899, None), (900, WARNS), (999, WARNS), (1000, BREAKS), (1200, BREAKS)]
)
@pytest.mark.parametrize("licence", [True, False])
def test_a_host_limit_that_is_nearly_reached_warns_and_a_reached_one_breaks_launches(
    used: int, severity: Severity | None, licence: bool
) -> None:
    limit = HostLimit("the licence" if licence else "organization 'Default'", used, 1000)
    inventory = ObservedInventory(observed.INVENTORY, True, (), SPARE if licence else limit)
    findings = found(inventories={"prod": inventory, "7": inventory}, licence=limit if licence else None)
    assert [each.severity for each in findings.values()] == ([severity] if severity else [])
    for each in findings.values():
        assert each.key == f"Tower: host limit of {limit.owner}"
        assert each.reason.startswith(f"{used:,} of the 1,000 hosts that {limit.owner} allows")
        assert ("extend the subscription" in each.remedy, "'Max hosts'" in each.remedy) == (licence, not licence)


def test_of_two_inventories_of_one_organization_the_limit_is_said_once_and_of_two_each() -> None:
    full = [HostLimit(f"organization {name!r}", 10, 10) for name in "aab"]
    inventories = {
        str(number): ObservedInventory(Inventory(number, str(number)), True, (), limit)
        for number, limit in enumerate(full)
    }
    assert found(inventories=inventories).keys() == {f"Tower: host limit of organization '{each}'" for each in "ab"}


def test_limits_that_cannot_be_read_are_said_and_hide_nothing_else() -> None:
    inventory = ObservedInventory(observed.INVENTORY, True, (), Throttled("slow"))
    findings = found(inventories={"prod": inventory}, licence=TowerUnavailable("away"))
    assert {key: each.severity for key, each in findings.items()} == {
        "host limits: not looked at (Throttled)": WARNS,
        "host limits: not looked at (TowerUnavailable)": WARNS,
    }


READABLE = {"prod": ObservedInventory(observed.INVENTORY, False, ())}
SHOWN = {"provision": ObservedTemplate(observed.TEMPLATE, LaunchTerms(startable=False, simultaneous=True))}


def test_a_token_that_may_only_read_is_one_finding_whatever_its_user_lacks() -> None:
    assert only(**READS, inventories=READABLE, templates=SHOWN).key == "Tower: token reads only"


@pytest.mark.parametrize("changes", [{"inventories": READABLE}, {"templates": SHOWN}])
def test_a_token_that_may_change_something_is_no_read_only_one(changes: dict[str, Any]) -> None:
    (key,) = found(**READS, **changes)
    assert key.endswith(": role")


def test_roles_that_lack_are_reported_one_by_one_where_the_token_may_write() -> None:
    findings = found(inventories=READABLE, templates=SHOWN)
    assert findings.keys() == {"inventory 'prod': role", "job template 'provision': role"}
    assert all(each.severity == BREAKS for each in findings.values())


def test_of_many_groups_some_are_named() -> None:
    groups = [group(name=f"web{number:02}") for number in range(12)]
    tower = observed.tower(inventories=READABLE)
    (finding,) = inventory_findings(observed.everything(*groups, tower=tower), observed.HERE)
    assert "web00, web01" in finding.reason
    assert "web09 and 2 more" in finding.reason


@pytest.mark.parametrize(
    ("limits", "keys"),
    [
        (BulkLimits(100, 250), set()),
        (BulkLimits(1000, 1000), set()),
        (BulkLimits(99, 250), {"Tower: BULK_HOST_MAX_CREATE"}),
        (BulkLimits(100, 249), {"Tower: BULK_HOST_MAX_DELETE"}),
        (BulkLimits(1, 1), {"Tower: BULK_HOST_MAX_CREATE", "Tower: BULK_HOST_MAX_DELETE"}),
        (None, set()),
        (TowerUnavailable("away"), {"endpoints: not looked at (TowerUnavailable)"}),
    ],
)
def test_limits_below_those_of_our_calls_are_reported(limits: Any, keys: set[str]) -> None:
    findings = found(limits=limits)
    assert findings.keys() == keys
    assert all(each.severity == WARNS for each in findings.values())


def test_an_old_server_is_reported() -> None:
    assert only(bulk=False, limits=None).key == "Tower: no bulk calls"


@pytest.mark.parametrize("needed", [("a credential",), ("the password ssh_password", "an answer to 'x'")])
def test_what_a_launch_would_have_to_bring_is_named(needed: tuple[str, ...]) -> None:
    terms = LaunchTerms(startable=True, simultaneous=True, needed=needed)
    finding = only(templates={"provision": ObservedTemplate(observed.TEMPLATE, terms)})
    assert (finding.key, finding.severity) == ("job template 'provision': launch needs more", BREAKS)
    assert all(each in finding.reason for each in needed)


def test_jobs_one_after_another_are_slow_and_no_failure() -> None:
    terms = LaunchTerms(startable=True, simultaneous=False)
    finding = only(templates={"provision": ObservedTemplate(observed.TEMPLATE, terms)})
    assert (finding.key, finding.severity) == ("job template 'provision': one job at a time", WARNS)


def test_a_template_that_only_retires_breaks_no_launch() -> None:
    findings = found(retiring=("provision",), templates={"provision": BadSettings("Tower has no job template")})
    assert [each.severity for each in findings.values()] == [WARNS]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            BadSettings("Tower has no inventory 'x' that the token can read: correct it"),
            "correct the tag; if it is there",
        ),
        (BadSettings("inventory 'x' is ambiguous: A/x (id 1)"), "write org/name into the tag, or id:N"),
        (BadSettings("inventory 'x' is smart and cannot hold hosts of its own"), "ordinary inventory"),
        (TowerDenied("403"), "grant the token's user the role"),
    ],
)
def test_what_is_not_found_has_the_remedy_that_fits(error: RollcallError, remedy: str) -> None:
    finding = only(inventories={"x": error})
    assert (finding.key, finding.severity) == ("inventory 'x': not found", BREAKS)
    assert remedy in finding.remedy
    assert "of web" in finding.reason


def test_what_tower_did_not_answer_in_time_is_not_taken_for_missing() -> None:
    away = TowerUnavailable("away")
    findings = found(inventories={"x": away, "y": away}, templates={"z": Throttled("no time left")})
    assert findings.keys() == {
        "inventories: not looked at (TowerUnavailable)",
        "job templates: not looked at (Throttled)",
    }
    assert "inventories of x, y could not" in findings["inventories: not looked at (TowerUnavailable)"].reason
    assert all(each.hides for each in findings.values())


def test_what_tower_did_not_answer_about_what_it_has_is_reported() -> None:
    away = TowerUnavailable("away")
    findings = found(
        inventories={"prod": ObservedInventory(observed.INVENTORY, Throttled("slow"), away)},
        templates={"provision": ObservedTemplate(observed.TEMPLATE, RollcallError("odd"))},
    )
    assert {key: each.severity for key, each in findings.items()} == {
        "roles on inventories: not looked at (Throttled)": BREAKS,
        "hosts of inventories: not looked at (TowerUnavailable)": WARNS,
        "launch terms of job templates: not looked at (RollcallError)": BREAKS,
    }
