"""What the deployment must keep to."""

from __future__ import annotations

import json
import re
from copy import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dead_letters import RECEIVES_MAX
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from rollcall.alerting.dispatch import CLAIM
from rollcall.alerting.incident import SEEN_KEPT
from rollcall.alerting.settings import read_alert_settings
from rollcall.alerting.sources import DONE_WITH, TROUBLES
from rollcall.aws.queues import DELAY_MAX
from rollcall.doctor.group_findings import OUTPUT_OF
from rollcall.doctor.stack_findings import (
    ALERTS,
    FED_BY,
    FED_BY_TOPICS,
    HEARS_USERS,
    LAUNCHES,
    LOST,
    RECEIVES,
    STALLED,
    UNSCHEDULED,
    WORKS_ON,
)
from rollcall.doctor.topic_findings import NOTICE_OF, QUEUE_OF
from rollcall.domain import timing
from rollcall.domain.actions import Transition
from rollcall.domain.errors import BadSettings, TowerUnavailable
from rollcall.domain.event_fields import MISCONFIGURATION_MENDED, SERVING
from rollcall.domain.message_format import GROUP_EVENTS, Record, read_examination_request, read_run_request
from rollcall.domain.messages import ExaminationRequest, RunOptions, RunRequest
from rollcall.domain.reports import Note, Report
from rollcall.domain.settings import read_own_queue, read_removal_share, read_settings, read_stack_names
from rollcall.hosts.jobs import CLOCK_STEP
from rollcall.lifecycle.host_groups import ASSOCIATES_AT_ONCE
from rollcall.lifecycle.host_registration import LANDING_TIME
from rollcall.reconcile.result import RunOutcome
from rollcall.runtime.batch import PERMANENT_FAILURE_LIFE
from rollcall.telemetry.announcer import Announcer
from rollcall.telemetry.event_bus import SOURCE
from rollcall.telemetry.metrics import Metrics
from rollcall.telemetry.reconcile_announcer import RunAnnouncer
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unit.world import World

type Json = dict[str, Any]

REPOSITORY = Path(__file__).parents[3]
TEMPLATE: Json = yaml_parse((REPOSITORY / "template.yaml").read_text())
SAMPLE: Json = json.loads((REPOSITORY / "events" / "launch-notification-sqs.json").read_text())
HOOK_SAMPLE: Json = json.loads((REPOSITORY / "events" / "launch-hook-sqs.json").read_text())
RESOURCES: dict[str, Json] = TEMPLATE["Resources"]
DAY = 86_400


def of_type(kind: str) -> dict[str, Json]:
    """Properties of the resources of a type, by logical id."""
    return {name: each.get("Properties", {}) for name, each in RESOURCES.items() if each["Type"] == kind}


def target(value: Json) -> str:
    """The logical id that a Ref or GetAtt speaks of."""
    return str(value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0])


FUNCTIONS = of_type("AWS::Serverless::Function")
QUEUES = of_type("AWS::SQS::Queue")
ALARMS = of_type("AWS::CloudWatch::Alarm")
WORK_QUEUES = {name: each for name, each in QUEUES.items() if "DeadLetter" not in name}


SCHEDULED = ("ReconcileFunction", "DoctorFunction")
FED = [name for name in FUNCTIONS if name not in (*SCHEDULED, "AlertFunction")]  # with lifecycle actions


def source_of(function: str) -> Json:
    """The queue that feeds a function."""
    [event] = [each for each in FUNCTIONS[function]["Events"].values() if each["Type"] == "SQS"]
    properties: Json = event["Properties"]
    return properties


def statements() -> Iterator[tuple[str, Json]]:
    """Every statement of the functions' policies."""
    policies = [(role, each) for role, own in of_type("AWS::IAM::Role").items() for each in own["Policies"]]
    policies += [(target(role), each) for each in of_type("AWS::IAM::Policy").values() for role in each["Roles"]]
    for role, policy in policies:
        for statement in policy["PolicyDocument"]["Statement"]:
            _, statement, _ = statement.get("Fn::If", (None, statement, None))
            yield role, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def timeout_of(function: str) -> int:
    return int(FUNCTIONS[function].get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"]))


TO_ANYBODY = {"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue"}
FROM_A_QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}
OF_GROUPS = {"autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLifecycleHooks"}
OF_INSTANCES = {"autoscaling:DescribeAutoScalingInstances", "ec2:DescribeInstances"}
ANSWERS = {"autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"}
TELLS = {"events:PutEvents"}
SENDS = {"sqs:SendMessage"}
OF_POOLS = {"autoscaling:DescribeWarmPool"}
WORKS_ON_ACTIONS = TO_ANYBODY | FROM_A_QUEUE | OF_GROUPS | OF_INSTANCES | ANSWERS | TELLS | SENDS
PERMITTED = {
    "RegisterRole": {*WORKS_ON_ACTIONS, "ec2:DescribeInstanceAttribute"},
    "GateRole": {
        *WORKS_ON_ACTIONS,
        "ec2:DescribeInstanceStatus",
        "elasticloadbalancing:DeregisterTargets",
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:RegisterTargets",
    },
    "CleanupRole": WORKS_ON_ACTIONS,
    "ReconcileRole": {
        *(TO_ANYBODY | OF_GROUPS | OF_INSTANCES | OF_POOLS | TELLS | SENDS),
        "autoscaling:DescribeScalingActivities",
        "autoscaling:RecordLifecycleActionHeartbeat",
        "ec2:DescribeInstanceAttribute",
    },
    "DoctorRole": {
        *(TO_ANYBODY | OF_GROUPS | OF_POOLS | TELLS),
        "autoscaling:DescribeNotificationConfigurations",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "elasticloadbalancing:DescribeTargetGroups",
        "events:DescribeRule",
        "events:ListTargetsByRule",
        "lambda:GetEventSourceMapping",
        "scheduler:GetSchedule",
        "sns:ListSubscriptionsByTopic",
        "sqs:GetQueueAttributes",
    },
    "AlertRole": {
        *(TO_ANYBODY | FROM_A_QUEUE | SENDS),
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Scan",
    },
}


def test_a_role_permits_what_its_function_calls_and_nothing_else() -> None:
    """The embedded cloud enforces no permissions: one that is missing, or that nobody needs, shows only here."""
    permitted: dict[str, set[str]] = {role: set() for role in of_type("AWS::IAM::Role")}
    for role, statement in statements():
        permitted[role] |= set(as_list(statement["Action"]))
    assert permitted == PERMITTED


@pytest.mark.parametrize("role", ["RegisterRole", "GateRole", "CleanupRole", "ReconcileRole"])
def test_whoever_deletes_or_answers_may_ask_for_the_state_in_every_installation(role: str) -> None:
    """Nothing goes on a message's word, with Chef and retire jobs or without them."""
    [policy] = of_type("AWS::IAM::Role")[role]["Policies"]
    always = [each for each in policy["PolicyDocument"]["Statement"] if "Fn::If" not in each]
    assert {action for each in always for action in as_list(each["Action"])} >= OF_GROUPS | OF_INSTANCES


