"""Trouble of the deployed stack, from where it happens to where people read of it.

That nothing more is reported of an incident, and so it is over, takes minutes: the other tests run meanwhile.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.alert_channels import AlertChannels, AlertRecord
from lab.cloud import STACK, Cloud, Group, eventually
from lab.cycles import WARM_SOON, at_size, new_hosts, start_cycle
from lab.invariants import broken_invariants
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]
type Json = dict[str, Any]

ALERT_AFTER = 1  # seconds
INSTANCES = 200  # instances
LARGE_GROUP = "large"
AT_ONCE = 1  # seconds for which alert waits for more to read, where there is no large scale-out
HEARTBEAT_TIMEOUT = 120  # seconds; retries come after a third of it at the latest
WAIT_SCALE = 0.04  # of the time that Step Functions waits
PATIENCE = 420.0  # seconds; how long nothing must be reported of an incident until it is over is minutes


@pytest.fixture(scope="module")
def cloud(built: Path, channels: AlertChannels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud with both channels, and room for a large scale-out."""
    with Cloud(
        tmp_path_factory.mktemp("lab"), address_pool="10.0.0.0/20", tower=Tower(), wait_scale=WAIT_SCALE, forks=True
    ) as cloud:
        secrets = cloud.aws.client("secretsmanager")
        cloud.deploy(
            built,
            PagerDutySecretArn=secrets.create_secret(Name="pagerduty", SecretString=channels.pagerduty_secret())["ARN"],
            SlackSecretArn=secrets.create_secret(Name="slack", SecretString=channels.slack_secret())["ARN"],
            AlertAfter=str(ALERT_AFTER),
            Cycles="true",
        )
        yield cloud


@pytest.fixture(scope="module", autouse=True)
def window(cloud: Cloud) -> int:
    """Seconds for which alert waits for more to read, as the template says; made short but for a large scale-out."""
    return wait_for_more(cloud, AT_ONCE)


@dataclass(frozen=True)
class Outage:
    """What was sent while Tower was away during a large scale-out, up to when all were in service."""

    group: Group
    key: str
    pagerduty: list[Json]
    slack: list[str]


@pytest.fixture(scope="module")
def outage(cloud: Cloud, window: int, channels: AlertChannels) -> Outage:
    """Tower is away while a large scale-out is under way, then comes back; the group is gone again."""
    tower, asked, texts_before = cloud.tower, len(channels.pagerduty.requests), len(channels.slack.texts())
    tower.add_inventory(LARGE_GROUP)
    tower.add_job_template(LARGE_GROUP, LARGE_GROUP)
    tower.set_boot_time(0)
    tower.set_job_time(0.5)
    wait_for_more(cloud, window)
    tower.refuse()
    tags = {"inventory": LARGE_GROUP, "job-template": LARGE_GROUP}
    group = cloud.create_group(LARGE_GROUP, tags, heartbeat_timeout=HEARTBEAT_TIMEOUT, size=INSTANCES, most=INSTANCES)
    alert = eventually(lambda: opened(channels, "TowerUnavailable"), "an operator is notified", PATIENCE)
    eventually(lambda: len(incident(cloud, "TowerUnavailable")["subjects"]) == INSTANCES, "all have failed", PATIENCE)
    tower.come_back()
    eventually(lambda: len(group.in_service()) == INSTANCES, "all in service", PATIENCE)
    eventually(lambda: cloud.in_flight() == 0, "every action comes to an end", PATIENCE)
    wait_for_more(cloud, AT_ONCE)
    assert broken_invariants(cloud, [group.name]) == []
    group.delete()
    eventually(lambda: not group.states() and cloud.in_flight() == 0, "the group is gone", PATIENCE)
    return Outage(group, alert.key, channels.pagerduty.requests[asked:], channels.slack.texts()[texts_before:])


