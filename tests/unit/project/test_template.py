"""What the deployment must keep to. What its functions may do: test_permissions; what may be set: test_parameters."""

from __future__ import annotations

import json
import re
from collections import Counter
from copy import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from samcli.yamlhelper import yaml_dump
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from rollcall.alerting.dispatch import CLAIM
from rollcall.alerting.incident import EVENT_IDS_KEPT
from rollcall.alerting.settings import read_alert_settings
from rollcall.alerting.sources import DONE_WITH, PROBLEMS
from rollcall.aws.functions import ANSWER_WITHIN
from rollcall.aws.queues import DELAY_MAX
from rollcall.doctor.hook_findings import OUTPUT_OF
from rollcall.doctor.stack_findings import (
    ALERTS,
    FED_BY,
    FED_BY_TOPICS,
    FED_BY_USERS,
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
from rollcall.domain.bake_settings import read_bake_settings
from rollcall.domain.errors import BadSettings, TowerUnavailable
from rollcall.domain.event_fields import CYCLE_SUCCEEDED, IMAGE_BAKED, MISCONFIGURATION_MENDED, SERVING
from rollcall.domain.message_format import GROUP_EVENTS, Record, read_examination_request, read_run_request
from rollcall.domain.messages import ExaminationRequest, RunOptions, RunRequest
from rollcall.domain.reports import Note, Report
from rollcall.domain.settings import read_own_queue, read_removal_share, read_settings, read_stack_names
from rollcall.domain.timing import OTHER_LAUNCH_TIME, PERMANENT_FAILURE_LIFE
from rollcall.hosts.jobs import CLOCK_STEP
from rollcall.lifecycle.host_groups import ASSOCIATES_AT_ONCE
from rollcall.reconcile.result import RunOutcome
from rollcall.telemetry.announcer import Announcer
from rollcall.telemetry.event_bus import SOURCE
from rollcall.telemetry.metrics import Metrics
from rollcall.telemetry.reconcile_announcer import RunAnnouncer
from rollcall.workflow import invocation
from rollcall_cli.dead_letters.letters import RECEIVES_MAX
from unit.fakes import REGION
from unit.project.machines import Machine
from unit.project.template import (
    ALARMS,
    CONDITIONS,
    DAY,
    FED,
    FUNCTIONS,
    INVOKED,
    LOG_GROUPS,
    MADE_UP_FOR,
    NO_VALUE,
    PARAMETERS,
    QUEUE_POLICIES,
    QUEUES,
    REPOSITORY,
    RESOURCES,
    RULES,
    SCHEDULED,
    SHARED,
    STATE_MACHINES,
    TEMPLATE,
    TEXT,
    WORK_QUEUES,
    Json,
    actions_of,
    alarms_on_queues,
    as_list,
    by_default,
    conditional_on,
    dead_letters_of,
    event_id,
    is_presence,
    is_switch,
    of_type,
    only_if,
    queue_of,
    schedule_of,
    source_of,
    speaking_of,
    statements,
    statements_of,
    target,
    timeout_of,
    variables_of,
)
from unit.project.test_docs import VAGUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unit.world import World

SAMPLE: Json = json.loads((REPOSITORY / "events" / "launch-notification-sqs.json").read_text())
HOOK_SAMPLE: Json = json.loads((REPOSITORY / "events" / "launch-hook-sqs.json").read_text())


# How it is written


def test_sam_writes_out_every_anchor() -> None:
    """CloudFormation knows neither aliases nor merges (user guide, "CloudFormation template format")."""
    written = yaml_dump(TEMPLATE)
    assert re.findall(r"(?m)^.*(?:<<:|[:-] [&*]\w+).*$", written) == []
    assert yaml_parse(written) == TEMPLATE


def test_nothing_is_said_twice_in_one_place() -> None:
    """YAML would take the last; cfn-lint does not look where one resource takes over from another."""

    def keys_said_twice(node: yaml.Node) -> Iterator[str]:
        if isinstance(node, yaml.MappingNode):
            keys = Counter(key.value for key, _ in node.value)
            yield from (key for key, count in keys.items() if count > 1)
        for each in node.value if isinstance(node.value, list) else []:
            for inner in each if isinstance(each, tuple) else (each,):
                yield from keys_said_twice(inner)

    root = yaml.compose(TEXT, Loader=yaml.SafeLoader)
    assert root is not None
    assert list(keys_said_twice(root)) == []


HEADING = re.compile(r"^  # --- (\w+)", re.MULTILINE)


def section_of(name: str) -> str:
    """The first word of the heading that a resource stands under."""
    before = re.split(rf"^  {name}:", TEXT.partition("\nResources:\n")[2], flags=re.MULTILINE)[0]
    return str(HEADING.findall(before)[-1])


def test_sections_are_in_the_order_of_an_events_way() -> None:
    headings = HEADING.findall(TEXT)
    way = ["Events", "Register", "Gate", "Cleanup", "Reconcile", "Cycle", "Bake", "Doctor", "Alert"]
    assert headings == ["Code", *way, "Alarms", "Dashboard"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_stands_with_its_queues_its_log_its_role_and_its_alarms(function: str) -> None:
    own = FUNCTIONS[function]
    parts = {function, target(own["Role"]), target(own["LoggingConfig"]["LogGroup"])}
    if function not in (*SCHEDULED, *INVOKED):
        queue = target(source_of(function)["Queue"])
        parts |= {queue, dead_letters_of(queue)}
    for name, alarm in ALARMS.items():
        watched = [each["Value"] for each in alarm.get("Dimensions", [])]
        if any(isinstance(each, dict) and target(each) in parts for each in watched):
            parts.add(name)
    assert {part: section_of(part) for part in parts} == dict.fromkeys(parts, function.removesuffix("Function"))


def test_what_it_says_is_said_in_plain_words() -> None:
    kept = (  # names that users depend on: of resources, a metric, an event and a field of events
        r"AlertFunctionTrouble|ReconcileTroubles|ReconcileTroubleAlarm|\bTrouble:$|Misconfiguration Mended"
        r'|troubled: \[true\]|"troubled"'
    )
    assert [line for line in TEXT.splitlines() if VAGUE.search(re.sub(kept, "", line))] == []


# Functions


def test_every_function_of_this_installation_is_here() -> None:
    assert set(FUNCTIONS) == {
        "RegisterFunction",
        "GateFunction",
        "CleanupFunction",
        "ReconcileFunction",
        "CycleFunction",
        "BakeFunction",
        "AlertFunction",
        "DoctorFunction",
    }


def test_everything_runs_on_the_runtime_of_the_layer() -> None:
    assert (SHARED["Runtime"], SHARED["Architectures"]) == ("python3.13", ["arm64"])
    for name, layer in of_type("AWS::Serverless::LayerVersion").items():
        assert RESOURCES[name]["Metadata"] == {"BuildMethod": "python3.13", "BuildArchitecture": "arm64"}
        assert layer["CompatibleRuntimes"] == ["python3.13"]
        assert layer["CompatibleArchitectures"] == ["arm64"]


def test_only_the_gate_may_send_to_itself() -> None:
    looping = [name for name, each in FUNCTIONS.items() if "RecursiveLoop" in each]
    assert looping == ["GateFunction"]
    assert FUNCTIONS["GateFunction"]["RecursiveLoop"] == "Allow"
    assert "RecursiveLoop" not in SHARED


@pytest.mark.parametrize("function", [*FED, "AlertFunction"])
def test_a_function_ends_within_two_minutes_and_before_its_messages_come_again(function: str) -> None:
    queue = QUEUES[target(source_of(function)["Queue"])]
    assert timeout_of(function) < 120
    assert queue["VisibilityTimeout"] >= timeout_of(function)


def test_a_host_without_a_job_is_left_to_its_maker_for_longer_than_that_one_can_run() -> None:
    assert timeout_of("RegisterFunction") < OTHER_LAUNCH_TIME - CLOCK_STEP


@pytest.mark.parametrize("function", FED)
def test_a_function_reports_what_failed_and_knows_its_queues(function: str) -> None:
    source = source_of(function)
    queue = target(source["Queue"])
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"]["MaximumConcurrency"]
    variables = FUNCTIONS[function]["Environment"]["Variables"]
    assert target(variables["QUEUE_URL"]) == queue
    assert variables["DEAD_LETTER_QUEUE_URL"] == {"Ref": dead_letters_of(queue)}


@pytest.mark.parametrize("function", [*FED, "ReconcileFunction"])
def test_the_environment_of_a_function_is_what_settings_read(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = variables_of(function)
    environment = {name: str(by_default(value)) for name, value in variables.items()} | {"AWS_REGION": REGION}
    assert read_settings(environment).max_hosts_per_job == 100
    assert read_removal_share(environment) == 0.2
    if function in FED:
        assert read_own_queue(environment)
    elif function == "ReconcileFunction":
        assert environment["REMOVE_AT_MOST_PERCENT"]
    else:
        assert read_stack_names(environment).known_findings_table


def test_one_parameter_bounds_the_requests_that_tower_gets_at_once() -> None:
    bounds = {function: source_of(function)["ScalingConfig"]["MaximumConcurrency"] for function in FED}
    assert bounds == {function: {"Ref": "BatchesAtOnce"} for function in FED}
    gate = cleanup = 1
    assert ASSOCIATES_AT_ONCE + gate + cleanup == 6
    assert "six requests at once" in PARAMETERS["BatchesAtOnce"]["Description"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_log_is_kept_for_a_set_time(function: str) -> None:
    group = FUNCTIONS[function]["LoggingConfig"]["LogGroup"]
    assert LOG_GROUPS[target(group)]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


# Reconcile


def test_reconcile_is_scheduled_so_that_a_run_ends_before_the_next_one_begins() -> None:
    assert schedule_of("ReconcileFunction")["ScheduleExpression"] == {"Fn::Sub": "rate(${ReconcileEvery} minutes)"}
    assert timeout_of("ReconcileFunction") < 60 * PARAMETERS["ReconcileEvery"]["MinValue"]


def test_the_schedule_starts_a_run_that_is_not_by_hand() -> None:
    said = schedule_of("ReconcileFunction")["Input"]["Fn::Sub"]
    every = PARAMETERS["ReconcileEvery"]["Default"]
    request = read_run_request(json.loads(said.replace("${ReconcileEvery}", str(every))))
    assert request == RunRequest(RunOptions(every=60.0 * every))


def test_a_run_that_failed_is_repeated_by_the_schedule_alone() -> None:
    assert FUNCTIONS["ReconcileFunction"]["EventInvokeConfig"]["MaximumRetryAttempts"] == 0
    assert schedule_of("ReconcileFunction")["RetryPolicy"]["MaximumRetryAttempts"] == 0


def test_two_stacks_of_one_region_have_schedules_of_their_own() -> None:
    for function in SCHEDULED:
        own = {"Fn::Sub": f"${{AWS::StackName}}-{function.removesuffix('Function').lower()}"}
        assert schedule_of(function)["Name"] == own


# Doctor


def present(kind: str, *, alerts: bool) -> dict[str, Json]:
    """Resources of a type that an installation has, with a channel or without one."""
    there = (None, "HasAlerts") if alerts else (None,)
    return {name: each for name, each in of_type(kind).items() if RESOURCES[name].get("Condition") in there}


@pytest.mark.parametrize("alerts", [True, False])
def test_doctor_knows_the_parts_of_the_stack_by_their_names(alerts: bool) -> None:
    variables = variables_of("DoctorFunction")
    resolved = {}
    for name, value in variables.items():
        condition, there, elsewhere = (
            value.get("Fn::If", (None, value, None)) if isinstance(value, dict) else (None,) * 3
        )
        if condition == "HasAlerts":
            assert elsewhere == NO_VALUE
        if isinstance(there, dict) and "Ref" in there and (alerts or condition != "HasAlerts"):
            resolved[name] = str(there["Ref"])
    resolved["NOTIFYING_TOPICS"] = "arn:a,arn:b"  # its value is joined: see test_no_topic_may_send_that_is_not_named
    names = read_stack_names(resolved)
    assert names.notifying_topics == ("arn:a", "arn:b")
    assert names.rules == {name: name for name in present("AWS::Events::Rule", alerts=alerts)}
    assert names.queues == {name: name for name in present("AWS::SQS::Queue", alerts=alerts)}
    assert names.topics == {name: name for name in present("AWS::SNS::Topic", alerts=alerts)}
    assert (names.known_findings_table, names.notification_topic) == ("ToldTable", "NotificationTopicArn")
    assert names.alarm_topic == "AlarmTopicArn"
    own = ["AlertFunction"] if alerts else []
    assert names.sources == {name: event_id(name, "SQS") for name in [*FED, *own]}
    assert names.schedules == {name: event_id(name, "ScheduleV2") for name in ["ReconcileFunction", *own]}
    assert [replace(names, alarm_topic=topic).has_alarm_recipient for topic in ("", "arn")] == [alerts, True]


FEEDING = {name: each for name, each in RULES.items() if name not in MADE_UP_FOR}  # a queue


def test_doctor_knows_what_feeds_what() -> None:
    fed = [*FED, "AlertFunction"]
    subscribed = of_type("AWS::SNS::Subscription").values()
    assert {name: target(each["Targets"][0]["Arn"]) for name, each in FEEDING.items()} == FED_BY
    assert {name: target(source_of(name)["Queue"]) for name in fed} == WORKS_ON
    assert {
        target(each["TopicArn"]): target(each["Endpoint"])
        for each in subscribed
        if target(each["TopicArn"]) in RESOURCES
    } == FED_BY_TOPICS
    assert set(FED_BY_USERS) == set(QUEUE_OF.values())
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


def test_doctor_may_read_every_part_that_it_knows() -> None:
    allowed = [
        (action, json.dumps(each["Resource"]))
        for each in statements_of("DoctorRole")
        for action in as_list(each["Action"])
    ]

    def may(action: str, name: str) -> bool:
        named = re.compile(rf'"{name}[".]|\$\{{{name}\}}')
        return any(action == each and named.search(resource) for each, resource in allowed)

    for rule in FEEDING:
        assert may("events:DescribeRule", rule), rule
        assert may("events:ListTargetsByRule", rule), rule
    assert [queue for queue in QUEUES if not may("sqs:GetQueueAttributes", queue)] == []
    for function in [*FED, "AlertFunction"]:
        assert may("lambda:GetEventSourceMapping", event_id(function, "SQS")), function
    for function in ("ReconcileFunction", "AlertFunction"):
        name = schedule_of(function)["Name"]["Fn::Sub"]
        assert any(
            action == "scheduler:GetSchedule" and resource.endswith(f'schedule/default/{name}"}}')
            for action, resource in allowed
        ), function
    assert {each["RedrivePolicy"]["maxReceiveCount"] for each in WORK_QUEUES.values()} == {RECEIVES}
    assert {queue: target(TEMPLATE["Outputs"][OUTPUT_OF[way]]["Value"]) for way, queue in QUEUE_OF.items()} == {
        queue: queue for queue in QUEUE_OF.values()
    }
    assert {notice: way for way, notice in NOTICE_OF.items()} == GROUP_EVENTS


def test_doctor_publishes_once_a_day_and_nothing_else_repeats_a_run_that_failed() -> None:
    schedule = schedule_of("DoctorFunction")
    assert schedule["ScheduleExpression"] == "rate(1 day)"
    assert read_examination_request(json.loads(schedule["Input"])) == ExaminationRequest(announce=True)
    assert FUNCTIONS["DoctorFunction"]["EventInvokeConfig"]["MaximumRetryAttempts"] == 0
    assert schedule["RetryPolicy"]["MaximumRetryAttempts"] == 0


# Chef


def test_without_a_chef_server_there_is_no_layer_permission_or_alarm_of_it() -> None:
    assert conditional_on("HasChef") == {"ChefLayer", "ChefPolicy", "DoctorChefPolicy"}
    assert is_presence("HasChef", "ChefSecretArn")
    assert speaking_of("ChefSecretArn") == {"ChefPolicy", "DoctorChefPolicy", "CycleRole", "BakeRole"}
    assert SHARED["Layers"] == [{"Ref": "CommonLayer"}]
    assert SHARED["Environment"]["Variables"]["CHEF_SECRET"] == only_if("HasChef", {"Ref": "ChefSecretArn"})


def test_only_functions_that_use_chef_have_its_layer_and_its_secret() -> None:
    asking = {"CleanupFunction", "ReconcileFunction", "CycleFunction", "BakeFunction", "DoctorFunction"}
    assert speaking_of("ChefLayer") == asking
    assert all(FUNCTIONS[name]["Layers"] == [only_if("HasChef", {"Ref": "ChefLayer"})] for name in asking)
    reading = {role for role, statement in statements() if statement["Resource"] == {"Ref": "ChefSecretArn"}}
    assert {role.replace("Role", "Function") for role in reading} == asking


def test_what_signs_for_chef_is_in_its_own_layer_only() -> None:
    pinned = {layer: (REPOSITORY / "layers" / layer / "requirements.txt").read_text() for layer in ("common", "chef")}
    assert "cryptography==" in pinned["chef"]
    assert "cryptography" not in pinned["common"]


@pytest.mark.parametrize(("given", "held"), [({}, ""), ({"CHEF_SECRET": "arn:x"}, "arn:x")])
def test_settings_tell_whether_there_is_a_chef_server(given: dict[str, str], held: str) -> None:
    variables = SHARED["Environment"]["Variables"].keys() - {"CHEF_SECRET"}
    assert read_settings(dict.fromkeys([*variables, "AWS_REGION"], "1") | given).chef_secret == held


# Queues


@pytest.mark.parametrize("queue", WORK_QUEUES)
def test_a_queue_has_a_dead_letter_queue_of_its_own_that_keeps_for_as_long_as_it_can(queue: str) -> None:
    assert len({dead_letters_of(each) for each in WORK_QUEUES}) == len(WORK_QUEUES)
    assert QUEUES[dead_letters_of(queue)]["MessageRetentionPeriod"] == 14 * DAY


def test_who_reads_dead_letters_finds_the_queue_of_each_and_knows_how_often_it_was_received() -> None:
    dead = {name.removesuffix("DeadLetterQueue") for name in QUEUES if name.endswith("DeadLetterQueue")}
    assert dead == {name.removesuffix("Queue") for name in WORK_QUEUES}
    assert {each["RedrivePolicy"]["maxReceiveCount"] for each in WORK_QUEUES.values()} == {RECEIVES_MAX}


def test_every_dead_letter_queue_has_an_alarm_at_the_first_message() -> None:
    watched = alarms_on_queues("ApproximateNumberOfMessagesVisible")
    assert set(watched) == set(QUEUES) - set(WORK_QUEUES)
    for each in watched.values():
        assert each["Namespace"] == "AWS/SQS"
        assert (each["Threshold"], each["ComparisonOperator"]) == (0, "GreaterThanThreshold")


def test_every_queue_has_an_alarm_on_messages_that_no_function_takes() -> None:
    watched = alarms_on_queues("ApproximateAgeOfOldestMessage")
    assert set(watched) == set(WORK_QUEUES)
    for each in watched.values():
        assert (each["Namespace"], each["Statistic"]) == ("AWS/SQS", "Maximum")
        assert each["ComparisonOperator"] == "GreaterThanThreshold"
        assert each["TreatMissingData"] == "notBreaching"


def test_ten_minutes_without_tower_sound_one_alarm() -> None:
    failing = PARAMETERS["AlertAfter"]["Default"]
    for each in alarms_on_queues("ApproximateAgeOfOldestMessage").values():
        assert each["Threshold"] > failing + timing.RETRY_MAX


def test_what_the_gate_puts_off_for_as_long_as_it_may_is_not_forgotten() -> None:
    longest = DELAY_MAX + timing.RETRY_MAX + WORK_QUEUES["GateQueue"]["VisibilityTimeout"]
    assert alarms_on_queues("ApproximateAgeOfOldestMessage")["GateQueue"]["Threshold"] > longest


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
def test_the_receive_count_never_ends_the_hour_in_which_an_operator_may_fix_something(queue: str) -> None:
    tries = tries_within(PERMANENT_FAILURE_LIFE, timing.HEARTBEAT_TIMEOUT_MIN / timing.HEARTBEAT_SHARE)
    assert WORK_QUEUES[queue]["RedrivePolicy"]["maxReceiveCount"] > tries


# Events in: rules, and who may send


def test_rules_choose_by_the_hooks_prefix_and_lose_no_event() -> None:
    for name, rule in FEEDING.items():
        [each] = rule["Targets"]
        assert target(each["DeadLetterConfig"]["Arn"]) == dead_letters_of(target(each["Arn"]))
        if name in ("LaunchRule", "TerminateRule"):
            assert rule["EventPattern"]["detail"]["LifecycleHookName"] == [{"prefix": {"Ref": "HookPrefix"}}]


def test_rules_take_no_event_of_another_account_or_region() -> None:
    """Whoever may put events onto this bus may put those of their own account there."""
    for rule in RULES.values():
        pattern = rule["EventPattern"]
        assert (pattern["account"], pattern["region"]) == ([{"Ref": "AWS::AccountId"}], [{"Ref": "AWS::Region"}])


def policy_statements(policy: str) -> Iterator[tuple[str, Json]]:
    """The statements of a queue's policy, each with the condition under which there is one, empty for always."""
    for statement in QUEUE_POLICIES[policy]["PolicyDocument"]["Statement"]:
        condition, own, otherwise = statement.get("Fn::If", ("", statement, None))
        assert otherwise in (None, NO_VALUE)
        yield condition, own


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
    for queue in FED_BY_USERS:
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


# Events in: notifications

SUBSCRIPTIONS = {
    name: each for name, each in of_type("AWS::SNS::Subscription").items() if each["TopicArn"] != {"Ref": "AlarmTopic"}
}


def test_a_topic_sends_only_what_is_read_and_each_queue_gets_its_own() -> None:
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
    assert target(subscription["RedrivePolicy"]["deadLetterTargetArn"]) == dead_letters_of(
        target(subscription["Endpoint"])
    )


def test_an_installation_without_a_topic_has_nothing_of_it() -> None:
    assert is_presence("HasNotificationTopic", "NotificationTopicArn")
    assert conditional_on("HasNotificationTopic") == set(SUBSCRIPTIONS)


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
def test_a_topic_is_subscribed_once_it_may_send_to_the_queue_and_to_its_dead_letters(name: str) -> None:
    subscription = SUBSCRIPTIONS[name]
    queues = {target(subscription["Endpoint"]), target(subscription["RedrivePolicy"]["deadLetterTargetArn"])}
    assert {queue_of(each) for each in RESOURCES[name]["DependsOn"]} == queues


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
    announcer.message_failed(record, [action], TowerUnavailable("away"))
    announcer.message_failed(record, [action], BadSettings("fix it"))
    note = (Note("check it", alert=True),)
    announcer.announce([Report(action, "left in service", notes=note)])
    cleanup = Announcer("cleanup")
    cleanup.announce([Report(world.terminating("i-b"), "removed from every inventory, but not from Chef", notes=note)])
    reconcile = RunAnnouncer("reconcile")
    reconcile.announce_run(RunOutcome(), 300.0)
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


def test_how_an_alarm_counts_is_a_matter_of_its_metric() -> None:
    """An alarm that takes over from another must not take over how that one counts."""
    gauges = {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage", "FailingFor"}
    periods = {"ApproximateAgeOfOldestMessage": 300, "FailedActions": 300, "FailingFor": 300, "AlertsLost": 300}
    between_runs = {"BreakerTripped": "ignore", "ReconcileTroubles": "ignore", "ReconcileRuns": "breaching"}
    for name, each in ALARMS.items():
        metric = each.get("MetricName", "a rate")
        assert each.get("Statistic", "Sum") == ("Maximum" if metric in gauges else "Sum"), name
        period = periods.get(metric, 180 if metric == "ReconcileRuns" else 60)
        assert each.get("Period", 60) == (300 if name in ("CycleErrorAlarm", "BakeErrorAlarm") else period), name
        assert each["TreatMissingData"] == between_runs.get(metric, "notBreaching"), name
        assert (each["ComparisonOperator"] == "LessThanThreshold") == (metric == "ReconcileRuns"), name
        assert each["Dimensions" if metric != "a rate" else "Metrics"], name


def test_an_alarm_at_the_first_count_has_no_threshold_of_its_own() -> None:
    thresholds = {name: each["Threshold"] for name, each in ALARMS.items() if each["Threshold"] != 0}
    assert thresholds == {
        "LaunchAgeAlarm": 900,
        "GateAgeAlarm": 1800,
        "TerminateAgeAlarm": 900,
        "AlertAgeAlarm": 900,
        "AbandonRateAlarm": 20,
        "ReconcileSilentAlarm": 1,
        "TransientFailureAlarm": {"Ref": "AlertAfter"},
    }


def test_every_function_that_raises_has_an_alarm() -> None:
    watched = {
        target(each["Dimensions"][0]["Value"])
        for each in ALARMS.values()
        if (each.get("Namespace"), each.get("MetricName")) == ("AWS/Lambda", "Errors")
    }
    assert watched == set(FUNCTIONS)


def test_permanent_failures_alarm_at_once_and_transient_ones_after_ten_minutes() -> None:
    permanent, transient = ALARMS["PermanentFailureAlarm"], ALARMS["TransientFailureAlarm"]
    assert (permanent["Threshold"], permanent["EvaluationPeriods"]) == (0, 1)
    assert (transient["MetricName"], transient["Threshold"]) == ("FailingFor", {"Ref": "AlertAfter"})
    assert PARAMETERS["AlertAfter"]["Default"] == 600


@pytest.mark.parametrize("every", [2, 5, 60, 480])
def test_three_runs_of_reconcile_that_did_not_come_sound_an_alarm(every: int) -> None:
    parameter = PARAMETERS["ReconcileEvery"]
    assert parameter["MinValue"] <= every <= parameter["MaxValue"]
    alarm = ALARMS["ReconcileSilentAlarm"]
    assert alarm["EvaluationPeriods"] == {"Ref": "ReconcileEvery"}
    assert alarm["Period"] * every == 3 * 60 * every
    assert "DatapointsToAlarm" not in alarm
    assert (alarm["Statistic"], alarm["Threshold"], alarm["ComparisonOperator"]) == ("Sum", 1, "LessThanThreshold")
    assert alarm["TreatMissingData"] == "breaching"


def test_no_alarm_looks_back_further_than_cloudwatch_lets_it() -> None:
    longest = PARAMETERS["ReconcileEvery"]["MaxValue"]
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


def test_every_alarm_notifies_the_topic_if_there_is_one() -> None:
    for each in ALARMS.values():
        assert each["AlarmActions"][0] == only_if("HasAlarmTopic", {"Ref": "AlarmTopicArn"})


# Alerts

REPEATING = {  # an event that operators are notified of
    "ReconcileErrorAlarm",
    "BreakerAlarm",
    "ReconcileTroubleAlarm",
    "PermanentFailureAlarm",
    "TransientFailureAlarm",
    "StuckInstancesAlarm",
    "ChefAlarm",
    "CycleFailedAlarm",
    "BakeFailedAlarm",
}
OF_ALERT = {  # which cannot report its own failure
    "AlertErrorAlarm",
    "AlertDeadLetterAlarm",
    "AlertAgeAlarm",
    "AlertsLostAlarm",
}
ALERT_TOPIC = only_if("HasAlerts", {"Ref": "AlarmTopic"})


def test_operators_are_notified_of_alarms_about_what_no_event_says_and_of_their_end() -> None:
    paged = {name for name, each in ALARMS.items() if "AlarmTopic" in [each["AlarmActions"][-1]["Fn::If"][1]["Ref"]]}
    assert paged == set(ALARMS) - REPEATING - OF_ALERT
    for name, each in ALARMS.items():
        assert each["AlarmActions"][1:] == ([ALERT_TOPIC] if name in paged else [])
        assert each.get("OKActions", []) == ([ALERT_TOPIC] if name in paged else [])


def test_the_page_on_alerts_names_the_alarms_that_repeat_an_event() -> None:
    [named] = re.findall(
        r"Alarms that merely repeat an event \(([^)]*)\)", (REPOSITORY / "docs/guides/alerts.md").read_text()
    )
    assert set(re.findall(r"`(\w+)`", named)) == {each.removesuffix("Alarm") for each in REPEATING}


def test_without_a_channel_there_is_nothing_of_alerts() -> None:
    own = {name for name in RESOURCES if name.startswith("Alert")} | {"AlarmTopic", "AlarmsToAlert"}
    own.add("DoctorAlertPolicy")
    assert conditional_on("HasAlerts") == own
    for parameter, condition in (("PagerDutySecretArn", "HasPagerDuty"), ("SlackSecretArn", "HasSlack")):
        assert is_presence(condition, parameter)
        assert speaking_of(parameter) == {"AlertFunction", "AlertRole"}
    assert CONDITIONS["HasAlerts"] == {"Fn::Or": [{"Condition": "HasPagerDuty"}, {"Condition": "HasSlack"}]}
    for name in own:  # nothing else depends on what may not be there
        for other in speaking_of(name) - own - {"DoctorFunction"}:  # whose variables have their own test
            assert ALERT_TOPIC in ALARMS[other]["AlarmActions"]
    outputs = {each: value for each, value in TEMPLATE["Outputs"].items() if "Alert" in json.dumps(value)}
    assert all(value["Condition"] == "HasAlerts" for value in outputs.values())


def test_every_event_that_a_rule_matches_is_one_that_is_read() -> None:
    asked = {
        kind: rule["EventPattern"].get("detail")
        for name, rule in RULES.items()
        if name.startswith("Alert")
        for kind in rule["EventPattern"]["detail-type"]
    }
    assert set(asked) == {*PROBLEMS, *DONE_WITH, SERVING, MISCONFIGURATION_MENDED, CYCLE_SUCCEEDED, IMAGE_BAKED}
    own = {"stack": [{"Ref": "AWS::StackName"}]}  # the bus is shared with other stacks
    ends = ("Instance Ready", "Instance Abandoned")
    assert asked == {kind: {**own, "troubled": [True]} if kind in ends else own for kind in asked}
    for name, rule in RULES.items():
        assert (rule["EventPattern"]["source"] == [SOURCE]) == name.startswith("Alert")


def test_the_environment_of_the_alert_function_is_what_its_settings_read() -> None:
    variables = variables_of("AlertFunction") | {"AWS_REGION": REGION}
    settings = read_alert_settings({name: str(by_default(value)) for name, value in variables.items()})
    assert (settings.alert_after, settings.pagerduty_secret, settings.slack_secret) == (600.0, "", "")
    for name in ("ACCOUNT_ID", "STACK_NAME", "TOLD_TABLE", "ALERT_AFTER", "LOG_GROUPS", "DEAD_LETTER_QUEUE_URL"):
        with pytest.raises(BadSettings, match=f"{name}.*template.yaml"):
            read_alert_settings({key: "1" for key in variables if key != name})
    logs = FUNCTIONS["AlertFunction"]["Environment"]["Variables"]["LOG_GROUPS"]["Fn::Join"]
    assert logs[0] == " "
    groups = {each for each in LOG_GROUPS if "Condition" not in RESOURCES[each]}
    assert [each["Ref"] for each in logs[1] if "Ref" in each] == sorted(groups, key=list(LOG_GROUPS).index)
    assert [each["Fn::If"] for each in logs[1] if "Fn::If" in each] == [
        ["RunsCycles", {"Ref": "CycleLogGroup"}, ""],
        ["RunsBakes", {"Ref": "BakeLogGroup"}, ""],
    ]


def test_a_large_scale_out_is_counted_before_operators_are_notified() -> None:
    source = source_of("AlertFunction")
    assert (source["BatchSize"], source["MaximumBatchingWindowInSeconds"]) == (EVENT_IDS_KEPT // 2, 10)
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"]["MaximumConcurrency"] == 2
    assert timeout_of("AlertFunction") < CLAIM


def test_the_sweep_runs_every_minute_and_nothing_repeats_it() -> None:
    sweep = schedule_of("AlertFunction")
    assert sweep["ScheduleExpression"] == "rate(1 minute)"
    assert json.loads(sweep["Input"]) == {"sweep": True}
    assert sweep["Name"] == {"Fn::Sub": "${AWS::StackName}-alert"}
    assert sweep["RetryPolicy"]["MaximumRetryAttempts"] == 0
    assert FUNCTIONS["AlertFunction"]["EventInvokeConfig"]["MaximumRetryAttempts"] == 0


def test_alerts_need_neither_tower_nor_a_vpc() -> None:
    assert FUNCTIONS["AlertFunction"]["VpcConfig"] == NO_VALUE
    assert {action.split(":")[0] for action in actions_of("AlertRole")} == {"logs", "sqs", "dynamodb", "secretsmanager"}
    assert "TowerSecretArn" not in json.dumps(RESOURCES["AlertRole"])


@pytest.mark.parametrize("sample", ["alert-alarm", "alert-alarm-ok"])
def test_the_sample_of_an_alarm_is_one_of_the_template(sample: str) -> None:
    [record] = json.loads((REPOSITORY / "events" / f"{sample}.json").read_text())["Records"]
    body = json.loads(record["body"])
    alarm = ALARMS[body["AlarmName"].split("-")[1]]
    assert (body["AlarmDescription"], body["Trigger"]["Period"]) == (alarm["AlarmDescription"], alarm["Period"])


def test_alarms_come_to_the_alert_function_as_they_are() -> None:
    subscription = of_type("AWS::SNS::Subscription")["AlarmsToAlert"]
    assert (subscription["RawMessageDelivery"], target(subscription["Endpoint"])) == (True, "AlertQueue")
    assert target(subscription["RedrivePolicy"]["deadLetterTargetArn"]) == "AlertDeadLetterQueue"
    assert RESOURCES["AlarmsToAlert"]["DependsOn"] == ["AlertQueuePolicy", "AlertDeadLetterQueuePolicy"]


# Cycles

MACHINE = STATE_MACHINES["CycleStateMachine"]
DEFINITION: Json = json.loads((REPOSITORY / "statemachines" / "cycle.asl.json").read_text())


def test_without_cycles_there_is_nothing_of_them() -> None:
    assert is_switch("RunsCycles", "Cycles")
    own = {name for name in RESOURCES if name.startswith("Cycle")} | {"ReconcileCyclesPolicy", "DoctorCyclesPolicy"}
    assert conditional_on("RunsCycles") == own
    shown = {"Dashboard", "HealthAlarm", "AlertFunction", "ReconcileFunction", "DoctorFunction"}  # each with Fn::If
    rolling_out = {"BakeStateMachine", "BakeStateMachineRole", "BakeFunction", "BakesPolicy"}  # likewise
    for name in own:  # nothing else depends on what may not be there
        assert speaking_of(name) - own <= shown | rolling_out, name
    variables = FUNCTIONS["ReconcileFunction"]["Environment"]["Variables"]
    assert variables == {
        "CYCLE_MACHINE": only_if("RunsCycles", {"Ref": "CycleStateMachine"}),
        "CYCLE_FUNCTION": only_if("RunsCycles", {"Ref": "CycleFunction"}),
        "BAKE_MACHINE": only_if("RunsBakes", {"Ref": "BakeStateMachine"}),
        "BAKE_FUNCTION": only_if("RunsBakes", {"Ref": "BakeFunction"}),
    }
    assert TEMPLATE["Outputs"]["CycleStateMachineArn"]["Condition"] == "RunsCycles"


def test_the_state_machine_is_the_file_and_names_nothing_that_it_is_not_given() -> None:
    assert (REPOSITORY / MACHINE["DefinitionUri"]).samefile(REPOSITORY / "statemachines" / "cycle.asl.json")
    named = set(re.findall(r"\$\{(\w+)\}", json.dumps(DEFINITION)))
    assert named == MACHINE["DefinitionSubstitutions"].keys()
    assert "Type" not in MACHINE  # a standard one, which may run for a year and has each execution's history
    assert "Tracing" not in MACHINE


def test_errors_of_executions_are_logged_where_step_functions_may_write() -> None:
    logging = MACHINE["Logging"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", True)
    [destination] = logging["Destinations"]
    group = target(destination["CloudWatchLogsLogGroup"]["LogGroupArn"])
    assert LOG_GROUPS[group]["LogGroupName"]["Fn::Sub"].startswith("/aws/vendedlogs/states/")


def test_a_step_has_time_to_end_before_the_state_machine_gives_it_up() -> None:
    tasks = [each for each in DEFINITION["States"].values() if each["Type"] == "Task"]
    assert all(each["TimeoutSeconds"] > timeout_of("CycleFunction") for each in tasks)


def test_an_execution_that_was_stopped_failed_or_ran_out_of_time_comes_to_the_cycle_function() -> None:
    rule = RULES["CycleStoppedRule"]
    pattern = rule["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == ([invocation.SOURCE], [invocation.DETAIL_TYPE])
    assert pattern["detail"] == {"stateMachineArn": [{"Ref": "CycleStateMachine"}], "status": list(invocation.ENDED)}
    [to] = rule["Targets"]
    assert target(to["Arn"]) == "CycleFunction"
    permission = RESOURCES["CycleStoppedPermission"]["Properties"]
    assert target(permission["FunctionName"]) == "CycleFunction"
    assert target(permission["SourceArn"]) == "CycleStoppedRule"
    again = FUNCTIONS["CycleFunction"]["EventInvokeConfig"]
    assert again["MaximumRetryAttempts"] == 2
    assert again["MaximumEventAgeInSeconds"] == to["RetryPolicy"]["MaximumEventAgeInSeconds"]


def test_the_cycle_function_reads_what_the_gate_logs() -> None:
    assert target(variables_of("CycleFunction")["GATE_LOG_GROUP"]) == "GateLogGroup"


def test_errors_of_steps_sound_an_alarm_once_they_have_lasted_and_before_the_cycle_is_given_up() -> None:
    alarm = ALARMS["CycleErrorAlarm"]
    lasts = alarm["Period"] * alarm["DatapointsToAlarm"]
    [retry] = DEFINITION["States"]["Follow"]["Retry"]
    delays = [
        min(retry["IntervalSeconds"] * retry["BackoffRate"] ** each, retry["MaxDelaySeconds"])
        for each in range(retry["MaxAttempts"])
    ]
    assert max(delays) <= alarm["Period"]  # so that hardly a period is without a try
    assert lasts < sum(delays) / 2 < sum(delays) < 3600  # with full jitter, they are half as long on average


def test_every_way_in_which_a_cycle_ends_badly_sounds_an_alarm_but_what_an_operator_did() -> None:
    expression, *metrics = ALARMS["CycleFailedAlarm"]["Metrics"]
    assert expression["Expression"] == "SUM(METRICS())"  # which has a value where only one of them has
    names = {each["MetricStat"]["Metric"]["MetricName"] for each in metrics}
    assert names == {"CyclesFailed", "CyclesRolledBack", "ExecutionsTimedOut", "ExecutionsAborted"}
    for each in metrics:
        [dimension] = each["MetricStat"]["Metric"]["Dimensions"]
        if each["MetricStat"]["Metric"]["Namespace"] == "Rollcall":
            assert dimension == {"Name": "service", "Value": "cycle"}
        else:
            assert (dimension["Name"], target(dimension["Value"])) == ("StateMachineArn", "CycleStateMachine")
        assert (each["MetricStat"]["Stat"], each["ReturnData"]) == ("Sum", False)


# Bakes

BAKE_MACHINE = STATE_MACHINES["BakeStateMachine"]
BAKE_STEPS = Machine("bake", {})


def test_without_bakes_there_is_nothing_of_them() -> None:
    assert is_switch("RunsBakes", "Bakes")
    own = {name for name in RESOURCES if name.startswith("Bake")} | {"ReconcileBakesPolicy", "DoctorBakesPolicy"}
    assert conditional_on("RunsBakes") == own
    shown = {"Dashboard", "HealthAlarm", "AlertFunction", "ReconcileFunction", "CyclesPolicy"}  # each with Fn::If
    for name in own:  # nothing else depends on what may not be there
        assert speaking_of(name) - own <= shown, name
    assert TEMPLATE["Outputs"]["BakeStateMachineArn"]["Condition"] == "RunsBakes"


def test_a_stack_that_bakes_without_cycles_still_deploys() -> None:
    """Pre-flight refuses to roll out there."""
    own = conditional_on("RunsCycles")
    for name in ("BakeStateMachine", "BakeStateMachineRole", "BakeFunction", "BakesPolicy"):
        assert not [each for each in own if _depends(RESOURCES[name], each)], name


def _depends(value: object, name: str) -> bool:
    """Whether something refers to a resource without asking whether it is there."""
    if isinstance(value, dict):
        if "Fn::If" in value and value["Fn::If"][0] == "RunsCycles":
            return False
        return value == {"Ref": name} or any(_depends(each, name) for each in value.values())
    if isinstance(value, list):
        return value[:1] == [name] or any(_depends(each, name) for each in value)
    return isinstance(value, str) and f"${{{name}" in value


def test_the_state_machine_of_bakes_is_the_file_under_the_name_that_its_function_is_told() -> None:
    assert (REPOSITORY / BAKE_MACHINE["DefinitionUri"]).samefile(REPOSITORY / "statemachines" / "bake.asl.json")
    named = set(re.findall(r"\$\{(\w+)\}", BAKE_STEPS.text))
    assert named == BAKE_MACHINE["DefinitionSubstitutions"].keys()
    assert "Type" not in BAKE_MACHINE  # a standard one, which may run for a year and has each execution's history
    name = BAKE_MACHINE["Name"]["Fn::Sub"]
    by_name = variables_of("BakeFunction")["BAKE_MACHINE"]
    assert by_name["Fn::Sub"].endswith(f":stateMachine:{name}")
    assert variables_of("CycleFunction")["BAKE_MACHINE"] == only_if("RunsBakes", by_name)
    assert variables_of("BakeFunction")["CYCLE_FUNCTION"] == only_if("RunsCycles", {"Ref": "CycleFunction"})


def test_a_function_that_asks_another_one_waits_for_less_than_either_may_take() -> None:
    assert timeout_of("CycleFunction") > ANSWER_WITHIN
    assert timeout_of("BakeFunction") > ANSWER_WITHIN


def test_errors_of_bakes_are_logged_where_step_functions_may_write() -> None:
    [destination] = BAKE_MACHINE["Logging"]["Destinations"]
    group = target(destination["CloudWatchLogsLogGroup"]["LogGroupArn"])
    assert LOG_GROUPS[group]["LogGroupName"]["Fn::Sub"].startswith("/aws/vendedlogs/states/")


def test_a_step_of_a_bake_has_time_to_end_before_the_state_machine_gives_it_up() -> None:
    assert all(each["TimeoutSeconds"] > timeout_of("BakeFunction") for each in BAKE_STEPS.tasks.values())


def test_a_bake_that_was_stopped_failed_or_ran_out_of_time_comes_to_the_bake_function() -> None:
    rule = RULES["BakeStoppedRule"]
    pattern = rule["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == ([invocation.SOURCE], [invocation.DETAIL_TYPE])
    assert pattern["detail"] == {"stateMachineArn": [{"Ref": "BakeStateMachine"}], "status": list(invocation.ENDED)}
    [to] = rule["Targets"]
    assert target(to["Arn"]) == "BakeFunction"
    permission = RESOURCES["BakeStoppedPermission"]["Properties"]
    assert (target(permission["FunctionName"]), target(permission["SourceArn"])) == ("BakeFunction", "BakeStoppedRule")
    again = FUNCTIONS["BakeFunction"]["EventInvokeConfig"]
    assert again["MaximumEventAgeInSeconds"] == to["RetryPolicy"]["MaximumEventAgeInSeconds"]


def test_the_environment_of_the_bake_function_is_what_its_settings_read() -> None:
    variables = {name: str(by_default(value)) for name, value in variables_of("BakeFunction").items()}
    lists = ("BAKE_TEMPLATE_ARNS", "BAKE_ROLE_ARNS", "KMS_KEY_ARNS", "TRUSTED_IMAGE_ACCOUNTS")
    for name in lists:
        [separator, parameter] = variables_of("BakeFunction")[name]["Fn::Join"]
        assert (separator, PARAMETERS[parameter["Ref"]]["Default"]) == (",", "")
        variables[name] = "one, two"
    settings = read_bake_settings(variables)
    named = (settings.template_arns, settings.role_arns, settings.key_arns, settings.trusted_accounts)
    assert set(named) == {("one", "two")}
    assert settings.machine
    assert not settings.cycles


def test_every_way_in_which_a_bake_ends_badly_sounds_an_alarm_but_an_operators_cancel() -> None:
    expression, *metrics = ALARMS["BakeFailedAlarm"]["Metrics"]
    assert expression["Expression"] == "SUM(METRICS())"
    found = {each["MetricStat"]["Metric"]["MetricName"]: each["MetricStat"]["Metric"] for each in metrics}
    assert found.keys() == {"ImagesFailed", "ExecutionsTimedOut"}
    assert found.pop("ImagesFailed")["Dimensions"] == [{"Name": "service", "Value": "bake"}]
    for each in found.values():
        assert target(each["Dimensions"][0]["Value"]) == "BakeStateMachine"