# Functions


def test_every_function_of_this_installation_is_here() -> None:
    assert set(FUNCTIONS) == {
        "RegisterFunction",
        "GateFunction",
        "CleanupFunction",
        "ReconcileFunction",
        "AlertFunction",
        "DoctorFunction",
    }


def test_only_the_gate_may_send_to_itself() -> None:
    looping = [name for name, each in FUNCTIONS.items() if "RecursiveLoop" in each]
    assert looping == ["GateFunction"]
    assert FUNCTIONS["GateFunction"]["RecursiveLoop"] == "Allow"
    assert "RecursiveLoop" not in TEMPLATE["Globals"]["Function"]


@pytest.mark.parametrize("function", [*FED, "AlertFunction"])
def test_a_function_ends_within_two_minutes_and_before_its_messages_come_again(function: str) -> None:
    queue = QUEUES[target(source_of(function)["Queue"])]
    assert timeout_of(function) < 120
    assert queue["VisibilityTimeout"] >= timeout_of(function)


def test_a_host_without_a_job_is_left_to_its_maker_for_longer_than_that_one_can_run() -> None:
    assert timeout_of("RegisterFunction") < LANDING_TIME - CLOCK_STEP


@pytest.mark.parametrize("function", FED)
def test_a_function_reports_what_failed_and_is_told_its_queues(function: str) -> None:
    source = source_of(function)
    queue = target(source["Queue"])
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"]["MaximumConcurrency"]
    variables = FUNCTIONS[function]["Environment"]["Variables"]
    assert target(variables["QUEUE_URL"]) == queue
    assert variables["DEAD_LETTER_QUEUE_URL"] == {"Ref": target(QUEUES[queue]["RedrivePolicy"]["deadLetterTargetArn"])}