@pytest.mark.story
def test_a_channel_that_is_away_silences_no_other_and_is_notified_later(cloud: Cloud, channels: AlertChannels) -> None:
    channels.pagerduty.always(500)
    put(cloud, "Misconfiguration Found", key="away", severity="warning", subject="s", reason="r", remedy="fix away")
    eventually(lambda: texts(channels, "fix away"), "Slack is notified")
    assert not opened(channels, "doctor: away")
    channels.pagerduty.always(None)
    alert = eventually(lambda: swept(cloud) and opened(channels, "doctor: away"), "PagerDuty is notified")
    put(cloud, "Misconfiguration Mended", key="away", severity="warning", subject="s", reason="r", remedy="m")
    eventually(lambda: resolved(channels, alert.key), "it is over")
    eventually(lambda: [":warning:" in each for each in texts(channels, "fix away")] == [True, False], "Slack, too")


def test_what_is_refused_is_counted_as_lost_and_not_tried_again(cloud: Cloud, channels: AlertChannels) -> None:
    channels.slack.always(404)
    put(cloud, "Misconfiguration Found", key="lost", severity="warning", subject="s", reason="r", remedy="fix this")
    alert = eventually(lambda: opened(channels, "doctor: lost"), "PagerDuty is notified")
    eventually(lambda: counted(cloud, "AlertsLost").get("slack"), "Slack's refusal is counted")
    put(cloud, "Misconfiguration Mended", key="lost", severity="warning", subject="s", reason="r", remedy="m")
    eventually(lambda: resolved(channels, alert.key), "it is over")
    channels.slack.always(None)
    assert len([each for each in channels.slack.requests if "fix this" in json.dumps(each)]) == 1


def test_a_tower_outage_during_a_large_scale_out_is_one_incident(
    cloud: Cloud, channels: AlertChannels, outage: Outage
) -> None:
    assert outage.key.endswith(f"/{STACK}/TowerUnavailable")
    assert {(each["dedup_key"], each["event_action"]) for each in outage.pagerduty} == {(outage.key, "trigger")}
    payload = outage.pagerduty[-1]["payload"]
    assert payload["severity"] == "error"
    assert LARGE_GROUP in payload["group"]
    assert "Tower" in payload["summary"]
    first, *others = outage.slack
    assert ":large_orange_circle:" in first
    assert len(others) <= 1, "sent again only when it has grown tenfold"
    assert len({each.instance_id for each in outage.group.transitions()}) == INSTANCES
    assert set(counted(cloud, "AlertsSent")) == {"pagerduty", "slack"}


def test_a_cycle_that_was_rolled_back_is_notified_with_its_job_and_over_with_the_next_that_succeeds(
    make_group: MakeGroup, cloud: Cloud, channels: AlertChannels, tower: Tower, name: str
) -> None:
    group = make_group(traffic=WARM_SOON)
    group.use_version("1")
    at_size(group, 2)
    version = group.new_version()
    slowly: Json = {"checkpoints": [50, 100], "checkpoint_seconds": 60}
    by_hand = start_cycle(group, launch_template_version=version, batch=1, **slowly)
    by_hand.reaches("waiting at a checkpoint")
    cloud.aws.client("autoscaling").rollback_instance_refresh(AutoScalingGroupName=group.name)
    assert (by_hand.waited()["result"], by_hand.state["ended_by"]) == ("rolled back", "operator")
    old = at_size(group, 2)
    tower.fail_host(new_hosts(name, old))
    (verdict, *_) = start_cycle(group, launch_template_version=version, batch=2).waited()["verdicts"]
    alert = eventually(lambda: opened(channels, f"cycle: {group.name}"), "an operator is notified")
    assert alert.payload["severity"] == "error"
    assert "task 'provision' failed on" in alert.payload["summary"]
    assert incident(cloud, f"cycle: {group.name}")["count"] == 1, "what an operator rolled back is none"
    assert verdict["job_url"] in {each["href"] for each in alert.links}
    tower.heal_hosts()
    assert start_cycle(group, launch_template_version=version, batch=2).waited()["result"] == "succeeded"
    eventually(lambda: resolved(channels, alert.key), "it is over")


