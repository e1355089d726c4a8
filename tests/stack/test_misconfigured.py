"""Settings that cannot be followed: a clear error, for nobody else, and no job that would run on other hosts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.cloud import HOOK_PREFIX, Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]


@dataclass(frozen=True)
class Mistake:
    """A mistake in a group's set-up, and the words that name it.

    template: the keyword arguments of a job template. traffic: what sends the group traffic, as CreateAutoScalingGroup
    names it.
    """

    words: str
    tags: dict[str, str | None] = field(default_factory=dict)
    template: dict[str, Any] | None = None
    traffic: dict[str, Any] = field(default_factory=dict)


MISTAKES = {
    "a template that does not prompt for limit": Mistake("does not prompt for limit", template={"ask_limit": False}),
    "a template of the type check": Mistake("is of the job type 'check'", template={"job_type": "check"}),
    "a template with tags": Mistake("runs only the tags 'base'", template={"job_tags": "base"}),
    "a sliced template": Mistake("is cut into 2 slices", template={"slice_count": 2}),
    "a template fixed to another inventory": Mistake(
        "let it prompt for the inventory", template={"inventory": "somewhere else"}
    ),
    "a template that asks a question": Mistake("variables_needed_to_start", template={"survey_required": "colour"}),
    "an unknown inventory": Mistake("Tower has no inventory 'nowhere'", tags={"inventory": "nowhere"}),
    "an unknown template": Mistake("Tower has no job template 'nothing'", tags={"job-template": "nothing"}),
    "an unknown check": Mistake("tag rollcall:gate is 'icmp'; allowed: job, ec2, tcp:PORT", tags={"gate": "job icmp"}),
    "a load balancer that is none of ours": Mistake(
        "cannot ask classic load balancer old: attach target groups",
        tags={"gate": "job elb"},
        traffic={"LoadBalancerNames": ["old"]},
    ),
    "a traffic source that is none of ours": Mistake(
        "cannot ask vpc-lattice arn:aws:vpc-lattice:us-east-1:123456789012:targetgroup/tg-0123456789abcdef0",
        tags={"watch": "60"},
        traffic={
            "TrafficSources": [
                {
                    "Identifier": "arn:aws:vpc-lattice:us-east-1:123456789012:targetgroup/tg-0123456789abcdef0",
                    "Type": "vpc-lattice",
                }
            ]
        },
    ),
    "the check elb without a target group": Mistake("attached to no target group", tags={"gate": "elb job"}),
    "a timeout that is no number": Mistake("tag rollcall:timeout is 'soon'; allowed: whole", tags={"timeout": "soon"}),
    "nodes in Chef without a Chef server": Mistake("deploy with ChefSecretArn", tags={"chef": "@instance_id@"}),
    "a pattern of node names that is none": Mistake("allowed: @instance_id@ or @private_dns@", tags={"chef": "web"}),
    "a hook without the tag": Mistake("not the tag rollcall:inventory", tags={"inventory": None}),
}


@dataclass(frozen=True)
class Refused:
    """What came of a mistake: the error that names it, the jobs and hosts there are, and the instances' states."""

    error: dict[str, Any]
    jobs: int
    hosts: int
    states: set[str]


@pytest.fixture(scope="module")
def refused(cloud: Cloud) -> dict[str, Refused]:
    """Every mistake made at the same time, each with an instance that comes across it; all is gone when tests begin."""
    tower = cloud.tower
    tower.add_inventory("somewhere else")
    groups: dict[str, Group] = {}
    for number, (name, mistake) in enumerate(MISTAKES.items()):
        own = f"mistake-{number}"
        tower.add_inventory(own)
        tower.add_job_template(own, **{"inventory": own} | (mistake.template or {}))
        tags = {"inventory": own, "job-template": own} | mistake.tags
        groups[name] = cloud.create_group(own, tags, size=1, **mistake.traffic)
    found = {
        name: Refused(
            error=refusal(cloud, group),
            jobs=len(tower.jobs(group.name)),
            hosts=len(tower.hosts(group.name)),
            states=set(group.states().values()),
        )
        for name, group in groups.items()
    }
    for group in groups.values():
        group.delete()
    eventually(lambda: cloud.in_flight() == 0, "what nobody waits for any more is let go")
    assert not any(cloud.dead_letters().values())
    return found


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_remedy_and_nothing_is_launched(refused: dict[str, Refused], name: str) -> None:
    assert MISTAKES[name].words in refused[name].error["message"]
    assert refused[name].jobs == 0
    assert refused[name].states == {"Pending:Wait"}


@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if "survey" not in str(mistake)])
def test_a_mistake_found_before_the_launch_leaves_no_host(refused: dict[str, Refused], name: str) -> None:
    assert refused[name].hosts == 0


@pytest.mark.story
def test_what_is_wrong_with_one_group_does_not_touch_another_and_goes_on_once_fixed(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    good, bad = make_group("-good"), make_group("-bad", gate="job icmp")
    bad.scale(1)
    good.scale(2)
    eventually(lambda: len(good.in_service()) == 2, "the good group serves")
    refusal(cloud, bad)
    bad.tag({"gate": "job"})
    eventually(bad.in_service, "the fixed group serves")


def test_a_host_that_is_not_ours_is_not_taken_over(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(job_template=None, hooks=False)
    group.scale(1)
    eventually(group.in_service, "in service")
    # A host of somebody else's under the name of the next instance cannot be planted before that instance is known;
    # so it appears while Tower is away for Rollcall.
    other = make_group("-b")
    tower.refuse()
    other.scale(1)
    (new_instance,) = eventually(lambda: list(other.states()), "launched")
    tower.add_host(name, new_instance, variables={"ansible_host": "192.0.2.1", "role": "db"})
    tower.come_back()
    assert "not ours" in refusal(cloud, other, "not ours")["message"]
    (host,) = (host for host in tower.hosts(name) if host.name == new_instance)
    assert host.variables == {"ansible_host": "192.0.2.1", "role": "db"}
    other.delete()


def test_a_malformed_message_does_not_hold_its_neighbours(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    queue = cloud.queue_url("LaunchQueue")
    cloud.aws.client("sqs").send_message(QueueUrl=queue, MessageBody='{"detail-type": "EC2 Instance-launch Lifecycle')
    group = make_group(size=1)
    eventually(group.in_service, "in service")
    line = eventually(
        lambda: [each for each in cloud.log_lines("register") if "is not JSON" in each["message"]], "the error"
    )[0]
    assert line["error"] == "BadEvent"
    cloud.aws.client("sqs").purge_queue(QueueUrl=queue)


def refusal(cloud: Cloud, group: Group, words: str = "") -> dict[str, Any]:
    """The error with which register refuses a group's instances."""
    lines = eventually(
        lambda: [
            line
            for line in cloud.log_lines("register")
            if line.get("error") in ("BadSettings", "TowerRejected")
            and line.get("group") == group.name
            and line["hook"] == f"{HOOK_PREFIX}-launching"
            and words in line["message"]
        ],
        "register names what is wrong",
    )
    return dict(lines[0])