@pytest.mark.parametrize("function", [*FED, "ReconcileFunction"])
def test_the_environment_of_a_function_is_what_settings_read(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    variables = variables | FUNCTIONS[function].get("Environment", {"Variables": {}})["Variables"]
    environment = {name: str(by_default(value)) for name, value in variables.items()} | {"AWS_REGION": REGION}
    assert read_settings(environment).max_hosts_per_job == 100
    assert read_removal_share(environment) == 0.2
    if function in FED:
        assert read_own_queue(environment)
    elif function == "ReconcileFunction":
        assert environment["REMOVE_AT_MOST_PERCENT"]
    else:
        assert read_stack_names(environment).known_findings_table


def by_default(value: Any) -> Any:
    """What a reference to a parameter with a default stands for."""
    return TEMPLATE["Parameters"].get(value.get("Ref"), {}).get("Default", value) if isinstance(value, dict) else value


def test_one_parameter_bounds_the_requests_that_tower_gets_at_once() -> None:
    bounds = {function: source_of(function)["ScalingConfig"]["MaximumConcurrency"] for function in FED}
    assert bounds == {function: {"Ref": "BatchesAtOnce"} for function in FED}
    gate = cleanup = 1
    assert ASSOCIATES_AT_ONCE + gate + cleanup == 6
    assert "six requests at once" in TEMPLATE["Parameters"]["BatchesAtOnce"]["Description"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_log_is_kept_for_a_set_time(function: str) -> None:
    group = FUNCTIONS[function]["LoggingConfig"]["LogGroup"]
    assert of_type("AWS::Logs::LogGroup")[target(group)]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_reconcile_is_scheduled_so_that_a_run_ends_before_the_next_one_begins() -> None:
    schedule = FUNCTIONS["ReconcileFunction"]["Events"]["Schedule"]
    assert schedule["Type"] == "ScheduleV2"
    assert schedule["Properties"]["ScheduleExpression"] == {"Fn::Sub": "rate(${ReconcileEvery} minutes)"}
    assert timeout_of("ReconcileFunction") < 60 * TEMPLATE["Parameters"]["ReconcileEvery"]["MinValue"]


def test_the_schedule_asks_for_a_run_that_is_not_by_hand() -> None:
    said = FUNCTIONS["ReconcileFunction"]["Events"]["Schedule"]["Properties"]["Input"]["Fn::Sub"]
    every = TEMPLATE["Parameters"]["ReconcileEvery"]["Default"]
    request = read_run_request(json.loads(said.replace("${ReconcileEvery}", str(every))))
    assert request == RunRequest(RunOptions(every=60.0 * every))


def test_a_run_that_failed_is_repeated_by_nobody_but_the_schedule() -> None:
    function = FUNCTIONS["ReconcileFunction"]
    assert function["EventInvokeConfig"]["MaximumRetryAttempts"] == 0
    assert function["Events"]["Schedule"]["Properties"]["RetryPolicy"]["MaximumRetryAttempts"] == 0


def test_two_stacks_of_one_region_have_schedules_of_their_own() -> None:
    for function in SCHEDULED:
        name = FUNCTIONS[function]["Events"]["Schedule"]["Properties"]["Name"]
        assert name == {"Fn::Sub": f"${{AWS::StackName}}-{function.removesuffix('Function').lower()}"}


# Doctor


def present(kind: str, *, alerts: bool) -> dict[str, Json]:
    """Resources of a type that an installation has, with a channel or without one."""
    there = (None, "HasAlerts") if alerts else (None,)
    return {name: each for name, each in of_type(kind).items() if RESOURCES[name].get("Condition") in there}


def named_by(name: str, kind: str) -> str:
    """What SAM makes of a function's event of this type is named after both."""
    [event] = [event for event, each in FUNCTIONS[name]["Events"].items() if each["Type"] == kind]
    return f"{name}{event}"


@pytest.mark.parametrize("alerts", [True, False])
def test_doctor_is_told_the_parts_of_the_stack_by_their_names(alerts: bool) -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    variables = variables | FUNCTIONS["DoctorFunction"]["Environment"]["Variables"]
    told = {}
    for name, value in variables.items():
        condition, there, elsewhere = (
            value.get("Fn::If", (None, value, None)) if isinstance(value, dict) else (None,) * 3
        )
        if condition == "HasAlerts":
            assert elsewhere == {"Ref": "AWS::NoValue"}
        if isinstance(there, dict) and "Ref" in there and (alerts or condition != "HasAlerts"):
            told[name] = str(there["Ref"])
    told["NOTIFYING_TOPICS"] = "arn:a,arn:b"  # its value is joined: see test_no_topic_may_send_that_is_not_named
    names = read_stack_names(told)
    assert names.notifying_topics == ("arn:a", "arn:b")
    assert names.rules == {name: name for name in present("AWS::Events::Rule", alerts=alerts)}
    assert names.queues == {name: name for name in present("AWS::SQS::Queue", alerts=alerts)}
    assert names.topics == {name: name for name in present("AWS::SNS::Topic", alerts=alerts)}
    assert (names.known_findings_table, names.notification_topic) == ("ToldTable", "NotificationTopicArn")
    assert names.alarm_topic == "AlarmTopicArn"
    own = ["AlertFunction"] if alerts else []
    assert names.sources == {name: named_by(name, "SQS") for name in [*FED, *own]}
    assert names.schedules == {name: named_by(name, "ScheduleV2") for name in ["ReconcileFunction", *own]}
    assert [replace(names, alarm_topic=topic).has_alarm_recipient for topic in ("", "arn")] == [alerts, True]


def test_doctor_knows_what_feeds_what() -> None:
    rules = of_type("AWS::Events::Rule")
    fed = [*FED, "AlertFunction"]
    subscribed = of_type("AWS::SNS::Subscription").values()
    assert {name: target(each["Targets"][0]["Arn"]) for name, each in rules.items()} == FED_BY
    assert {name: target(source_of(name)["Queue"]) for name in fed} == WORKS_ON
    assert {
        target(each["TopicArn"]): target(each["Endpoint"])
        for each in subscribed
        if target(each["TopicArn"]) in RESOURCES
    } == FED_BY_TOPICS
    assert set(HEARS_USERS) == set(QUEUE_OF.values())
    assert LOST.keys() == {*FED_BY, *FED_BY_TOPICS}
    assert STALLED.keys() == WORKS_ON.keys()
    assert UNSCHEDULED.keys() == {name for name in SCHEDULED if name != "DoctorFunction"} | {"AlertFunction"}
    assert set(LAUNCHES) <= RESOURCES.keys()
    assert set(ALERTS) == {
        name
        for name, each in RESOURCES.items()
        if each.get("Condition") == "HasAlerts"
        and each["Type"].endswith(("::Rule", "::Queue", "::Topic", "::Function"))
    }


def test_doctor_may_look_at_every_part_that_it_is_told() -> None:
    allowed = [
        (action, json.dumps(each["Resource"]))
        for role, each in statements()
        if role == "DoctorRole"
        for action in as_list(each["Action"])
    ]

    def may(action: str, name: str) -> bool:
        named = re.compile(rf'"{name}[".]|\$\{{{name}\}}')
        return any(action == each and named.search(resource) for each, resource in allowed)

    for rule in of_type("AWS::Events::Rule"):
        assert may("events:DescribeRule", rule), rule
        assert may("events:ListTargetsByRule", rule), rule
    assert [queue for queue in QUEUES if not may("sqs:GetQueueAttributes", queue)] == []
    for function in [*FED, "AlertFunction"]:
        assert may("lambda:GetEventSourceMapping", named_by(function, "SQS")), function
    for function in ("ReconcileFunction", "AlertFunction"):
        schedule = FUNCTIONS[function]["Events"][named_by(function, "ScheduleV2").removeprefix(function)]
        name = schedule["Properties"]["Name"]["Fn::Sub"]
        assert any(
            action == "scheduler:GetSchedule" and resource.endswith(f'schedule/default/{name}"}}')
            for action, resource in allowed
        ), function
    assert {each["RedrivePolicy"]["maxReceiveCount"] for each in WORK_QUEUES.values()} == {RECEIVES}
    assert {queue: target(TEMPLATE["Outputs"][OUTPUT_OF[way]]["Value"]) for way, queue in QUEUE_OF.items()} == {
        queue: queue for queue in QUEUE_OF.values()
    }
    assert {notice: way for way, notice in NOTICE_OF.items()} == GROUP_EVENTS


def test_doctor_reads_tells_and_keeps_what_it_told_and_does_nothing_else() -> None:
    actions = {action for role, each in statements() if role == "DoctorRole" for action in as_list(each["Action"])}
    reading = {each for each in actions if each.split(":")[1].startswith(("Describe", "Get", "List"))}
    assert actions - reading == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "events:PutEvents",
        "dynamodb:PutItem",
    }


def test_doctor_announces_once_a_day_and_nobody_else_repeats_a_run_that_failed() -> None:
    function = FUNCTIONS["DoctorFunction"]
    schedule = function["Events"]["Schedule"]["Properties"]
    assert schedule["ScheduleExpression"] == "rate(1 day)"
    assert read_examination_request(json.loads(schedule["Input"])) == ExaminationRequest(announce=True)
    assert function["EventInvokeConfig"]["MaximumRetryAttempts"] == 0
    assert schedule["RetryPolicy"]["MaximumRetryAttempts"] == 0


def test_everything_runs_on_the_runtime_of_the_layer() -> None:
    shared = TEMPLATE["Globals"]["Function"]
    assert (shared["Runtime"], shared["Architectures"]) == ("python3.13", ["arm64"])
    for name, layer in of_type("AWS::Serverless::LayerVersion").items():
        assert RESOURCES[name]["Metadata"] == {"BuildMethod": "python3.13", "BuildArchitecture": "arm64"}
        assert layer["CompatibleRuntimes"] == ["python3.13"]
        assert layer["CompatibleArchitectures"] == ["arm64"]


# Chef


def speaking_of(name: str) -> set[str]:
    """The resources that name a parameter or another resource."""
    return {each for each, resource in RESOURCES.items() if re.search(rf'"{name}[".]', json.dumps(resource))}


def test_without_a_chef_server_nobody_has_its_layer_its_permissions_or_its_alarm() -> None:
    conditional = {name for name, each in RESOURCES.items() if each.get("Condition") == "HasChef"}
    assert conditional == {"ChefLayer", "ChefPolicy", "DoctorChefPolicy", "ChefAlarm"}
    assert TEMPLATE["Parameters"]["ChefSecretArn"]["Default"] == ""
    assert TEMPLATE["Conditions"]["HasChef"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ChefSecretArn"}, ""]}]}
    assert speaking_of("ChefSecretArn") == {"ChefPolicy", "DoctorChefPolicy"}
    shared = TEMPLATE["Globals"]["Function"]
    assert shared["Layers"] == [{"Ref": "CommonLayer"}]
    assert shared["Environment"]["Variables"]["CHEF_SECRET"] == with_chef({"Ref": "ChefSecretArn"})


def test_only_who_asks_chef_has_its_layer_and_its_secret() -> None:
    asking = {"CleanupFunction", "ReconcileFunction", "DoctorFunction"}
    assert speaking_of("ChefLayer") == asking
    assert all(FUNCTIONS[name]["Layers"] == [with_chef({"Ref": "ChefLayer"})] for name in asking)
    reading = {role for role, statement in statements() if statement["Resource"] == {"Ref": "ChefSecretArn"}}
    assert {role.replace("Role", "Function") for role in reading} == asking


def with_chef(value: Json) -> Json:
    """A value where there is a Chef server, and nothing elsewhere."""
    return {"Fn::If": ["HasChef", value, {"Ref": "AWS::NoValue"}]}


def test_what_signs_for_chef_is_in_its_own_layer_only() -> None:
    pinned = {
        layer: (Path(__file__).parents[3] / "layers" / layer / "requirements.txt").read_text()
        for layer in ("common", "chef")
    }
    assert "cryptography==" in pinned["chef"]
    assert "cryptography" not in pinned["common"]


@pytest.mark.parametrize(("given", "held"), [({}, ""), ({"CHEF_SECRET": "arn:x"}, "arn:x")])
def test_settings_tell_whether_there_is_a_chef_server(given: dict[str, str], held: str) -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"].keys() - {"CHEF_SECRET"}
    assert read_settings(dict.fromkeys([*variables, "AWS_REGION"], "1") | given).chef_secret == held


# Queues


@pytest.mark.parametrize("queue", WORK_QUEUES)
def test_a_queue_has_a_dead_letter_queue_of_its_own_that_keeps_for_as_long_as_it_can(queue: str) -> None:
    dead = [target(each["RedrivePolicy"]["deadLetterTargetArn"]) for each in WORK_QUEUES.values()]
    assert len(set(dead)) == len(WORK_QUEUES)
    mine = target(WORK_QUEUES[queue]["RedrivePolicy"]["deadLetterTargetArn"])
    assert QUEUES[mine]["MessageRetentionPeriod"] == 14 * DAY


def test_who_reads_dead_letters_finds_the_queue_of_each_and_knows_how_often_it_was_received() -> None:
    dead = {name.removesuffix("DeadLetterQueue") for name in QUEUES if name.endswith("DeadLetterQueue")}
    assert dead == {name.removesuffix("Queue") for name in WORK_QUEUES}
    assert {each["RedrivePolicy"]["maxReceiveCount"] for each in WORK_QUEUES.values()} == {RECEIVES_MAX}


def of_queues(metric: str) -> dict[str, Json]:
    """The alarms on a metric of SQS, by the queue that they watch."""
    return {
        target(each["Dimensions"][0]["Value"]): each for each in ALARMS.values() if each.get("MetricName") == metric
    }


def test_every_dead_letter_queue_has_an_alarm_at_the_first_message() -> None:
    watched = of_queues("ApproximateNumberOfMessagesVisible")
    assert set(watched) == set(QUEUES) - set(WORK_QUEUES)
    for each in watched.values():
        assert each["Namespace"] == "AWS/SQS"
        assert (each["Threshold"], each["ComparisonOperator"]) == (0, "GreaterThanThreshold")


def test_every_queue_has_an_alarm_on_messages_that_nobody_takes() -> None:
    watched = of_queues("ApproximateAgeOfOldestMessage")
    assert set(watched) == set(WORK_QUEUES)
    for each in watched.values():
        assert (each["Namespace"], each["Statistic"]) == ("AWS/SQS", "Maximum")
        assert each["ComparisonOperator"] == "GreaterThanThreshold"
        assert each["TreatMissingData"] == "notBreaching"


def test_ten_minutes_of_trouble_with_tower_are_told_by_one_alarm() -> None:
    trouble = TEMPLATE["Parameters"]["AlertAfter"]["Default"]
    for each in of_queues("ApproximateAgeOfOldestMessage").values():
        assert each["Threshold"] > trouble + timing.RETRY_MAX


def test_what_the_gate_puts_off_for_as_long_as_it_may_is_not_forgotten() -> None:
    longest = DELAY_MAX + timing.RETRY_MAX + WORK_QUEUES["GateQueue"]["VisibilityTimeout"]
    assert of_queues("ApproximateAgeOfOldestMessage")["GateQueue"]["Threshold"] > longest


def tries_within(seconds: float, longest: float) -> int:
    """How often a message is received that fails for so long, at most."""
    tries, elapsed = 1, 0.0
    while elapsed < seconds:
        elapsed += min(timing.retry_delay(tries), longest)
        tries += 1
    return tries


@pytest.mark.parametrize("queue", WORK_QUEUES)
@pytest.mark.parametrize("heartbeat_timeout", [30, 60, 300, 1728, 3600, 7200])
def test_the_receive_count_never_ends_the_tries_before_auto_scaling_ends_the_wait(
    queue: str, heartbeat_timeout: int
) -> None:
    wait = min(2 * DAY, 100 * heartbeat_timeout)
    tries = tries_within(wait, heartbeat_timeout / timing.HEARTBEAT_SHARE)
    assert WORK_QUEUES[queue]["RedrivePolicy"]["maxReceiveCount"] > tries


@pytest.mark.parametrize("queue", WORK_QUEUES)
def test_the_receive_count_never_ends_the_hour_in_which_a_person_may_mend_something(queue: str) -> None:
    tries = tries_within(PERMANENT_FAILURE_LIFE, timing.HEARTBEAT_TIMEOUT_MIN / timing.HEARTBEAT_SHARE)
    assert WORK_QUEUES[queue]["RedrivePolicy"]["maxReceiveCount"] > tries


def test_rules_choose_by_the_hooks_prefix_and_lose_no_event() -> None:
    rules = of_type("AWS::Events::Rule")
    for name, rule in rules.items():
        [each] = rule["Targets"]
        assert each["DeadLetterConfig"]["Arn"] == QUEUES[target(each["Arn"])]["RedrivePolicy"]["deadLetterTargetArn"]
        if name in ("LaunchRule", "TerminateRule"):
            assert rule["EventPattern"]["detail"]["LifecycleHookName"] == [{"prefix": {"Ref": "HookPrefix"}}]


def test_rules_take_no_event_of_another_account_or_region() -> None:
    """Whoever may put events onto this bus may put those of their own account there."""
    for rule in of_type("AWS::Events::Rule").values():
        pattern = rule["EventPattern"]
        assert (pattern["account"], pattern["region"]) == ([{"Ref": "AWS::AccountId"}], [{"Ref": "AWS::Region"}])


QUEUE_POLICIES = of_type("AWS::SQS::QueuePolicy")


def policy_statements(policy: str) -> Iterator[tuple[str, Json]]:
    """The statements of a queue's policy, each with the condition under which there is one, empty for always."""
    for statement in QUEUE_POLICIES[policy]["PolicyDocument"]["Statement"]:
        condition, own, otherwise = statement.get("Fn::If", ("", statement, None))
        assert otherwise in (None, {"Ref": "AWS::NoValue"})
        yield condition, own


def queue_of(policy: str) -> str:
    """The only queue that a policy is about."""
    [queue] = QUEUE_POLICIES[policy]["Queues"]
    return target(queue)


def test_each_queue_that_others_feed_has_a_policy_that_names_it_alone() -> None:
    """SQS' developer guide, "Special information for SQS policies": a policy covers only one queue."""
    fed = {*FED_BY.values(), *FED_BY_TOPICS.values()}
    assert {queue_of(each) for each in QUEUE_POLICIES} == fed | {
        each.replace("Queue", "DeadLetterQueue") for each in fed
    }
    for name in QUEUE_POLICIES:
        for _, statement in policy_statements(name):
            assert statement["Resource"] == {"Fn::GetAtt": [queue_of(name), "Arn"]}


def test_a_queue_and_its_dead_letters_are_sent_to_by_its_own_rules_and_the_topics_that_are_named() -> None:
    senders: dict[str, set[tuple[str, str, str, str]]] = {}
    for name in QUEUE_POLICIES:
        own = senders[queue_of(name)] = set()
        for condition, statement in policy_statements(name):
            assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
            [(operator, keys)] = statement["Condition"].items()
            assert keys.keys() == {"aws:SourceArn"}
            [service] = statement["Principal"].values()
            own |= {(service, operator, target(each), condition) for each in as_list(keys["aws:SourceArn"])}
    of_rules, of_topics = "events.amazonaws.com", "sns.amazonaws.com"
    expected: dict[str, set[tuple[str, str, str, str]]] = {queue: set() for queue in senders}
    for rule, queue in FED_BY.items():
        for each in (queue, queue.replace("Queue", "DeadLetterQueue")):
            expected[each].add((of_rules, "ArnEquals", rule, ""))
    for topic, queue in FED_BY_TOPICS.items():
        for each in (queue, queue.replace("Queue", "DeadLetterQueue")):
            expected[each].add((of_topics, "ArnEquals", topic, ""))
    for queue in HEARS_USERS:
        for each in (queue, queue.replace("Queue", "DeadLetterQueue")):
            expected[each].add((of_topics, "ArnEquals", "NotificationTopicArn", "HasNotificationTopic"))
        expected[queue].add((of_topics, "ArnLike", "NotifyingTopicArns", "HasNotifyingTopics"))
    assert senders == expected


def test_an_upgrade_or_a_roll_back_leaves_no_queue_without_a_policy() -> None:
    """CloudFormation empties the policy of a queue whose AWS::SQS::QueuePolicy it deletes, whatever made it since.

    Versions before had one policy for four queues, and one for alert's two: these go on under their names, and what
    takes a queue over from them comes after them.
    """
    before = {"QueuePolicy": "", "AlertQueuePolicy": ""}
    after = {
        "LaunchDeadLetterQueuePolicy": "QueuePolicy",
        "TerminateQueuePolicy": "QueuePolicy",
        "TerminateDeadLetterQueuePolicy": "QueuePolicy",
        "AlertDeadLetterQueuePolicy": "AlertQueuePolicy",
    }
    assert {name: RESOURCES[name].get("DependsOn", "") for name in QUEUE_POLICIES} == before | after
    for name in QUEUE_POLICIES:
        assert (RESOURCES[name]["DeletionPolicy"], RESOURCES[name]["UpdateReplacePolicy"]) == ("Retain", "Retain")


# Notifications

SUBSCRIPTIONS = {
    name: each for name, each in of_type("AWS::SNS::Subscription").items() if each["TopicArn"] != {"Ref": "AlarmTopic"}
}


def test_a_topic_is_asked_only_for_what_is_read_and_each_queue_gets_its_own() -> None:
    asked = {
        target(each["Endpoint"]): (
            [GROUP_EVENTS[kind] for kind in choice(each, "Event")],
            choice(each, "LifecycleTransition"),
        )
        for each in SUBSCRIPTIONS.values()
    }
    assert asked == {
        "LaunchQueue": ([Transition.LAUNCHING], [Transition.LAUNCHING]),
        "TerminateQueue": ([Transition.TERMINATING], [Transition.TERMINATING]),
    }
    assert len(SUBSCRIPTIONS) == len(GROUP_EVENTS)


def choice(subscription: Json, field: str) -> list[str]:
    """The values of a field that let a message through, whatever its other choices say."""
    [values] = [each[field] for each in subscription["FilterPolicy"]["$or"] if field in each]
    return list(values)


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
def test_the_filter_is_on_the_fields_of_a_notification(name: str) -> None:
    subscription = SUBSCRIPTIONS[name]
    assert (subscription["FilterPolicyScope"], subscription["RawMessageDelivery"]) == ("MessageBody", True)
    policy = subscription["FilterPolicy"]
    assert policy.keys() == {"AccountId", "$or"}
    assert policy["AccountId"] == [{"Ref": "AWS::AccountId"}]
    # SNS takes "$or" for an operator only with two objects or more: its developer guide, "AND/OR logic".
    assert [each.keys() for each in policy["$or"]] == [{"Event"}, {"LifecycleTransition", "LifecycleHookName"}]
    assert policy["$or"][1]["LifecycleHookName"] == [{"prefix": {"Ref": "HookPrefix"}}]
    for sample, field in ((SAMPLE, "Event"), (HOOK_SAMPLE, "LifecycleTransition")):
        body = json.loads(sample["Records"][0]["body"])
        assert {"AccountId", field} <= body.keys()
        assert choice(subscription, field)


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
def test_a_notification_that_its_queue_does_not_take_goes_to_the_queues_dead_letters(name: str) -> None:
    subscription = SUBSCRIPTIONS[name]
    queue = QUEUES[target(subscription["Endpoint"])]
    assert subscription["RedrivePolicy"] == {"deadLetterTargetArn": queue["RedrivePolicy"]["deadLetterTargetArn"]}


def test_an_installation_without_a_topic_has_nothing_of_it() -> None:
    parameter = TEMPLATE["Parameters"]["NotificationTopicArn"]
    assert parameter["Default"] == ""
    for name in SUBSCRIPTIONS:
        assert RESOURCES[name]["Condition"] == "HasNotificationTopic"


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
def test_a_topic_is_subscribed_once_it_may_send_to_the_queue_and_to_its_dead_letters(name: str) -> None:
    subscription = SUBSCRIPTIONS[name]
    queues = {target(subscription["Endpoint"]), target(subscription["RedrivePolicy"]["deadLetterTargetArn"])}
    assert {queue_of(each) for each in RESOURCES[name]["DependsOn"]} == queues


TOPICS = TEMPLATE["Parameters"]["NotifyingTopicArns"]


def test_no_topic_may_send_that_is_not_named() -> None:
    assert (TOPICS["Type"], TOPICS["Default"]) == ("CommaDelimitedList", "")
    listed = {"Fn::Join": ["", {"Ref": "NotifyingTopicArns"}]}
    assert TEMPLATE["Conditions"]["HasNotifyingTopics"] == {"Fn::Not": [{"Fn::Equals": [listed, ""]}]}
    variables = FUNCTIONS["DoctorFunction"]["Environment"]["Variables"]
    assert variables["NOTIFYING_TOPICS"] == {"Fn::Join": [",", {"Ref": "NotifyingTopicArns"}]}


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "arn:aws:sns:eu-central-1:111122223333:*",
        "arn:aws:sns:*:111122223333:fleet-?",
        "arn:aws-cn:sns:cn-north-1:111122223333:launches",
    ],
)
def test_topics_may_be_named_by_patterns(pattern: str) -> None:
    assert re.fullmatch(TOPICS["AllowedPattern"], pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "arn:aws:sns:*",
        "arn:aws:sns:eu-central-1:*:*",
        "arn:aws:sns:eu-central-1:11112222333?:*",
        "arn:aws:sns:eu-central-1::*",
        "arn:*:sns:eu-central-1:111122223333:*",
        "arn:aws:*:eu-central-1:111122223333:*",
        "arn:aws:sqs:eu-central-1:111122223333:q",
        "arn:aws:sns:eu-central-1:111122223333:launches.fifo",
    ],
)
def test_a_pattern_that_anybodys_topic_would_match_is_refused(pattern: str) -> None:
    assert not re.fullmatch(TOPICS["AllowedPattern"], pattern)


