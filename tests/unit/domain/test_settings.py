"""What a group says by its tags."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.checks.registry import NAMES, kind_named, read_group_settings
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import AddressKind, Group, GroupSettings, OnFailure
from rollcall.domain.settings import read_own_queue, read_removal_share, read_settings, read_topics

JOB = "job"


def read(**own: str) -> GroupSettings:
    """The settings of a group that opted in; own are tags without their prefix, with _ for -."""
    tags = {f"rollcall:{key.replace('_', '-')}": value for key, value in ({"inventory": "prod"} | own).items()}
    settings = read_group_settings(Group("web", tags, {}))
    assert settings
    return settings


def refused(tag: str, value: str, *allowed: str, **others: str) -> None:
    """The tag's value is refused with the group, the tag, the value and what is allowed in the message."""
    with pytest.raises(BadSettings) as caught:
        read(**{tag.replace("-", "_"): value}, **others)
    text = str(caught.value)
    for words in ("'web'", f"rollcall:{tag}", *allowed):
        assert words in text, f"{words!r} is not in {text!r}"


# Defaults


def test_a_group_without_our_tag_did_not_opt_in() -> None:
    assert read_group_settings(Group("web", {"Name": "web", "rollcall:groups": "db"}, {})) is None


def test_what_a_group_gets_that_says_no_more_than_its_inventory() -> None:
    assert read() == GroupSettings(
        group="web",
        inventory="prod",
        inventory_groups=("web",),
        job_template=None,
        gate=(),
        timeout=1800,
        on_failure=OnFailure.ABANDON,
        address=AddressKind.PRIVATE,
    )


def test_a_template_makes_the_gate_wait_for_the_job() -> None:
    assert read(job_template="provision").gate == (JOB,)


def test_an_auto_scaling_groups_name_is_taken_as_it_is() -> None:
    settings = read_group_settings(Group("Web Tier (blue)", {"rollcall:inventory": "prod"}, {}))
    assert settings
    assert settings.inventory_groups == ("Web Tier (blue)",)


# Values


@pytest.mark.parametrize("value", ["prod", "org/prod", "42", "Two words"])
def test_an_inventory_may_be_named_in_every_way(value: str) -> None:
    assert read(inventory=value).inventory == value


def test_blanks_around_and_between_words_do_not_matter_but_for_those_within_a_name() -> None:
    settings = read(
        inventory="  Two   words ",
        job_template=" pro  vision ",
        retire_job_template=" de  commission ",
        groups=" a   b ",
        timeout=" 60 ",
        gate=" job   ec2 ",
    )
    assert settings.inventory == "Two   words"
    assert settings.job_template == "pro  vision"
    assert settings.retire_job_template == "de  commission"
    assert list(settings.gate) == ["job", "ec2"]
    assert settings.inventory_groups == ("a", "b")
    assert settings.timeout == 60


@pytest.mark.parametrize("value", ["drain", "org/drain", "42", "Two words"])
def test_a_retire_job_template_may_be_named_in_every_way(value: str) -> None:
    assert read(retire_job_template=f" {value} ").retire_job_template == value
    assert read(retire_job_template=value).job_template is None


def test_a_group_named_twice_counts_once_and_their_order_stays() -> None:
    assert read(groups="b a b").inventory_groups == ("b", "a")


@pytest.mark.parametrize(
    "tag", ["groups", "job_template", "retire_job_template", "gate", "timeout", "on_failure", "address", "user_data"]
)
def test_an_empty_tag_is_as_good_as_none(tag: str) -> None:
    assert read(**{tag: ""}) == read()


@pytest.mark.parametrize(
    ("text", "checks"),
    [
        ("job", (JOB,)),
        ("ec2", ("ec2",)),
        ("elb", ("elb",)),
        ("tcp:22", ("tcp:22",)),
        ("tcp:65535", ("tcp:65535",)),
        ("http:8080/", ("http:8080/",)),
        ("http:80/a/b.c_d=1", ("http:80/a/b.c_d=1",)),
        ("job ec2 tcp:1", (JOB, "ec2", "tcp:1")),
        ("tcp:0022 http:0080/x", ("tcp:22", "http:80/x")),
    ],
)
def test_every_check_can_be_asked_for(text: str, checks: tuple[str, ...]) -> None:
    assert read(gate=text, job_template="provision").gate == checks


