"""What each function may do, and what else nobody may."""

from __future__ import annotations

import pytest

from unit.project.template import (
    CONDITIONS,
    FED,
    NO_VALUE,
    POLICIES,
    RESOURCES,
    ROLES,
    actions_of,
    as_list,
    conditional_on,
    is_switch,
    source_of,
    statements,
    statements_of,
    target,
)

EVERY_FUNCTION = {"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue"}
RECEIVES = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}
SENDS = {"sqs:SendMessage"}
READS_GROUPS = {"autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLifecycleHooks"}
READS_INSTANCES = {"autoscaling:DescribeAutoScalingInstances", "ec2:DescribeInstances"}
READS_WARM_POOLS = {"autoscaling:DescribeWarmPool"}
ANSWERS_HOOKS = {"autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"}
PUBLISHES = {"events:PutEvents"}
WORKS_ON_ACTIONS = EVERY_FUNCTION | RECEIVES | SENDS | READS_GROUPS | READS_INSTANCES | ANSWERS_HOOKS | PUBLISHES
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
        *(EVERY_FUNCTION | SENDS | READS_GROUPS | READS_INSTANCES | READS_WARM_POOLS | PUBLISHES),
        "autoscaling:DescribeScalingActivities",
        "autoscaling:RecordLifecycleActionHeartbeat",
        "ec2:DescribeInstanceAttribute",
    },
    "DoctorRole": {
        *(EVERY_FUNCTION | READS_GROUPS | READS_WARM_POOLS | PUBLISHES),
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
        *(EVERY_FUNCTION | RECEIVES | SENDS),
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Scan",
    },
}
SENDABLE = {  # with retire jobs
    "RegisterRole": {"GateQueue", "LaunchDeadLetterQueue"},
    "GateRole": {"GateQueue", "GateDeadLetterQueue", "TerminateQueue"},
    "CleanupRole": {"TerminateQueue", "TerminateDeadLetterQueue", "GateQueue"},
    "ReconcileRole": {"LaunchQueue", "TerminateQueue"},
    "DoctorRole": set(),
    "AlertRole": {"AlertDeadLetterQueue"},
}


def conditional_statements(role: str) -> list[list[object]]:
    """The arguments of Fn::If of a role's own statements that depend on a parameter."""
    [policy] = ROLES[role]["Policies"]
    return [each["Fn::If"] for each in policy["PolicyDocument"]["Statement"] if "Fn::If" in each]


def sendable(role: str) -> set[str]:
    """The queues that a role may send to."""
    return {
        target(queue)
        for statement in statements_of(role)
        if "sqs:SendMessage" in as_list(statement["Action"])
        for queue in as_list(statement["Resource"])
    }


# All that a function may do


def test_a_role_permits_what_its_function_calls_and_nothing_else() -> None:
    """The embedded cloud enforces no permissions: one that is missing, or that nobody needs, shows only here."""
    assert {role: actions_of(role) for role in ROLES} == PERMITTED


def test_no_function_may_do_more_than_what_is_named() -> None:
    assert [(role, each) for role in ROLES for each in actions_of(role) if "*" in each] == []


def test_only_describing_is_allowed_on_everything() -> None:
    for role, statement in statements():
        if "*" in as_list(statement["Resource"]):
            actions = as_list(statement["Action"])
            assert all(action.split(":")[1].startswith("Describe") for action in actions), f"{role}: {actions}"


@pytest.mark.parametrize("role", ["RegisterRole", "GateRole", "CleanupRole", "ReconcileRole"])
def test_whoever_deletes_or_answers_may_read_the_state_in_every_installation(role: str) -> None:
    """Nothing goes on a message's word, with Chef and retire jobs or without them."""
    [policy] = ROLES[role]["Policies"]
    always = [each for each in policy["PolicyDocument"]["Statement"] if "Fn::If" not in each]
    assert {action for each in always for action in as_list(each["Action"])} >= READS_GROUPS | READS_INSTANCES


def test_hooks_may_be_answered_whatever_tags_their_group_has() -> None:
    answering = [
        statement
        for _, statement in statements()
        if "autoscaling:CompleteLifecycleAction" in as_list(statement["Action"])
    ]
    assert len(answering) == len(FED)
    assert all("Condition" not in statement for statement in answering)


def test_doctor_reads_publishes_and_remembers_what_it_published_and_does_nothing_else() -> None:
    reading = {each for each in actions_of("DoctorRole") if each.split(":")[1].startswith(("Describe", "Get", "List"))}
    assert actions_of("DoctorRole") - reading == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "events:PutEvents",
        "dynamodb:PutItem",
    }


# Queues


def test_a_function_may_only_take_from_its_own_queue() -> None:
    for role, statement in statements():
        if "sqs:ReceiveMessage" in as_list(statement["Action"]):
            function = role.replace("Role", "Function")
            assert target(statement["Resource"]) == target(source_of(function)["Queue"])


def test_a_function_may_send_to_the_queues_it_hands_something_to_and_to_its_own_dead_letters() -> None:
    assert {role: sendable(role) for role in ROLES} == SENDABLE


# What only some installations permit


def test_only_where_jobs_retire_instances_do_gate_and_cleanup_hand_them_to_each_other() -> None:
    assert is_switch("RunsRetireJobs", "RetireJobs")
    [policy] = conditional_on("RunsRetireJobs")
    assert POLICIES[policy]["Roles"] == [{"Ref": "CleanupRole"}, {"Ref": "GateRole"}]
    assert "TerminateQueue" in sendable("GateRole")
    assert "TerminateQueue" not in str(RESOURCES["GateRole"])
    assert "GateQueue" not in str(RESOURCES["CleanupRole"])


def test_user_data_may_be_read_only_where_it_is_asked_for_and_of_instances_alone() -> None:
    conditional = {role: conditional_statements(role) for role in ROLES if conditional_statements(role)}
    assert list(conditional) == ["RegisterRole", "ReconcileRole"]
    assert is_switch("ReadsUserData", "UserData")
    for [(condition, allowed, otherwise)] in conditional.values():
        assert condition == "ReadsUserData"
        assert otherwise == NO_VALUE
        assert isinstance(allowed, dict)
        assert allowed["Resource"]["Fn::Sub"].endswith(":instance/*")
    assert [role for role in ROLES if "ec2:DescribeInstanceAttribute" in actions_of(role)] == list(conditional)


def test_only_the_gate_may_touch_load_balancers_and_only_doctor_reads_them_too_where_they_are_asked_for() -> None:
    service = "elasticloadbalancing:"
    actions = {role: {each.removeprefix(service) for each in actions_of(role) if service in each} for role in ROLES}
    assert {role: own for role, own in actions.items() if own} == {
        "GateRole": {"RegisterTargets", "DeregisterTargets", "DescribeTargetGroups", "DescribeTargetHealth"},
        "DoctorRole": {"DescribeTargetGroups"},
    }
    assert is_switch("UsesLoadBalancers", "LoadBalancers")
    assert {name for name, own in POLICIES.items() if service in str(own)} == conditional_on("UsesLoadBalancers")
    assert not any(service in str(RESOURCES[role]) for role in ROLES)


def test_every_condition_of_a_permission_is_one_of_the_template() -> None:
    used = {str(own[0]) for role in ROLES for own in conditional_statements(role)}
    used |= {RESOURCES[policy]["Condition"] for policy in POLICIES}
    assert used <= CONDITIONS.keys()