@pytest.mark.parametrize("arn", ["", "arn:aws:sns:us-east-1:123456789012:t", "arn:aws-cn:sns:cn-north-1:1:a-b_c"])
def test_a_topic_may_be_named(arn: str) -> None:
    assert re.fullmatch(TEMPLATE["Parameters"]["NotificationTopicArn"]["AllowedPattern"], arn)


@pytest.mark.parametrize("arn", ["t", "arn:aws:sqs:us-east-1:1:q", "arn:aws:sns:us-east-1:1:t.fifo", "arn:aws:sns:::t"])
def test_what_is_no_topic_that_groups_can_notify_is_refused(arn: str) -> None:
    assert not re.fullmatch(TEMPLATE["Parameters"]["NotificationTopicArn"]["AllowedPattern"], arn)


@pytest.mark.parametrize(
    "url", ["https://tower.example.com", "https://t:8443/api/controller/v2/", "https://[::1]/", "http://127.0.0.1:8052"]
)
def test_a_tower_may_be_named_by_its_url(url: str) -> None:
    assert re.fullmatch(TEMPLATE["Parameters"]["TowerUrl"]["AllowedPattern"], url)


@pytest.mark.parametrize(
    "url",
    [
        "https://rollcall:hush@tower.example.com",
        "https://hush@tower.example.com/api/v2/",
        "https://rollcall:hush%40tower.example.com",
        "http://localhost:hush@tower.example.com",
        "http://127.0.0.1:80/hush@",
        "http://tower.example.com",
        "https://tower.example.com /",
    ],
)
def test_a_towers_url_with_a_password_or_in_clear_text_is_refused_before_it_is_deployed(url: str) -> None:
    assert not re.fullmatch(TEMPLATE["Parameters"]["TowerUrl"]["AllowedPattern"], url)


