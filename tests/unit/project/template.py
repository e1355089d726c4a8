"""template.yaml, read once, and how its parts refer to each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator

type Json = dict[str, Any]

REPOSITORY = Path(__file__).parents[3]
TEXT = (REPOSITORY / "template.yaml").read_text()
TEMPLATE: Json = yaml_parse(TEXT)
PARAMETERS: dict[str, Json] = TEMPLATE["Parameters"]
CONDITIONS: dict[str, Json] = TEMPLATE["Conditions"]
RESOURCES: dict[str, Json] = TEMPLATE["Resources"]
SHARED: Json = TEMPLATE["Globals"]["Function"]
NO_VALUE = {"Ref": "AWS::NoValue"}
DAY = 86_400  # seconds


def of_type(kind: str) -> dict[str, Json]:
    """Properties of the resources of a type, by logical id."""
    return {name: each.get("Properties", {}) for name, each in RESOURCES.items() if each["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
STATE_MACHINES = of_type("AWS::Serverless::StateMachine")
RULES = of_type("AWS::Events::Rule")
QUEUES = of_type("AWS::SQS::Queue")
QUEUE_POLICIES = of_type("AWS::SQS::QueuePolicy")
ROLES = of_type("AWS::IAM::Role")
POLICIES = of_type("AWS::IAM::Policy")
LOG_GROUPS = of_type("AWS::Logs::LogGroup")
ALARMS = of_type("AWS::CloudWatch::Alarm")
[HEALTH_ALARM] = of_type("AWS::CloudWatch::CompositeAlarm")
WORK_QUEUES = {name: each for name, each in QUEUES.items() if "DeadLetter" not in name}
SCHEDULED = ("ReconcileFunction", "DoctorFunction")
INVOKED = ("CycleFunction", "BakeFunction")  # each by a state machine, and a rule
MADE_UP_FOR = (
    "CycleStoppedRule",
    "BakeStoppedRule",
)  # rules that feed no queue: reconcile does what an event that is lost would have
FED = [name for name in FUNCTIONS if name not in (*SCHEDULED, *INVOKED, "AlertFunction")]  # with lifecycle actions


def target(value: Json) -> str:
    """The logical id that a Ref or GetAtt speaks of."""
    return str(value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0])


def as_list(value: Any) -> list[Any]:
    """A value of which there may be one, or a list of them."""
    return value if isinstance(value, list) else [value]


def by_default(value: Any) -> Any:
    """What a reference to a parameter with a default stands for."""
    return PARAMETERS.get(value.get("Ref", ""), {}).get("Default", value) if isinstance(value, dict) else value


def only_if(condition: str, value: Any) -> Json:
    """A value where a condition holds, and nothing elsewhere."""
    return {"Fn::If": [condition, value, NO_VALUE]}


def conditional_on(condition: str) -> set[str]:
    """The resources that are there only where a condition holds."""
    return {name for name, each in RESOURCES.items() if each.get("Condition") == condition}


def speaking_of(name: str) -> set[str]:
    """The resources that name a parameter or another resource."""
    return {each for each, resource in RESOURCES.items() if re.search(rf'"{name}[".]', json.dumps(resource))}


def is_switch(condition: str, parameter: str) -> bool:
    """Whether a condition holds where a parameter, off by default, is switched on."""
    own = PARAMETERS[parameter]
    return CONDITIONS[condition] == {"Fn::Equals": [{"Ref": parameter}, "true"]} and own["Default"] == "false"


def is_presence(condition: str, parameter: str) -> bool:
    """Whether a condition holds where a parameter, empty by default, is given."""
    own = PARAMETERS[parameter]
    return CONDITIONS[condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]} and own["Default"] == ""


# Functions


def source_of(function: str) -> Json:
    """The properties of the event source that feeds a function from its queue."""
    [event] = [each for each in FUNCTIONS[function]["Events"].values() if each["Type"] == "SQS"]
    properties: Json = event["Properties"]
    return properties


def schedule_of(function: str) -> Json:
    """The properties of the schedule that runs a function."""
    [event] = [each for each in FUNCTIONS[function]["Events"].values() if each["Type"] == "ScheduleV2"]
    properties: Json = event["Properties"]
    return properties


def event_id(function: str, kind: str) -> str:
    """The logical id that SAM gives a function's event of a type: the function's and the event's names."""
    [event] = [event for event, each in FUNCTIONS[function]["Events"].items() if each["Type"] == kind]
    return f"{function}{event}"


def variables_of(function: str) -> Json:
    """The environment of a function."""
    own: Json = FUNCTIONS[function].get("Environment", {"Variables": {}})["Variables"]
    shared: Json = SHARED["Environment"]["Variables"]
    return shared | own


def timeout_of(function: str) -> int:
    """Seconds after which Lambda ends a function."""
    return int((SHARED | FUNCTIONS[function])["Timeout"])


def dead_letters_of(queue: str) -> str:
    """The dead-letter queue of a queue."""
    return target(QUEUES[queue]["RedrivePolicy"]["deadLetterTargetArn"])


# Permissions


def statements() -> Iterator[tuple[str, Json]]:
    """Every statement of the functions' policies, with its role; those that depend on a parameter, too."""
    policies = [(role, each) for role, own in ROLES.items() for each in own["Policies"]]
    policies += [(target(role), each) for each in POLICIES.values() for role in each["Roles"]]
    for role, policy in policies:
        for statement in policy["PolicyDocument"]["Statement"]:
            _, statement, _ = statement.get("Fn::If", (None, statement, None))
            yield role, statement


def statements_of(role: str) -> list[Json]:
    """Every statement about what one role may do."""
    return [statement for own, statement in statements() if own == role]


def actions_of(role: str) -> set[str]:
    """Everything that a role may do, to whatever resource."""
    return {action for statement in statements_of(role) for action in as_list(statement["Action"])}


def queue_of(policy: str) -> str:
    """The only queue that a queue's policy is about."""
    [queue] = QUEUE_POLICIES[policy]["Queues"]
    return target(queue)


# Alarms


def alarms_on_queues(metric: str) -> dict[str, Json]:
    """The alarms on a metric of SQS, by the queue that they watch."""
    return {
        target(each["Dimensions"][0]["Value"]): each for each in ALARMS.values() if each.get("MetricName") == metric
    }
