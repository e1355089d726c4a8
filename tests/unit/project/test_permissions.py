"""What each function may do, and what else nobody may."""

from __future__ import annotations

import pytest

from rollcall.domain import bake_tags
from rollcall.domain.settings import OPT_IN_TAG, PINNED_TAG
from unit.project.template import (
    CONDITIONS,
    FED,
    NO_VALUE,
    PARAMETERS,
    POLICIES,
    RESOURCES,
    ROLES,
    Json,
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
SEES_VERSIONS = {"autoscaling:DescribeInstanceRefreshes", "ec2:DescribeLaunchTemplateVersions"}
READS_CYCLES = {*SEES_VERSIONS, "states:DescribeExecution"}
STARTS_CYCLES = {"states:StartExecution", "states:ListExecutions", "lambda:InvokeFunction"}
REPLACES_INSTANCES = {
    "autoscaling:StartInstanceRefresh",
    "autoscaling:CancelInstanceRefresh",
    "autoscaling:RollbackInstanceRefresh",
    "autoscaling:UpdateAutoScalingGroup",
}
RECORDS_PINS = {"autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags"}
MAY_LAUNCH = {"ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"}
STARTS_BAKES = {"states:StartExecution", "states:ListExecutions", "lambda:InvokeFunction"}
READS_BAKES = {"states:DescribeExecution"}
ENDS_WHAT_IT_MADE = {
    "ec2:StopInstances",
    "ec2:TerminateInstances",
    "ec2:DisableImage",
    "ec2:DeregisterImage",
    "ec2:DeleteSnapshot",
}
MAKES_VERSIONS = {"ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplateVersions", "ec2:ModifyLaunchTemplate"}
READS_DEFAULT_KEY = {"ec2:GetEbsDefaultKmsKeyId", "ec2:GetEbsEncryptionByDefault"}  # settings of an account
FINDS_REFERENCES = {  # beside what is described anyway; by EC2 in the function's name
    *("imagebuilder:GetContainerRecipe", "imagebuilder:ListContainerRecipes", "imagebuilder:ListImageRecipes"),
    "ssm:GetParameters",
}
USES_KEYS = {
    *("kms:DescribeKey", "kms:GetKeyPolicy", "kms:ListGrants", "kms:CreateGrant", "kms:Decrypt"),
    *("kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
}
DELIVERS_LOGS = {  # of a state machine; these know no resources (Step Functions developer guide, "Logging")
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}
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
        *(EVERY_FUNCTION | SENDS | READS_GROUPS | READS_INSTANCES | READS_WARM_POOLS | PUBLISHES | READS_CYCLES),
        *STARTS_CYCLES,
        "autoscaling:DescribeScalingActivities",
        "autoscaling:RecordLifecycleActionHeartbeat",
        "ec2:DescribeInstanceAttribute",
    },
    "CycleRole": {
        *(EVERY_FUNCTION | READS_GROUPS | READS_WARM_POOLS | PUBLISHES | SEES_VERSIONS),
        *(REPLACES_INSTANCES | RECORDS_PINS | MAY_LAUNCH),
        "autoscaling:DescribeNotificationConfigurations",
        "autoscaling:DescribeScalingActivities",
        "cloudwatch:DescribeAlarms",
        "ec2:DescribeSubnets",
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
        "logs:FilterLogEvents",
        "sns:ListSubscriptionsByTopic",
        "ssm:GetParameters",
        "states:GetExecutionHistory",
        "states:ListExecutions",
    },
    "CycleStateMachineRole": {"lambda:InvokeFunction", *DELIVERS_LOGS},
    "BakeStateMachineRole": {
        *{"lambda:InvokeFunction", "states:StartExecution", "states:DescribeExecution", "states:StopExecution"},
        *{"events:PutTargets", "events:PutRule", "events:DescribeRule"},
        *DELIVERS_LOGS,
    },
    "BakeRole": {
        *(EVERY_FUNCTION | PUBLISHES | MAY_LAUNCH | ENDS_WHAT_IT_MADE | MAKES_VERSIONS | USES_KEYS),
        *(READS_DEFAULT_KEY | FINDS_REFERENCES),
        *(READS_GROUPS | READS_INSTANCES | READS_WARM_POOLS),
        "ec2:CreateImage",
        "autoscaling:DescribeInstanceRefreshes",
        "autoscaling:DescribeLaunchConfigurations",
        "ec2:DescribeFleets",
        "ec2:DescribeSpotFleetRequests",
        "ec2:DescribeImageAttribute",
        "ec2:DescribeImageReferences",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceStatus",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSnapshots",
        "ec2:DescribeSubnets",
        "ssm:DescribeParameters",
        "ssm:GetParameters",
        "states:GetExecutionHistory",
        "states:ListExecutions",
        "lambda:InvokeFunction",
    },
    "DoctorRole": {
        *(EVERY_FUNCTION | READS_GROUPS | READS_WARM_POOLS | PUBLISHES),
        *{"autoscaling:DescribeInstanceRefreshes", "states:DescribeExecution"},
        "autoscaling:DescribeNotificationConfigurations",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "ec2:DescribeLaunchTemplates",
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
    "CycleRole": set(),
    "CycleStateMachineRole": set(),
    "BakeStateMachineRole": set(),
    "BakeRole": set(),
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
        if "*" in as_list(statement["Resource"]) and statement["Sid"] != "FindReferences":
            actions = set(as_list(statement["Action"])) - DELIVERS_LOGS - READS_DEFAULT_KEY
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
    workflows = ("CycleRole", "BakeRole", "BakeStateMachineRole")  # whose conditions have their own tests
    conditional = {role: own for role in ROLES if role not in workflows and (own := conditional_statements(role))}
    assert list(conditional) == ["RegisterRole", "ReconcileRole"]
    assert is_switch("ReadsUserData", "UserData")
    for [(condition, allowed, otherwise)] in conditional.values():
        assert condition == "ReadsUserData"
        assert otherwise == NO_VALUE
        assert isinstance(allowed, dict)
        assert allowed["Resource"]["Fn::Sub"].endswith(":instance/*")
    assert [role for role in ROLES if "ec2:DescribeInstanceAttribute" in actions_of(role)] == list(conditional)


def test_only_the_gate_may_touch_load_balancers_where_they_are_asked_for_and_only_doctor_and_cycle_read_them() -> None:
    service = "elasticloadbalancing:"
    actions = {role: {each.removeprefix(service) for each in actions_of(role) if service in each} for role in ROLES}
    assert {role: own for role, own in actions.items() if own} == {
        "GateRole": {"RegisterTargets", "DeregisterTargets", "DescribeTargetGroups", "DescribeTargetHealth"},
        "CycleRole": {"DescribeTargetGroups", "DescribeTargetHealth"},
        "DoctorRole": {"DescribeTargetGroups"},
    }
    assert is_switch("UsesLoadBalancers", "LoadBalancers")
    assert {name for name, own in POLICIES.items() if service in str(own)} == conditional_on("UsesLoadBalancers")
    assert [role for role in ROLES if service in str(RESOURCES[role])] == ["CycleRole"]


CYCLING = {"states:StartExecution", *REPLACES_INSTANCES, *RECORDS_PINS, *MAY_LAUNCH}


def test_a_stack_without_cycles_may_do_nothing_that_only_they_need() -> None:
    """Which permissions there are then: of roles and policies that are there, those under no condition of cycles."""
    assert is_switch("RunsCycles", "Cycles")
    assert is_switch("RunsBakes", "Bakes")
    own = conditional_on("RunsCycles")
    assert {"CycleRole", "CycleStateMachineRole", "CyclesPolicy", "ReconcileCyclesPolicy", "DoctorCyclesPolicy"} <= own
    own |= conditional_on("RunsBakes")
    left = {role: document for role, document in ROLES.items() if role not in own}
    left |= {policy: document for policy, document in POLICIES.items() if policy not in own}
    for name, document in left.items():
        assert not [each for each in sorted(CYCLING | READS_CYCLES | STARTS_CYCLES) if each in str(document)], name


def statement_of(role: str, action: str) -> Json:
    [found] = [each for each in statements_of(role) if action in as_list(each["Action"])]
    return found


def by_sid(role: str) -> dict[str, Json]:
    return {each["Sid"]: each for each in statements_of(role)}


def kinds_of(statement: Json) -> set[str]:
    """The kinds of resources that a statement is about: what stands before the name in their ARNs."""
    arns = [str(each["Fn::Sub"]) for each in as_list(statement["Resource"])]
    return {each.rpartition(":")[2].partition("/")[0] for each in arns}


def test_only_groups_that_opted_in_are_cycled_and_no_tag_is_written_but_that_of_a_pin() -> None:
    """Auto Scaling knows the tags of a group as autoscaling:ResourceTag (service authorization reference)."""
    opted_in = {f"autoscaling:ResourceTag/{OPT_IN_TAG}": "false"}
    for action in sorted(REPLACES_INSTANCES):
        assert statement_of("CycleRole", action)["Condition"] == {"Null": opted_in}
    for action in sorted(RECORDS_PINS):
        assert statement_of("CycleRole", action)["Condition"] == {
            "Null": {**opted_in, "aws:TagKeys": "false"},
            "ForAllValues:StringEquals": {"aws:TagKeys": [PINNED_TAG]},
        }


def test_launches_are_permitted_from_launch_templates_alone_and_tags_only_with_them() -> None:
    launching = statement_of("CycleRole", "ec2:RunInstances")
    assert launching["Condition"]["ArnLike"]["ec2:LaunchTemplate"]["Fn::Sub"].endswith(":launch-template/*")
    shared = {each["Fn::Sub"].rpartition(":")[2] for each in launching["Resource"] if ":*:" in each["Fn::Sub"]}
    assert shared == {"subnet/*", "security-group/*"}, "those that a VPC's owner shares with other accounts"
    tagging = statement_of("CycleRole", "ec2:CreateTags")["Condition"]
    assert tagging == {"StringEquals": {"ec2:CreateAction": "RunInstances"}}


def test_roles_are_passed_on_only_where_they_are_named_and_to_ec2_alone() -> None:
    condition, passing, otherwise = next(
        each for each in conditional_statements("CycleRole") if "iam:PassRole" in str(each)
    )
    assert isinstance(passing, dict)
    assert (condition, otherwise) == ("PassesRoles", NO_VALUE)
    assert passing["Resource"] == {"Ref": "PassableRoleArns"}
    services = passing["Condition"]["StringEquals"]["iam:PassedToService"]
    assert [each.split(".")[0] for each in services] == ["ec2", "ec2"]


# Bakes

BAKES = by_sid("BakeRole")
OURS = {f"aws:ResourceTag/{bake_tags.MADE_BY}": bake_tags.MADE_BY_BAKE}
MADE_AS_OURS = {f"aws:RequestTag/{bake_tags.MADE_BY}": bake_tags.MADE_BY_BAKE}


def test_a_stack_without_bakes_may_do_nothing_that_only_they_need() -> None:
    own = conditional_on("RunsBakes")
    assert {"BakeRole", "BakeStateMachineRole", "BakesPolicy", "ReconcileBakesPolicy"} <= own
    left = {role: document for role, document in ROLES.items() if role not in own}
    left |= {policy: document for policy, document in POLICIES.items() if policy not in own}
    needed = {"ec2:CreateImage", *ENDS_WHAT_IT_MADE, *MAKES_VERSIONS, *USES_KEYS}
    for name, document in left.items():
        assert not [each for each in sorted(needed) if each in str(document)], name
        assert "Bake" not in str(without(document, "RunsBakes")), name


def without(document: object, condition: str) -> object:
    """A part of the template as it is where a condition does not hold."""
    if isinstance(document, list):
        return [without(each, condition) for each in document]
    if not isinstance(document, dict):
        return document
    if "Fn::If" in document and document["Fn::If"][0] == condition:
        return without(document["Fn::If"][2], condition)
    return {key: without(value, condition) for key, value in document.items()}


def test_what_a_bake_launches_or_makes_has_its_tag_and_only_that_may_be_ended_or_deleted() -> None:
    assert BAKES["LaunchInstances"]["Condition"] == {"StringEquals": MADE_AS_OURS}
    assert kinds_of(BAKES["LaunchInstances"]) == {"instance", "volume"}
    assert BAKES["MakeImages"]["Condition"] == {"StringEquals": MADE_AS_OURS}
    assert kinds_of(BAKES["MakeImages"]) == {"image", "snapshot"}
    for sid in ("ImageBuilders", "RetireImages"):
        assert BAKES[sid]["Condition"] == {"StringEquals": OURS}, sid
    of_no_group = {"aws:ResourceTag/aws:autoscaling:groupName": "true"}
    for sid in ("StopBuilders", "TerminateInstances"):
        assert BAKES[sid]["Condition"] == {"StringEquals": OURS, "Null": of_no_group}, sid
    ending = {
        action
        for sid in ("StopBuilders", "TerminateInstances", "RetireImages")
        for action in as_list(BAKES[sid]["Action"])
    }
    assert ending == ENDS_WHAT_IT_MADE
    for action in ENDS_WHAT_IT_MADE:
        assert statement_of("BakeRole", action)["Sid"] in ("StopBuilders", "TerminateInstances", "RetireImages")


def test_a_builder_is_launched_from_images_of_named_owners_and_into_what_only_stands_there() -> None:
    launching = [each for each in statements_of("BakeRole") if "ec2:RunInstances" in as_list(each["Action"])]
    assert [each["Sid"] for each in launching] == ["LaunchInstances", "LaunchFromImages", "LaunchInto"]
    trusted = {"Fn::Join": [",", {"Ref": "TrustedImageAccounts"}]}
    owners = {"Fn::Split": [",", {"Fn::Join": [",", ["amazon", {"Ref": "AWS::AccountId"}, trusted]]}]}
    assert BAKES["LaunchFromImages"]["Condition"] == {"StringEquals": {"ec2:Owner": owners}}
    assert kinds_of(BAKES["LaunchFromImages"]) == {"image"}
    assert kinds_of(BAKES["LaunchInto"]) == {"network-interface", "key-pair", "subnet", "security-group"}
    assert "launch-template" not in str(launching), "production's tags and user data would come along"


def test_a_bake_works_in_its_own_region_and_account_but_for_what_a_vpc_shares() -> None:
    """ARNs of images and snapshots have no account; subnets and security groups may be shared by another one."""
    own = "arn:${AWS::Partition}:ec2:${AWS::Region}:"
    account = {"image": "", "snapshot": "", "subnet": "*", "security-group": "*"}
    named = [
        each["Fn::Sub"]
        for statement in statements_of("BakeRole")
        for each in as_list(statement["Resource"])
        if isinstance(each, dict) and ":ec2:" in str(each.get("Fn::Sub", ""))
    ]
    assert len(named) > 15
    for each in named:
        kind = each.rpartition(":")[2].partition("/")[0]
        assert each == f"{own}{account.get(kind, '${AWS::AccountId}')}:{kind}/*"


def test_tags_are_given_as_something_is_made_or_to_images_that_are_ours_and_then_only_our_own() -> None:
    tagging = [each for each in statements_of("BakeRole") if "ec2:CreateTags" in as_list(each["Action"])]
    made, kept = (each["Condition"] for each in tagging)
    assert made == {"StringEquals": {"ec2:CreateAction": ["RunInstances", "CreateImage"]}}
    assert kept == {"StringEquals": OURS, "ForAllValues:StringLike": {"aws:TagKeys": "rollcall:*"}}
    assert kinds_of(tagging[1]) == {"image", "snapshot"}


def test_versions_are_made_of_templates_that_say_so_or_are_named() -> None:
    own, named = BAKES["MakeVersions"], BAKES["MakeNamedVersions"]
    assert set(own["Action"]) == set(named["Action"]) == MAKES_VERSIONS
    tag = {f"aws:ResourceTag/{bake_tags.TEMPLATE_TAG}": bake_tags.TEMPLATE_ALLOWED}
    assert own["Condition"] == {"StringEquals": tag}
    assert kinds_of(own) == {"launch-template"}
    assert named["Resource"] == {"Ref": "BakeTemplateArns"}


@pytest.mark.parametrize(
    ("sid", "condition", "parameter"),
    [
        ("MakeNamedVersions", "BakesNamedTemplates", "BakeTemplateArns"),
        ("PassRoles", "PassesBakeRoles", "BakeRoleArns"),
        ("ReadKeys", "UsesKeys", "KmsKeyArns"),
        ("UseKeys", "UsesKeys", "KmsKeyArns"),
        ("GrantKeys", "UsesKeys", "KmsKeyArns"),
    ],
)
def test_templates_roles_and_keys_are_permitted_only_where_they_are_named(
    sid: str, condition: str, parameter: str
) -> None:
    [(own, statement, otherwise)] = [
        each for each in conditional_statements("BakeRole") if isinstance(each[1], dict) and each[1]["Sid"] == sid
    ]
    assert isinstance(statement, dict)
    assert (own, otherwise, statement["Resource"]) == (condition, NO_VALUE, {"Ref": parameter})
    named = {"Fn::Join": ["", {"Ref": parameter}]}
    assert CONDITIONS[condition] == {"Fn::Not": [{"Fn::Equals": [named, ""]}]}
    assert PARAMETERS[parameter]["Default"] == ""


def test_a_key_is_used_through_ec2_alone_and_granted_to_aws_alone() -> None:
    assert BAKES["GrantKeys"]["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    assert BAKES["UseKeys"]["Condition"]["StringLike"]["kms:ViaService"].startswith("ec2.")
    assert BAKES["ReadEbsKey"]["Action"] == "kms:DescribeKey"
    assert BAKES["ReadEbsKey"]["Condition"] == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/aws/ebs"}}
    services = BAKES["PassRoles"]["Condition"]["StringEquals"]["iam:PassedToService"]
    assert [each.split(".")[0] for each in services] == ["ec2", "ec2"]


def test_of_what_refers_to_an_image_ec2_alone_reads_more_than_its_name() -> None:
    """What the EC2 user guide names for DescribeImageReferences, beside what bakes may describe themselves."""
    found = BAKES["FindReferences"]
    assert set(as_list(found["Action"])) == FINDS_REFERENCES
    assert found["Condition"] == {"ForAnyValue:StringEquals": {"aws:CalledVia": ["ec2-images.amazonaws.com"]}}


def test_a_bake_asks_the_cycle_function_and_no_other_where_there_is_one() -> None:
    [(condition, statement, otherwise)] = [
        each["Fn::If"]
        for each in POLICIES["BakesPolicy"]["PolicyDocument"]["Statement"]
        if "Fn::If" in each and "lambda:InvokeFunction" in str(each)
    ]
    assert (condition, target(statement["Resource"]), otherwise) == ("RunsCycles", "CycleFunction", NO_VALUE)


def test_reconcile_launches_and_ends_nothing_itself_it_starts_bakes_and_hands_on() -> None:
    [statement] = [POLICIES["ReconcileBakesPolicy"]["PolicyDocument"]["Statement"]]
    actions = {action for each in statement for action in as_list(each["Action"])}
    assert actions == STARTS_BAKES | READS_BAKES | {"autoscaling:DescribeInstanceRefreshes"}


def test_every_condition_of_a_permission_is_one_of_the_template() -> None:
    used = {str(own[0]) for role in ROLES for own in conditional_statements(role)}
    used |= {RESOURCES[policy]["Condition"] for policy in POLICIES}
    assert used <= CONDITIONS.keys()