@pytest.mark.parametrize("value", list(OnFailure))
def test_every_consequence_can_be_asked_for(value: OnFailure) -> None:
    assert read(on_failure=str(value)).on_failure == value


@pytest.mark.parametrize("value", list(AddressKind))
def test_every_address_can_be_asked_for(value: AddressKind) -> None:
    assert read(address=str(value)).address == value


@pytest.mark.parametrize(("value", "wanted"), [("true", True), ("false", False)])
def test_a_group_may_let_its_instances_ask_for_more(value: str, *, wanted: bool) -> None:
    assert read(user_data=value).user_data is wanted


@pytest.mark.parametrize("value", ["1", "60", "172800"])
def test_a_timeout_is_in_seconds(value: str) -> None:
    assert read(timeout=value).timeout == int(value)


@pytest.mark.parametrize(
    ("value", "epoch"), [("1970-01-01T00:00:01Z", 1), ("2026-11-21T10:00:00Z", 1_795_255_200), (" ", 0)]
)
def test_a_group_was_released_at_a_moment_in_utc(value: str, epoch: float) -> None:
    assert read(released=value).released_at == epoch


@pytest.mark.parametrize(
    "value",
    [
        "now",
        "1795255200",
        "2026-11-21",
        "2026-11-21 10:00:00",
        "2026-11-21T10:00:00",
        "2026-11-21T10:00:00+01:00",
        "2026-13-01T10:00:00Z",
    ],
)
def test_what_is_no_moment_releases_no_group(value: str) -> None:
    refused("released", value, repr(value), "UTC, like 2026-11-21T10:00:00Z")


@pytest.mark.parametrize("value", ["1", "60", "3600"])
def test_a_watch_is_in_seconds(value: str) -> None:
    assert read(watch=value).watch == int(value)


def test_a_check_that_is_asked_for_is_known_by_its_kind() -> None:
    settings = read(gate="ec2 tcp:80")
    assert [kind.name for kind in map(kind_named, NAMES) if settings.asks(kind.name)] == ["ec2", "tcp"]


# What cannot be read


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_inventory_is_refused(value: str) -> None:
    refused("inventory", value, "org/name", "id")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "172801", "30 minutes", "1e3", "9" * 200])
def test_an_unreadable_timeout_is_refused(value: str) -> None:
    refused("timeout", value, f"'{value}'", "172800")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "3601", "9" * 200])
def test_an_unreadable_watch_is_refused(value: str) -> None:
    refused("watch", value, f"'{value}'", "3600")


@pytest.mark.parametrize(
    "value",
    [
        "icmp",
        "JOB",
        "elb:80",
        "tcp",
        "tcp:",
        "tcp:x",
        "http:80",
        "http:/x",
        "http:80/a:b c",
        "ssh:22",
        "job,ec2",
        "tcp:-1",
    ],
)
def test_an_unknown_check_is_refused(value: str) -> None:
    bad = value.split()[-1] if " " in value else value
    refused("gate", value, f"'{bad}'", "tcp:PORT", "http:PORT/path", job_template="provision")


@pytest.mark.parametrize("value", ["tcp:0", "tcp:65536", "http:0/", "http:99999/x"])
def test_a_port_that_does_not_exist_is_refused(value: str) -> None:
    refused("gate", value, f"'{value}'", "65535")


@pytest.mark.parametrize("path", ["/grüße", "/ß", "/٣"])
def test_a_path_that_http_cannot_carry_is_refused(path: str) -> None:
    refused("gate", f"http:80{path}", path)


def test_waiting_for_a_job_that_nobody_launches_is_refused() -> None:
    refused("gate", "ec2 job", "'ec2 job'", "rollcall:job-template")


def test_an_unknown_consequence_is_refused() -> None:
    refused("on-failure", "explode", "'explode'", "abandon", "hold")


def test_an_unknown_address_is_refused() -> None:
    refused("address", "ipv6", "'ipv6'", "private, public, private-dns, public-dns")