@pytest.mark.story
def test_a_tag_that_cannot_be_followed_is_notified_at_once_and_over_when_nothing_more_is_reported_of_it(
    make_group: MakeGroup, cloud: Cloud, channels: AlertChannels
) -> None:
    group = make_group(size=2, job_template="nothing")
    alert = eventually(lambda: opened(channels, f"BadSettings: group {group.name}"), "an operator is notified")
    assert alert.payload["severity"] == "error"
    assert "Tower has no job template 'nothing'" in alert.payload["summary"]
    assert [each["text"] for each in alert.links] == ["Logs"]
    eventually(lambda: texts(channels, "Tower has no job template 'nothing'"), "Slack is notified, too")
    group.tag({"job-template": group.name})
    eventually(lambda: len(group.in_service()) == 2, "both in service", PATIENCE)
    age(cloud, f"BadSettings: group {group.name}")
    eventually(lambda: swept(cloud) and resolved(channels, alert.key), "it is over")


@pytest.mark.story
def test_a_held_instance_is_notified_with_its_job_and_over_as_soon_as_it_serves(
    make_group: MakeGroup, tower: Tower, name: str, channels: AlertChannels
) -> None:
    tower.fail_host(lambda host: host.inventory == name)
    group = make_group(size=1, on_failure="hold")
    alert = eventually(lambda: opened(channels, f"instances: group {group.name}"), "an operator is notified")
    (instance_id,) = group.states()
    assert alert.payload["custom_details"]["subjects"] == [f"{group.name}/{instance_id}"]
    (job,) = [each["href"] for each in alert.links if each["text"] == "Job in Tower"]
    assert f"/jobs/playbook/{tower.jobs(name)[-1].id}" in job
    tower.heal_hosts()
    tower.run_playbook(name, instance_id)
    eventually(group.in_service, "in service", PATIENCE)
    eventually(lambda: resolved(channels, alert.key), "it is over")


@pytest.mark.story
def test_an_alarm_is_notified_and_over_when_it_is_ok(cloud: Cloud, channels: AlertChannels) -> None:
    cloudwatch = cloud.aws.client("cloudwatch")
    names = [each["AlarmName"] for each in cloudwatch.describe_alarms()["MetricAlarms"]]
    (name,) = [each for each in names if "TerminateDeadLetterAlarm" in each]
    (repeating,) = [each for each in names if "PermanentFailureAlarm" in each]
    for each in (repeating, name):
        cloudwatch.set_alarm_state(AlarmName=each, StateValue="ALARM", StateReason="a test")
    alert = eventually(lambda: opened(channels, f"alarm: {name}"), "an operator is notified")
    assert alert.payload["severity"] == "critical"
    assert "Look at once: rollcall redrive" in alert.payload["summary"]
    assert [each["text"] for each in alert.links] == ["Alarm", "Logs"]
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")
    eventually(lambda: resolved(channels, alert.key), "it is over")
    assert not opened(channels, f"alarm: {repeating}")


def test_ends_come_to_alert_only_of_what_may_have_been_notified(cloud: Cloud) -> None:
    for instance_id, kind, troubled in (
        ("i-0a", "Instance Ready", False),
        ("i-0b", "Instance Ready", True),
        ("i-0c", "Instance Retired", None),
        ("i-0d", "Instance Abandoned", True),
        ("i-0e", "Instance Retired", False),
        ("i-0f", "Instance Registered", True),
    ):
        put(cloud, kind, group="ended", instance_id=instance_id, seconds=1.0, reason="r", job=None, troubled=troubled)
    remembered = {f"ended/{each}" for each in ("i-0b", "i-0c", "i-0d")}
    eventually(lambda: left(cloud, "instances: group ended") == remembered, "the ends are known")


@pytest.mark.story
def test_what_cannot_be_read_goes_to_the_dead_letter_queue_with_the_reason(cloud: Cloud) -> None:
    cloud.aws.client("sqs").send_message(QueueUrl=cloud.queue_url("AlertQueue"), MessageBody="no json")
    messages = eventually(
        lambda: (
            cloud.aws.client("sqs")
            .receive_message(QueueUrl=cloud.queue_url("AlertDeadLetterQueue"), MessageAttributeNames=["All"])
            .get("Messages")
        ),
        "set aside",
    )
    assert [each["Body"] for each in messages] == ["no json"]
    assert messages[0]["MessageAttributes"]["Error"]["StringValue"] == "BadEvent"