# Permissions


def test_no_function_may_do_more_than_what_is_named() -> None:
    for role, statement in statements():
        for action in as_list(statement["Action"]):
            assert "*" not in action, f"{role}: {action}"


def test_only_describing_is_allowed_on_everything() -> None:
    for role, statement in statements():
        if "*" in as_list(statement["Resource"]):
            actions = as_list(statement["Action"])
            assert all(action.split(":")[1].startswith("Describe") for action in actions), f"{role}: {actions}"


def test_a_function_may_only_take_from_its_own_queue() -> None:
    for role, statement in statements():
        if "sqs:ReceiveMessage" in as_list(statement["Action"]):
            function = role.replace("Role", "Function")
            assert target(statement["Resource"]) == target(source_of(function)["Queue"])


def test_user_data_may_be_read_only_where_it_is_asked_for_and_of_instances_alone() -> None:
    conditional = [
        (role, statement)
        for role, properties in of_type("AWS::IAM::Role").items()
        for policy in properties["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "Fn::If" in statement
    ]
    assert [role for role, _ in conditional] == ["RegisterRole", "ReconcileRole"]
    for _, statement in conditional:
        condition, allowed, otherwise = statement["Fn::If"]
        assert TEMPLATE["Conditions"][condition] == {"Fn::Equals": [{"Ref": "UserData"}, "true"]}
        assert otherwise == {"Ref": "AWS::NoValue"}
        assert allowed["Resource"]["Fn::Sub"].endswith(":instance/*")
    reading = [role for role, each in statements() if "ec2:DescribeInstanceAttribute" in as_list(each["Action"])]
    assert reading == [role for role, _ in conditional]
    assert TEMPLATE["Parameters"]["UserData"]["Default"] == "false"


def sendable(role: str) -> set[str]:
    """The queues that a role may send to."""
    return {
        target(queue)
        for own, statement in statements()
        if own == role and "sqs:SendMessage" in as_list(statement["Action"])
        for queue in as_list(statement["Resource"])
    }


@pytest.mark.parametrize("role", ["RegisterRole", "GateRole", "CleanupRole"])
def test_whoever_hands_something_to_the_gate_may_send_to_its_queue(role: str) -> None:
    assert "GateQueue" in sendable(role)


def test_only_where_jobs_retire_instances_do_gate_and_cleanup_hand_them_to_each_other() -> None:
    [policy] = [each for each, own in RESOURCES.items() if own.get("Condition") == "RunsRetireJobs"]
    assert TEMPLATE["Conditions"]["RunsRetireJobs"] == {"Fn::Equals": [{"Ref": "RetireJobs"}, "true"]}
    assert TEMPLATE["Parameters"]["RetireJobs"]["Default"] == "false"
    assert RESOURCES[policy]["Properties"]["Roles"] == [{"Ref": "CleanupRole"}, {"Ref": "GateRole"}]
    assert "TerminateQueue" in sendable("GateRole")
    assert "TerminateQueue" not in str(RESOURCES["GateRole"])
    assert "GateQueue" not in str(RESOURCES["CleanupRole"])


def test_hooks_may_be_answered_whatever_tags_their_group_has() -> None:
    answering = [
        (role, statement)
        for role, statement in statements()
        if "autoscaling:CompleteLifecycleAction" in as_list(statement["Action"])
    ]
    assert len(answering) == len(FED)
    assert all("Condition" not in statement for _, statement in answering)


def test_only_the_gate_may_touch_load_balancers_and_only_doctor_looks_at_them_too_where_they_are_asked_for() -> None:
    asking = [(role, as_list(each["Action"])) for role, each in statements() if "elasticload" in str(each["Action"])]
    actions = {
        role: {action.removeprefix("elasticloadbalancing:") for own, some in asking if own == role for action in some}
        for role, _ in asking
    }
    assert actions == {
        "GateRole": {"RegisterTargets", "DeregisterTargets", "DescribeTargetGroups", "DescribeTargetHealth"},
        "DoctorRole": {"DescribeTargetGroups"},
    }
    policies = [each for each, own in of_type("AWS::IAM::Policy").items() if "elasticload" in str(own)]
    assert len(policies) == len(actions)
    for name in policies:
        assert RESOURCES[name]["Condition"] == "UsesLoadBalancers"
    assert TEMPLATE["Conditions"]["UsesLoadBalancers"] == {"Fn::Equals": [{"Ref": "LoadBalancers"}, "true"]}
    assert TEMPLATE["Parameters"]["LoadBalancers"]["Default"] == "false"
    assert not any("elasticload" in str(RESOURCES[role]) for role in actions)


# Alarms on our own metrics


def emitted(text: str) -> set[tuple[str, str, frozenset[tuple[str, str]]]]:
    """Namespace, name and dimensions of every metric in a function's output."""
    found = set()
    for line in text.splitlines():
        entry = json.loads(line)
        for metrics in entry.get("_aws", {}).get("CloudWatchMetrics", []):
            for names in metrics["Dimensions"]:
                dimensions = frozenset((name, str(entry[name])) for name in names)
                found |= {(metrics["Namespace"], metric["Name"], dimensions) for metric in metrics["Metrics"]}
    return found


def test_alarms_watch_metrics_that_are_emitted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    announcer = Announcer("gate")
    record = Record("m0", "{}", REGION, 1, 0.0, "handle")
    action = world.launching("i-a")
    announcer.failed(record, [action], TowerUnavailable("away"))
    announcer.failed(record, [action], BadSettings("mend it"))
    look = (Note("look", alert=True),)
    announcer.reports([Report(action, "left in service", notes=look)])
    cleanup = Announcer("cleanup")
    cleanup.reports([Report(world.terminating("i-b"), "removed from every inventory, but not from Chef", notes=look)])
    reconcile = RunAnnouncer("reconcile")
    reconcile.reconciled(RunOutcome(), 300.0)
    alert = Metrics("alert")
    alert.count_of_channel("AlertsLost", "slack")
    for function in (announcer.metrics, cleanup.metrics, reconcile.metrics, alert):
        function.write()
    written = emitted(capsys.readouterr().out)
    own = {name: each for name, each in ALARMS.items() if each.get("Namespace") == "Rollcall"}
    assert own
    for name, each in own.items():
        dimensions = frozenset((one["Name"], one["Value"]) for one in each["Dimensions"])
        assert (each["Namespace"], each["MetricName"], dimensions) in written, name


def test_every_function_that_raises_has_an_alarm() -> None:
    watched = {
        target(each["Dimensions"][0]["Value"])
        for each in ALARMS.values()
        if (each.get("Namespace"), each.get("MetricName")) == ("AWS/Lambda", "Errors")
    }
    assert watched == set(FUNCTIONS)


def test_permanent_failures_alarm_at_once_and_transient_ones_after_ten_minutes() -> None:
    assert (ALARMS["PermanentFailureAlarm"]["Threshold"], ALARMS["PermanentFailureAlarm"]["EvaluationPeriods"]) == (
        0,
        1,
    )
    assert ALARMS["TransientFailureAlarm"]["MetricName"] == "FailingFor"
    assert ALARMS["TransientFailureAlarm"]["Threshold"] == {"Ref": "AlertAfter"}
    assert TEMPLATE["Parameters"]["AlertAfter"]["Default"] == 600


@pytest.mark.parametrize("every", [2, 5, 60, 480])
def test_three_runs_of_reconcile_that_did_not_come_sound_an_alarm(every: int) -> None:
    parameter = TEMPLATE["Parameters"]["ReconcileEvery"]
    assert parameter["MinValue"] <= every <= parameter["MaxValue"]
    alarm = ALARMS["ReconcileSilentAlarm"]
    assert alarm["EvaluationPeriods"] == {"Ref": "ReconcileEvery"}
    assert alarm["Period"] * every == 3 * 60 * every
    assert "DatapointsToAlarm" not in alarm
    assert (alarm["Statistic"], alarm["Threshold"], alarm["ComparisonOperator"]) == ("Sum", 1, "LessThanThreshold")
    assert alarm["TreatMissingData"] == "breaching"


def test_no_alarm_looks_back_further_than_cloudwatch_lets_it() -> None:
    longest = TEMPLATE["Parameters"]["ReconcileEvery"]["MaxValue"]
    for name, alarm in ALARMS.items():
        [period] = {each["MetricStat"]["Period"] for each in alarm.get("Metrics", []) if "MetricStat" in each} or {
            alarm.get("Period")
        }
        periods = alarm["EvaluationPeriods"]
        # PutMetricAlarm, EvaluationPeriods: a day where the period is shorter than an hour.
        assert period % 60 == 0
        assert period < 3600
        assert period * (longest if periods == {"Ref": "ReconcileEvery"} else periods) <= DAY, name


def test_reconcile_has_its_schedule_before_its_silence_is_listened_to() -> None:
    [event] = FUNCTIONS["ReconcileFunction"]["Events"]
    assert RESOURCES["ReconcileSilentAlarm"]["DependsOn"] == f"ReconcileFunction{event}"


@pytest.mark.parametrize(
    ("abandoned", "ready", "sounds"),
    [
        (1, 0, False),  # one bad machine in a small group
        (2, 0, False),  # its replacement too
        (3, 0, True),  # and the one after that
        (0, 100, False),
        (3, 12, False),  # a fifth
        (4, 12, True),
        (40, 160, False),
        (41, 160, True),
    ],
)
def test_many_abandoned_instances_sound_an_alarm_and_single_ones_do_not(
    abandoned: int, ready: int, sounds: bool
) -> None:
    alarm = ALARMS["AbandonRateAlarm"]
    expression, *metrics = alarm["Metrics"]
    names = {each["Id"]: each["MetricStat"]["Metric"]["MetricName"] for each in metrics}
    assert names == {"abandoned": "Abandoned", "ready": "Ready"}
    assert {each["MetricStat"]["Stat"] for each in metrics} == {"Sum"}
    assert [each.get("ReturnData", True) for each in alarm["Metrics"]] == [True, False, False]
    match = re.fullmatch(
        r"IF\(abandoned >= (\d+), 100 \* abandoned / \(abandoned \+ ready\), 0\)", expression["Expression"]
    )
    assert match
    rate = 100 * abandoned / (abandoned + ready) if abandoned >= int(match[1]) else 0
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert (rate > alarm["Threshold"]) == sounds
    assert alarm["TreatMissingData"] == "notBreaching"


def test_every_alarm_tells_the_topic_if_there_is_one() -> None:
    for each in ALARMS.values():
        assert each["AlarmActions"][0] == {
            "Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]
        }


# Alerts

REPEATING = {  # an event that tells people
    "ReconcileErrorAlarm",
    "BreakerAlarm",
    "ReconcileTroubleAlarm",
    "PermanentFailureAlarm",
    "TransientFailureAlarm",
    "StuckInstancesAlarm",
    "ChefAlarm",
}
OF_ALERT = {
    "AlertErrorAlarm",
    "AlertDeadLetterAlarm",
    "AlertAgeAlarm",
    "AlertsLostAlarm",
}  # which cannot tell of itself
ALERT_TOPIC = {"Fn::If": ["HasAlerts", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]}


def test_people_are_told_of_alarms_about_what_no_event_tells_and_of_their_end() -> None:
    paged = {name for name, each in ALARMS.items() if "AlarmTopic" in [each["AlarmActions"][-1]["Fn::If"][1]["Ref"]]}
    assert paged == set(ALARMS) - REPEATING - OF_ALERT
    for name, each in ALARMS.items():
        assert each["AlarmActions"][1:] == ([ALERT_TOPIC] if name in paged else [])
        assert each.get("OKActions", []) == ([ALERT_TOPIC] if name in paged else [])


def test_without_a_channel_there_is_nothing_of_alerts() -> None:
    conditional = {name for name, each in RESOURCES.items() if each.get("Condition") == "HasAlerts"}
    own = {name for name in RESOURCES if name.startswith("Alert")} | {"AlarmTopic", "AlarmsToAlert"}
    own.add("DoctorAlertPolicy")
    assert conditional == own
    for parameter, condition in (("PagerDutySecretArn", "HasPagerDuty"), ("SlackSecretArn", "HasSlack")):
        assert TEMPLATE["Parameters"][parameter]["Default"] == ""
        assert TEMPLATE["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}
        assert speaking_of(parameter) == {"AlertFunction", "AlertRole"}
    assert TEMPLATE["Conditions"]["HasAlerts"] == {"Fn::Or": [{"Condition": "HasPagerDuty"}, {"Condition": "HasSlack"}]}
    for name in own:  # nobody else depends on what may not be there
        for other in speaking_of(name) - own - {"DoctorFunction"}:  # whose variables have their own test
            assert ALERT_TOPIC in ALARMS[other]["AlarmActions"]
    outputs = {each: value for each, value in TEMPLATE["Outputs"].items() if "Alert" in json.dumps(value)}
    assert all(value["Condition"] == "HasAlerts" for value in outputs.values())


def test_every_event_that_is_asked_for_is_one_that_is_read() -> None:
    asked = {
        kind: rule["EventPattern"].get("detail")
        for name, rule in of_type("AWS::Events::Rule").items()
        if name.startswith("Alert")
        for kind in rule["EventPattern"]["detail-type"]
    }
    assert set(asked) == {*TROUBLES, *DONE_WITH, SERVING, MISCONFIGURATION_MENDED}
    own = {"stack": [{"Ref": "AWS::StackName"}]}  # the bus is shared with other stacks
    ends = ("Instance Ready", "Instance Abandoned")
    assert asked == {kind: {**own, "troubled": [True]} if kind in ends else own for kind in asked}
    for name, rule in of_type("AWS::Events::Rule").items():
        assert (rule["EventPattern"]["source"] == [SOURCE]) == name.startswith("Alert")


def test_the_environment_of_the_alert_function_is_what_its_settings_read() -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    variables = variables | FUNCTIONS["AlertFunction"]["Environment"]["Variables"] | {"AWS_REGION": REGION}
    settings = read_alert_settings({name: str(by_default(value)) for name, value in variables.items()})
    assert (settings.alert_after, settings.pagerduty_secret, settings.slack_secret) == (600.0, "", "")
    for name in ("ACCOUNT_ID", "STACK_NAME", "TOLD_TABLE", "ALERT_AFTER", "LOG_GROUPS", "DEAD_LETTER_QUEUE_URL"):
        with pytest.raises(BadSettings, match=f"{name}.*template.yaml"):
            read_alert_settings({key: "1" for key in variables if key != name})
    logs = FUNCTIONS["AlertFunction"]["Environment"]["Variables"]["LOG_GROUPS"]["Fn::Join"]
    assert logs[0] == " "
    groups = {each for each in of_type("AWS::Logs::LogGroup") if RESOURCES[each].get("Condition") != "HasAlerts"}
    assert {each["Ref"] for each in logs[1]} == groups


def test_a_storm_is_counted_before_it_is_told() -> None:
    source = source_of("AlertFunction")
    assert (source["BatchSize"], source["MaximumBatchingWindowInSeconds"]) == (SEEN_KEPT // 2, 10)
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"]["MaximumConcurrency"] == 2
    assert timeout_of("AlertFunction") < CLAIM


def test_what_is_due_is_looked_for_every_minute_and_by_nobody_twice() -> None:
    function = FUNCTIONS["AlertFunction"]
    sweep = function["Events"]["Sweep"]["Properties"]
    assert sweep["ScheduleExpression"] == "rate(1 minute)"
    assert json.loads(sweep["Input"]) == {"sweep": True}
    assert sweep["Name"] == {"Fn::Sub": "${AWS::StackName}-alert"}
    assert sweep["RetryPolicy"]["MaximumRetryAttempts"] == function["EventInvokeConfig"]["MaximumRetryAttempts"] == 0


def test_alerts_need_neither_tower_nor_a_vpc() -> None:
    assert FUNCTIONS["AlertFunction"]["VpcConfig"] == {"Ref": "AWS::NoValue"}
    allowed = {action for role, each in statements() if role == "AlertRole" for action in as_list(each["Action"])}
    assert {action.split(":")[0] for action in allowed} == {"logs", "sqs", "dynamodb", "secretsmanager"}
    assert "TowerSecretArn" not in json.dumps(RESOURCES["AlertRole"])


def test_alarms_come_to_the_alert_function_as_they_are() -> None:
    subscription = of_type("AWS::SNS::Subscription")["AlarmsToAlert"]
    assert (subscription["RawMessageDelivery"], target(subscription["Endpoint"])) == (True, "AlertQueue")
    assert target(subscription["RedrivePolicy"]["deadLetterTargetArn"]) == "AlertDeadLetterQueue"
    assert RESOURCES["AlarmsToAlert"]["DependsOn"] == ["AlertQueuePolicy", "AlertDeadLetterQueuePolicy"]


def test_every_parameter_is_described_and_has_its_place_in_the_guide() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    placed = [name for group in groups for name in group["Parameters"]]
    assert sorted(placed) == sorted(TEMPLATE["Parameters"])
    assert all(each["Description"] for each in TEMPLATE["Parameters"].values())