@pytest.mark.parametrize("value", ["yes", "True", "1", "true false"])
def test_neither_true_nor_false_is_refused(value: str) -> None:
    refused("user-data", value, f"'{value}'", "true, false")


TAG_TEXT = st.text(alphabet=string.ascii_letters + string.digits + " +-=._:/@äß", max_size=30)
TAGS = [
    "rollcall:groups",
    "rollcall:job-template",
    "rollcall:retire-job-template",
    "rollcall:gate",
    "rollcall:timeout",
    "rollcall:on-failure",
    "rollcall:address",
    "rollcall:user-data",
    "rollcall:inventory",
]


@given(st.dictionaries(st.sampled_from(TAGS), TAG_TEXT))
def test_whatever_a_tag_can_hold_is_read_or_refused_by_name(tags: dict[str, str]) -> None:
    refusal = ""
    try:
        read_group_settings(Group("web", {"rollcall:inventory": "prod"} | tags, {}))
    except BadSettings as error:
        refusal = str(error)
    assert not refusal or re.search(r"group 'web': tag rollcall:[a-z-]+ is '.*'; allowed: .+", refusal)


# An installation's parameters

ENVIRONMENT = {
    "ACCOUNT_ID": "123456789012",
    "AWS_REGION": "us-east-1",
    "TOWER_URL": "https://tower.example.com",
    "TOWER_SECRET": "arn:aws:secretsmanager:us-east-1:123456789012:secret:tower",
    "HOOK_PREFIX": "rollcall",
    "ADOPT_BY_INSTANCE_ID": "false",
    "IN_VPC": "false",
    "LOAD_BALANCERS": "false",
    "MAX_HOSTS_PER_JOB": "100",
    "USER_DATA": "false",
    "RETIRE_JOBS": "false",
    "STACK_NAME": "rollcall",
    "LAUNCH_QUEUE_URL": "https://queue.example.com/launch",
    "TERMINATE_QUEUE_URL": "https://queue.example.com/terminate",
    "GATE_QUEUE_URL": "https://queue.example.com/gate",
    "QUEUE_URL": "https://queue.example.com/own",
    "DEAD_LETTER_QUEUE_URL": "https://queue.example.com/dead",
}


def test_an_installation_is_described_by_its_environment() -> None:
    settings = read_settings(ENVIRONMENT)
    assert settings.account == "123456789012"
    assert settings.adopt_by_instance_id is False
    assert read_settings(ENVIRONMENT | {"ADOPT_BY_INSTANCE_ID": "true"}).adopt_by_instance_id is True
    assert settings.in_vpc is False
    assert read_settings(ENVIRONMENT | {"IN_VPC": "true"}).in_vpc is True
    assert settings.load_balancers is False
    assert read_settings(ENVIRONMENT | {"LOAD_BALANCERS": "true"}).load_balancers is True
    assert settings.retire_jobs is False
    assert read_settings(ENVIRONMENT | {"RETIRE_JOBS": "true"}).retire_jobs is True
    assert settings.user_data is False
    assert read_settings(ENVIRONMENT | {"USER_DATA": "true"}).user_data is True


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_missing_variable_is_named(name: str) -> None:
    less = {key: value for key, value in ENVIRONMENT.items() if key != name}
    with pytest.raises(BadSettings, match=name):
        (read_settings(less), read_own_queue(less))


def test_the_share_that_may_be_removed_is_a_fraction() -> None:
    assert read_removal_share({"REMOVE_AT_MOST_PERCENT": "20"}) == 0.2


def test_a_share_that_is_not_set_names_its_variable() -> None:
    with pytest.raises(BadSettings, match="REMOVE_AT_MOST_PERCENT"):
        read_removal_share({})


# The installation


@pytest.mark.parametrize(
    ("text", "topics"), [("", ()), (" ", ()), ("arn:a", ("arn:a",)), ("arn:a, arn:b ,", ("arn:a", "arn:b"))]
)
def test_topics_are_a_list_as_cloudformation_takes_it(text: str, topics: tuple[str, ...]) -> None:
    assert read_topics(text) == topics