def test_an_outage_is_over_by_itself_when_nothing_more_is_reported_of_it(
    cloud: Cloud, channels: AlertChannels, outage: Outage
) -> None:
    quiet_at = incident(cloud, "TowerUnavailable")["quiet_at"]
    eventually(lambda: time.time() >= quiet_at, "what would have been reported again was not", PATIENCE)
    eventually(lambda: swept(cloud) and resolved(channels, outage.key), "it is over", PATIENCE)
    [over] = eventually(
        lambda: [each for each in texts(channels, "over:*") if f"{INSTANCES} instances" in each], "in Slack"
    )
    assert "Tower" in over
    actions = [each["event_action"] for each in channels.pagerduty.requests if each["dedup_key"] == outage.key]
    assert actions == ["trigger"] * len(outage.pagerduty) + ["resolve"]
    assert counted(cloud, "AlertsLost").get("pagerduty") is None


# What they read


def wait_for_more(cloud: Cloud, seconds: int) -> int:
    """Let alert wait so long for more to read; returns for how many seconds it did before."""
    client = cloud.aws.client("lambda")
    answer = client.list_event_source_mappings(FunctionName=cloud.function_name("AlertFunction"))
    [mapping] = answer["EventSourceMappings"]
    client.update_event_source_mapping(UUID=mapping["UUID"], MaximumBatchingWindowInSeconds=seconds)
    before: int = mapping["MaximumBatchingWindowInSeconds"]
    return before


def texts(channels: AlertChannels, words: str) -> list[str]:
    """What Slack was sent with these words in it."""
    return [each for each in channels.slack.texts() if words in each]


def opened(channels: AlertChannels, cause: str) -> AlertRecord | None:
    """The open alert of a cause."""
    found = [each for each in channels.pagerduty.alerts() if each.key.endswith(f"/{cause}") and not each.resolved]
    return found[0] if found else None


def resolved(channels: AlertChannels, key: str) -> bool:
    """Whether there was an alert of this key, and none of it is open."""
    found = [each for each in channels.pagerduty.alerts() if each.key == key]
    return bool(found) and all(each.resolved for each in found)


def swept(cloud: Cloud) -> bool:
    """A sweep, now."""
    cloud.aws.fire_schedule(f"{STACK}-alert")
    return True


def put(cloud: Cloud, detail_type: str, **detail: Any) -> None:
    """An event of ours."""
    entry = {"Source": "rollcall", "DetailType": detail_type, "Detail": json.dumps({"stack": STACK, **detail})}
    answer = cloud.aws.client("events").put_events(Entries=[entry])
    assert not answer["FailedEntryCount"]


def counted(cloud: Cloud, metric: str) -> dict[str, int]:
    """How often the alert function counted a metric, by channel."""
    found: dict[str, int] = {}
    for line in cloud.metrics("alert"):
        if metric in line and "channel" in line:
            found[line["channel"]] = found.get(line["channel"], 0) + int(sum(line[metric]))
    return found


def items(cloud: Cloud, cause: str) -> list[Json]:
    """What the table holds of an incident."""
    pages = cloud.aws.client("dynamodb").get_paginator("scan").paginate(TableName=cloud.function_name("ToldTable"))
    return [each for page in pages for each in page["Items"] if each["key"]["S"].endswith(f"/{cause}")]


def incident(cloud: Cloud, cause: str) -> Json:
    """What is kept of an incident."""
    [item] = items(cloud, cause)
    fields: Json = json.loads(item["incident"]["S"])
    return fields


def left(cloud: Cloud, cause: str) -> set[str]:
    """The subjects whose ends are known."""
    return set(incident(cloud, cause)["left"]) if items(cloud, cause) else set()


def age(cloud: Cloud, cause: str) -> None:
    """Let nothing have been reported of an incident for a long time."""
    fields = incident(cloud, cause) | {"quiet_at": time.time(), "awaited": {}}
    [item] = items(cloud, cause)
    item["incident"]["S"] = json.dumps(fields)
    item["version"]["N"] = str(int(item["version"]["N"]) + 1)
    cloud.aws.client("dynamodb").put_item(TableName=cloud.function_name("ToldTable"), Item=item)
