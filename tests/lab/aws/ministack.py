"""The seam to MiniStack: its private names that we read or call are in this file, those that we replace in the modules
of patches.

MiniStack gives us EC2, EventBridge, SQS, Lambda, CloudFormation and the rest. It has no Auto Scaling lifecycle, all
targets of its load balancers are healthy, and its SQS event sources differ from AWS (`lab.autoscaling`,
`lab.target_groups`, `lab.event_source` say how); these three are ours and reach MiniStack through the functions below.
No other file knows a private name.
The version is pinned in tests/requirements.in. `drift` lists the names that moved or changed their parameters; the
server refuses to start while there are any.

All functions expect to run on the server's event loop: MiniStack's own request handlers run there one at a time, so
nothing here needs a lock. `invoke` alone blocks and takes a thread of its own.
"""

import inspect
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from ministack.core import concurrency, lambda_runtime, responses
from ministack.core.arn import parse_arn
from ministack.services import alb, autoscaling, cloudwatch, ec2, eventbridge, lambda_svc, scheduler, sns, sqs
from ministack.services.cloudformation import provisioners

from lab.aws.control import Machine

Record = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]

EXPECTED = {
    "ministack.core.concurrency.run_reentrant": "(fn, *args, thread_name: str = 'ministack-reentrant')",
    "ministack.core.lambda_runtime.reset": "()",
    "ministack.core.lambda_runtime.kill_workers": "(workers) -> None",
    "ministack.core.lambda_runtime._lock": "lock",
    "ministack.core.lambda_runtime._workers": "dict",
    "ministack.core.lambda_runtime.subprocess": "module",
    "ministack.core.lambda_runtime.zipfile": "module",
    "ministack.core.arn.parse_arn": "(value: str) -> ministack.core.arn.Arn",
    "ministack.core.iam_evaluator.EvalContext": (
        "(principal_arn: str, principal_type: str, principal_account: str, action: str, resource_arn: str, region: str,"
        " source_ip: str = <factory>, secure_transport: bool = <factory>, request_tags: dict[str, str] = <factory>,"
        " tag_keys: list[str] = <factory>, service_context: dict[str, typing.Any] = <factory>,"
        " principal_keys: dict[str, typing.Any] = <factory>) -> None"
    ),
    "ministack.core.iam_evaluator._CONDITION_OPS": "dict",
    "ministack.core.iam_evaluator._gather_role_policies": (
        "(role_name: str, account_id: str) -> list[list[ministack.core.iam_evaluator.ParsedStatement]]"
    ),
    "ministack.core.iam_evaluator.evaluate": (
        "(ctx: ministack.core.iam_evaluator.EvalContext,"
        " policies: list[list[ministack.core.iam_evaluator.ParsedStatement]],"
        " *limits: list[list[ministack.core.iam_evaluator.ParsedStatement]])"
        " -> ministack.core.iam_evaluator.EvalResult"
    ),
    "ministack.core.iam_evaluator.evaluate_resource_policy": (
        "(doc: str | dict | None, ctx: ministack.core.iam_evaluator.EvalContext, service: str | None = None,"
        " named_only: bool = False, direct_only: bool = False) -> ministack.core.iam_evaluator.EvalResult"
    ),
    "ministack.core.iam_evaluator.fnmatch_iam_cs": "(value: str, pattern: str) -> bool",
    "ministack.core.responses.error_response_json": (
        "(code: str, message: str, status: int = 400, extra: dict | None = None, *, message_key: str = 'message',"
        " content_type: str = 'application/x-amz-json-1.0') -> tuple"
    ),
    "ministack.core.responses.get_account_id": "() -> str",
    "ministack.core.responses.get_region": "() -> str",
    "ministack.core.responses.json_response": (
        "(data: dict, status: int = 200, *, content_type: str = 'application/x-amz-json-1.0') -> tuple"
    ),
    "ministack.core.responses.now_iso": "() -> str",
    "ministack.core.responses.request_scope": "(account_id: str, region: str)",
    "ministack.core.responses.AccountRegionScopedDict.all_items": "(self)",
    "ministack.services.alb._ACTION_MAP": "dict",
    "ministack.services.alb._error": "(code, message, status=400)",
    "ministack.services.alb._p": "(params, key, default='')",
    "ministack.services.alb._parse_targets_param": "(params, prefix='Targets')",
    "ministack.services.alb._tg_attrs": "AccountScopedDict",
    "ministack.services.alb._tgs": "AccountRegionScopedDict",
    "ministack.services.alb._xml": "(status, action, inner)",
    "ministack.services.autoscaling._ACTION_MAP": "dict",
    "ministack.services.autoscaling._asgs": "AccountRegionScopedDict",
    "ministack.services.autoscaling._create_asg": "(p)",
    "ministack.services.autoscaling._delete_asg": "(p)",
    "ministack.services.autoscaling._error": "(code, message, status=400)",
    "ministack.services.autoscaling._hook_record": "(asg_name, hook_name, fields)",
    "ministack.services.autoscaling._hooks": "AccountRegionScopedDict",
    "ministack.services.autoscaling._member_xml": "(value)",
    "ministack.services.autoscaling._parse_member_list": "(params, prefix)",
    "ministack.services.autoscaling._parse_nested": "(params, prefix)",
    "ministack.services.autoscaling._reconcile_instances": "(asg)",
    "ministack.services.autoscaling._update_asg": "(p)",
    "ministack.services.autoscaling._xml": "(status, root_tag, inner)",
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS": "dict",
    "ministack.services.cloudformation.provisioners._asg_create": "(logical_id, props, stack_name)",
    "ministack.services.cloudformation.provisioners._asg_fields": "(props)",
    "ministack.services.cloudformation.provisioners._asg_launch_template": "(spec)",
    "ministack.services.cloudformation.provisioners._asg_update": (
        "(physical_id, old_props, new_props, stack_name, logical_id=None)"
    ),
    "ministack.services.cloudformation.provisioners._cw_metric_alarm_record": "(name, props)",
    "ministack.services.cloudformation.provisioners._lambda_create": "(logical_id, props, stack_name)",
    "ministack.services.cloudformation.provisioners._lambda_update": (
        "(physical_id, old_props, new_props, stack_name, logical_id=None)"
    ),
    "ministack.services.cloudwatch._alarms": "AccountRegionScopedDict",
    "ministack.services.cloudwatch._composite_alarms": "AccountRegionScopedDict",
    "ministack.services.ec2._ACTION_MAP": "dict",
    "ministack.services.ec2._DEFAULT_SUBNET_ID": "str",
    "ministack.services.ec2._INSTANCE_ID_RE": "Pattern",
    "ministack.services.ec2._STUB_AMIS": "list",
    "ministack.services.ec2._parse_member_list": "(params, prefix)",
    "ministack.services.ec2._error": "(code, message, status)",
    "ministack.services.ec2._images": "AccountRegionScopedDict",
    "ministack.services.ec2._instance_xml": "(inst)",
    "ministack.services.ec2._instances": "AccountRegionScopedDict",
    "ministack.services.ec2._key_pairs": "AccountRegionScopedDict",
    "ministack.services.ec2._launch_instances_internal": (
        "(image_id, instance_type, subnet_id, count, key_name='', user_data='', sg_ids=None,"
        " requested_private_ip=None, iam_profile=None)"
    ),
    "ministack.services.ec2._launch_templates": "AccountRegionScopedDict",
    "ministack.services.ec2._matches_filters": "(inst, filters)",
    "ministack.services.ec2._new_image_id": "()",
    "ministack.services.ec2._new_snapshot_id": "()",
    "ministack.services.ec2._new_volume_id": "()",
    "ministack.services.ec2._p": "(params, key, default='')",
    "ministack.services.ec2._parse_lt_data": "(params, prefix='LaunchTemplateData')",
    "ministack.services.ec2.parse_qs": (
        "(qs, keep_blank_values=False, strict_parsing=False, encoding='utf-8', errors='replace',"
        " max_num_fields=None, separator='&')"
    ),
    "ministack.services.ec2._resolve_iam_instance_profile": "(iam_arn='', iam_name='', allow_missing=False)",
    "ministack.services.ec2._resolve_launch_template_data": "(spec)",
    "ministack.services.ec2._security_groups": "AccountRegionScopedDict",
    "ministack.services.ec2._snapshot_inner_xml": "(snap)",
    "ministack.services.ec2._snapshots": "AccountRegionScopedDict",
    "ministack.services.ec2._subnets": "AccountRegionScopedDict",
    "ministack.services.ec2._tags": "AccountRegionScopedDict",
    "ministack.services.ec2._volume_inner_xml": "(vol)",
    "ministack.services.ec2._volumes": "AccountRegionScopedDict",
    "ministack.services.ec2._xml": "(status, root_tag, inner)",
    "ministack.services.eventbridge._dispatch_event": "(event, view=None)",
    "ministack.services.eventbridge._dispatch_to_lambda": "(arn, payload)",
    "ministack.services.eventbridge._dispatch_to_sqs": "(spec, payload, sqs_parameters=None)",
    "ministack.services.eventbridge._invoke_target": "(target, event, rule, view=None)",
    "ministack.services.eventbridge._put_events": "(data, allow_aws_source=False)",
    "ministack.services.iam._lookup_instance_profile": "(name='', arn='')",
    "ministack.services.kms._aliases": "AccountRegionScopedDict",
    "ministack.services.kms._create_alias": "(data)",
    "ministack.services.kms._create_key": "(data)",
    "ministack.services.kms._key_metadata": "(rec)",
    "ministack.services.kms._keys": "AccountRegionScopedDict",
    "ministack.services.kms._resolve_key": "(key_id_or_arn)",
    "ministack.services.lambda_svc._apply_filter_criteria": "(records: list[dict], esm: dict) -> list[dict]",
    "ministack.services.lambda_svc._emit_lambda_metrics": (
        "(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None"
    ),
    "ministack.services.lambda_svc._esms": "AccountRegionScopedDict",
    "ministack.services.lambda_svc._execute_function": "(func: dict, event: dict) -> dict",
    "ministack.services.lambda_svc._execution_record_for_config": "(func: dict, config: dict) -> dict",
    "ministack.services.lambda_svc._functions": "AccountRegionScopedDict",
    "ministack.services.lambda_svc._get_func_record_for_qualifier": (
        "(name: str, qualifier: str | None) -> tuple[dict | None, dict | None]"
    ),
    "ministack.services.lambda_svc._get_func_record_for_ref": (
        "(function_ref: str) -> tuple[dict | None, dict | None, str]"
    ),
    "ministack.services.lambda_svc._poll_sqs": "()",
    "ministack.services.lambda_svc._reserved_concurrency": "(func: dict, config: dict) -> int | None",
    "ministack.services.lambda_svc._sqs_message_attributes_to_camel_case": "(attrs: dict) -> dict",
    "ministack.services.lambda_svc._xray_trace_id_for_invocation": (
        "(config: dict, inbound_trace_header: str | None = None) -> str | None"
    ),
    "ministack.services.lambda_svc.invoke_async_with_retry": "(func: dict, event: dict) -> None",
    "ministack.services.scheduler._schedule_last_fired": "dict",
    "ministack.services.scheduler._schedules": "AccountRegionScopedDict",
    "ministack.services.scheduler._tick_schedules": "()",
    "ministack.services.stepfunctions._ExecutionError": "(error, cause)",
    "ministack.services.stepfunctions._add_event": "(execution, event_type, details=None)",
    "ministack.services.stepfunctions._describe_execution": "(data)",
    "ministack.services.stepfunctions._emit_execution_status_event": "(execution) -> None",
    "ministack.services.stepfunctions._executions": "AccountRegionScopedDict",
    "ministack.services.stepfunctions._fail_execution": "(execution, error, cause)",
    "ministack.services.stepfunctions._invoke_nested_start_execution_sync": "(resource, input_data)",
    "ministack.services.stepfunctions._nested_start_execution_request": "(input_data)",
    "ministack.services.stepfunctions._resolve_state_machine_arn": "(arn)",
    "ministack.services.stepfunctions._run_execution": "(exec_arn)",
    "ministack.services.stepfunctions._start_execution": "(data)",
    "ministack.services.stepfunctions._state_machines": "AccountRegionScopedDict",
    "ministack.services.stepfunctions._stop_execution": "(data)",
    "ministack.services.sns.publish_internal": (
        "(topic_arn: str, message, subject: str = '', *, message_structure: str = '',"
        " message_attributes: dict | None = None, message_group_id: str = '',"
        " message_deduplication_id: str = '') -> dict | None"
    ),
    "ministack.services.sqs._Err": "(code: str, message: str, status: int = 400)",
    "ministack.services.sqs._HANDLERS": "dict",
    "ministack.services.sqs._build_send_sys_attrs": "(now: float, sys_attrs_input: dict) -> dict",
    "ministack.services.sqs._delete_messages_for_esm": "(queue_url: str, receipt_handles: set[str]) -> None",
    "ministack.services.sqs._queues": "AccountRegionScopedDict",
    "ministack.services.sqs._queue_by_arn": "(arn: str) -> dict | None",
    "ministack.services.sqs._receive_messages_for_esm": "(queue_url: str, max_number: int) -> list[dict]",
    "ministack.services.sqs.queue_policy_allows": (
        "(queue_arn: str, service: str, source_arn: str, source_account: str) -> bool"
    ),
    "ministack.services.sqs.handle_request": (
        "(method: str, path: str, headers: dict, body: bytes, query_params: dict) -> tuple"
    ),
    "ministack.services.ssm._PUBLIC_AMI_PARAMETERS": "dict",
    "ministack.services.ssm._parameters": "AccountRegionScopedDict",
    "ministack.services.ssm._select_parameter": "(name_or_arn)",
}
"""What we use of MiniStack 1.5.33: a function's signature, or the type of anything else."""

trace_header: ContextVar[str | None] = ContextVar("trace_header", default=None)
"""The trace header of the invocation that is being started."""
dropped: set[str] = set()
"""Detail types of the events that are swallowed."""
hidden: set[str] = set()
"""Instances that EC2 does not know for now."""


def drift() -> list[str]:
    """Return a line for every name of MiniStack that is not what it was in the pinned version."""
    changed = []
    for name, expected in EXPECTED.items():
        found = _shape(name)
        if found != expected:
            changed.append(f"{name}: expected {expected}, found {found}")
    return changed


def _shape(name: str) -> str:
    owner, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(owner), attribute, None)
    except ModuleNotFoundError:
        module, _, class_name = owner.rpartition(".")
        found = getattr(getattr(import_module(module), class_name, None), attribute, None)
    return str(inspect.signature(found)) if callable(found) else type(found).__name__


# Scope: MiniStack keys its stores by the account and Region of the request.


@dataclass(frozen=True)
class Scope:
    """The account and Region that something belongs to."""

    account: str
    region: str


def within(scope: Scope) -> AbstractContextManager[None]:
    """Act for that account and Region, as a request from there would."""
    context: AbstractContextManager[None] = responses.request_scope(scope.account, scope.region)
    return context


def current_scope() -> Scope:
    """Return the account and Region of the request being served."""
    return Scope(responses.get_account_id(), responses.get_region())


# Auto Scaling: groups, hooks, and answers in the query protocol.


def groups() -> list[tuple[Scope, Record]]:
    """Return every Auto Scaling group of every account and Region."""
    return [(Scope(account, region), group) for (account, region, _), group in autoscaling._asgs.all_items()]


def group_named(name: str) -> Record | None:
    """Return a group of the current scope."""
    group: Record | None = autoscaling._asgs.get(name)
    return group


def hooks_of(group: str) -> list[Record]:
    """Return the lifecycle hooks of a group of the current scope."""
    return [hook for hook in autoscaling._hooks.values() if hook["AutoScalingGroupName"] == group]


def put_hooks(group: str, specifications: Iterable[Record]) -> None:
    """Store lifecycle hooks given with their group (LifecycleHookSpecificationList)."""
    for fields in specifications:
        name = fields["LifecycleHookName"]
        autoscaling._hooks[f"{group}/{name}"] = autoscaling._hook_record(group, name, fields)


def own_actions(*names: str) -> dict[str, Callable[[Record], Response]]:
    """Actions of the Auto Scaling API that are MiniStack's own, by name."""
    return {name: autoscaling._ACTION_MAP[name] for name in names}


def create_group(params: Record) -> Response:
    """Store a group as MiniStack does, without instances."""
    response: Response = autoscaling._create_asg(params)
    return response


def update_group(params: Record) -> Response:
    """Change a stored group as MiniStack does."""
    response: Response = autoscaling._update_asg(params)
    return response


def delete_group(params: Record) -> Response:
    """Delete a stored group, its hooks and tags as MiniStack does."""
    response: Response = autoscaling._delete_asg(params)
    return response


def members(params: Record, prefix: str) -> list[str]:
    """Return a list parameter of the query protocol."""
    values: list[str] = autoscaling._parse_member_list(params, prefix)
    return values


def structure(params: Record, prefix: str) -> Any:
    """Return a nested parameter of the query protocol: dicts, and lists where the levels are numbered."""
    return autoscaling._parse_nested(params, prefix)


def answer(action: str, result: Record) -> Response:
    """Return a successful answer in the query protocol."""
    body = f"<{action}Result>{autoscaling._member_xml(result)}</{action}Result>"
    response: Response = autoscaling._xml(200, f"{action}Response", body)
    return response


def refusal(code: str, message: str) -> Response:
    """Return an error in the query protocol."""
    response: Response = autoscaling._error(code, message)
    return response


# EC2 and load balancers.


def ec2_answer(action: str, inner: str) -> Response:
    """Return a successful answer of EC2. inner: the XML inside its response."""
    response: Response = ec2._xml(200, f"{action}Response", inner)
    return response


def ec2_refusal(code: str, message: str, status: int) -> Response:
    """Return an error of EC2."""
    response: Response = ec2._error(code, message, status)
    return response


def launch_template_version(specification: Record) -> Record:
    """Return the launch template's id and name and the number and `Data` of the version that a group names."""
    known = provisioners._asg_launch_template({key: value for key, value in specification.items() if value})
    data, template, _ = ec2._resolve_launch_template_data(known)
    if template:
        numbers = {"$Default": template["DefaultVersionNumber"], "$Latest": template["LatestVersionNumber"]}
        known["Version"] = str(numbers.get(known["Version"], known["Version"]))
    return {**known, "Data": data or {}}


def launch_template_named(specification: Record) -> Record:
    """Return the id, the name and the version, as it is given, of the launch template that a specification names."""
    named: Record = provisioners._asg_launch_template(specification)
    return named


def launch_template_exists(specification: Record) -> bool:
    """Whether a specification names a launch template that there is, and a version that it has."""
    _, template, _ = ec2._resolve_launch_template_data(specification)
    if not template:
        return False
    version = specification.get("Version") or "$Default"
    numbers = {str(each["VersionNumber"]) for each in template["Versions"]}
    return version in {"$Default", "$Latest", *numbers}


def create_launch_template(name: str, data: Record) -> str:
    """Make a launch template whose first version has these data, and return its id."""
    params = {"LaunchTemplateName": name, **_template_params(data)}
    ec2._ACTION_MAP["CreateLaunchTemplate"](params)
    template_id: str = launch_template_named({"LaunchTemplateName": name})["LaunchTemplateId"]
    return template_id


def add_launch_template_version(template_id: str, data: Record) -> str:
    """Give a launch template a version with these data and what else the first one has, and return its number."""
    params = {"LaunchTemplateId": template_id, "SourceVersion": "1", **_template_params(data)}
    ec2._ACTION_MAP["CreateLaunchTemplateVersion"](params)
    number: str = launch_template_version({"LaunchTemplateId": template_id, "Version": "$Latest"})["Version"]
    return number


def _template_params(data: Record) -> dict[str, str]:
    return {f"LaunchTemplateData.{key}": value for key, value in data.items()}


def image_exists(image_id: str) -> bool:
    """Whether there is an image of this id in the current scope."""
    return image_id in ec2._images or any(stub[0] == image_id for stub in ec2._STUB_AMIS)


def type_in(data: Record) -> str:
    """Return the instance type that launch template data ask for."""
    value: str = data.get("InstanceType", "t3.micro")
    return value


def alarm_state(name: str) -> str | None:
    """Return the state of a CloudWatch alarm of the current scope, None if there is none of that name."""
    alarm = cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name)
    return alarm["StateValue"] if alarm else None


def subnet_zone(subnet_id: str) -> str | None:
    """Return the Availability Zone of a subnet of the current scope."""
    zone: str | None = ec2._subnets.get(subnet_id, {}).get("AvailabilityZone")
    return zone


def zones() -> set[str]:
    """Return the Availability Zones in which the current scope has subnets."""
    return {subnet["AvailabilityZone"] for subnet in ec2._subnets.values()}


def default_subnet() -> str:
    """Return the subnet for a group that names none."""
    subnet: str = ec2._DEFAULT_SUBNET_ID
    return subnet


def launch_instance(data: Record, *, subnet: str, zone: str, private: str, public: str, tags: dict[str, str]) -> str:
    """Create a pending EC2 instance from launch template data and return its id."""
    (instance,) = ec2._launch_instances_internal(
        image_id=data.get("ImageId", "ami-00000000"),
        instance_type=type_in(data),
        subnet_id=subnet,
        count=1,
        key_name=data.get("KeyName", ""),
        user_data=data.get("UserData", ""),
        sg_ids=data.get("SecurityGroupIds"),
        requested_private_ip=private,
    )
    region = responses.get_region()
    suffix = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    instance["State"] = {"Code": 0, "Name": "pending"}
    instance["Placement"]["AvailabilityZone"] = zone
    instance["PrivateDnsName"] = f"ip-{private.replace('.', '-')}.{suffix}"
    instance.update(_public(public))
    ec2._tags[instance["InstanceId"]] = [{"Key": key, "Value": value} for key, value in tags.items()]
    instance_id: str = instance["InstanceId"]
    return instance_id


def instance(instance_id: str) -> Record | None:
    """Return an instance as EC2 has it, None if it has forgotten it."""
    found: Record | None = ec2._instances.get(instance_id)
    return found


def instance_state(instance_id: str) -> str:
    """Return the EC2 state of an instance; one that EC2 has forgotten was terminated."""
    known = instance(instance_id)
    return known["State"]["Name"] if known else "terminated"


_STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_LAUNCH_TIME = "%Y-%m-%dT%H:%M:%S.000Z"


def set_instance_state(instance_id: str, state: str) -> None:
    """Move an instance to an EC2 state."""
    instance = ec2._instances.get(instance_id)
    if instance:
        instance["State"] = {"Code": _STATE_CODES[state], "Name": state}
        if state == "terminated":
            instance["_terminated_at"] = time.time()


def show_terminated(instance_id: str, seconds: float) -> None:
    """Let an instance that was terminated be shown for so long: MiniStack forgets one after a minute."""
    instance = ec2._instances.get(instance_id)
    if instance:
        instance["_terminated_at"] = time.time() + seconds - 60


def start_instance(instance_id: str, now: float) -> None:
    """Start a stopped instance: it is pending, and was launched now."""
    set_instance_state(instance_id, "pending")
    instance = ec2._instances.get(instance_id)
    if instance:
        instance["_started_at"] = now
        instance["LaunchTime"] = datetime.fromtimestamp(now, UTC).strftime(_LAUNCH_TIME)


def set_public_address(instance_id: str, address: str) -> None:
    """Give an instance this public address, or none."""
    instance = ec2._instances.get(instance_id)
    if instance:
        instance.update(_public(address))


def untag_instance(instance_id: str, key: str) -> None:
    """Take a tag from an instance."""
    ec2._tags[instance_id] = [tag for tag in ec2._tags.get(instance_id, []) if tag["Key"] != key]


def _public(address: str) -> dict[str, str]:
    region = responses.get_region()
    suffix = "compute-1.amazonaws.com" if region == "us-east-1" else f"{region}.compute.amazonaws.com"
    name = f"ec2-{address.replace('.', '-')}.{suffix}" if address else ""
    return {"PublicIpAddress": address, "PublicDnsName": name}


def release_addresses(instance_id: str) -> None:
    """Take from a terminated instance what EC2 takes from it: its network interface, so all of its addresses."""
    instance = ec2._instances.get(instance_id)
    if instance:
        keys = ("PrivateIpAddress", "PrivateDnsName", "PublicIpAddress", "PublicDnsName", "SubnetId", "VpcId")
        instance.update(dict.fromkeys(keys, ""))


def instance_type(instance_id: str) -> str:
    """Return the type of an instance."""
    value: str = ec2._instances.get(instance_id, {}).get("InstanceType", "")
    return value


def age_instances(instance_ids: Iterable[str], seconds: float) -> None:
    """Let EC2 say that these instances were launched so many seconds earlier."""
    aged = set(instance_ids)
    for (_, _, instance_id), instance in ec2._instances.all_items():
        if instance_id in aged:
            launched = datetime.fromisoformat(instance["LaunchTime"]) - timedelta(seconds=seconds)
            instance["LaunchTime"] = launched.strftime(_LAUNCH_TIME)


def machines(group_tag: str) -> list[Machine]:
    """Return the instances of all accounts and Regions that are not terminated; group_tag: what names their group."""
    tags = dict(ec2._tags.all_items())
    return [
        Machine(
            instance_id=key[-1],
            group=next((tag["Value"] for tag in tags.get(key, ()) if tag["Key"] == group_tag), ""),
            state=instance["State"]["Name"],
            started=instance.get("_started_at") or datetime.fromisoformat(instance["LaunchTime"]).timestamp(),
        )
        for key, instance in ec2._instances.all_items()
        if instance["State"]["Name"] != "terminated"
    ]


def hide_instances(instance_ids: Iterable[str]) -> None:
    """Leave these instances, and no others, out of what DescribeInstances answers."""
    hidden.clear()
    hidden.update(instance_ids)


def hidden_instances() -> list[str]:
    """Return the instances that DescribeInstances leaves out."""
    return sorted(hidden)


def target_group(arn: str) -> Record | None:
    """Return a load balancer's target group: its `TargetType`, `Port` and the rest."""
    found: Record | None = alb._tgs.get(arn)
    return found


def deregistration_delay(arn: str) -> float | None:
    """Return the seconds that a target group lets its targets drain, None if it has no such attribute."""
    attributes = {one["Key"]: one["Value"] for one in alb._tg_attrs.get(arn, [])}
    delay = attributes.get("deregistration_delay.timeout_seconds")
    return None if delay is None else float(delay)


def targets_named(params: Record) -> tuple[str, list[str]]:
    """Return the target group and the targets that a request names."""
    return alb._p(params, "TargetGroupArn"), [one["Id"] for one in alb._parse_targets_param(params)]


def target_answer(action: str, result: Record) -> Response:
    """Return a successful answer of Elastic Load Balancing."""
    response: Response = alb._xml(200, action, autoscaling._member_xml(result))
    return response


def target_refusal(code: str, message: str) -> Response:
    """Return an error of Elastic Load Balancing."""
    response: Response = alb._error(code, message)
    return response


def no_target_group(arn: str) -> Response:
    """Return what Elastic Load Balancing says of a target group that does not exist."""
    return target_refusal("TargetGroupNotFound", f"Target groups '{arn}' not found")


# EventBridge, SNS and SQS.


def put_event(source: str, detail_type: str, detail: Record, resources: list[str]) -> None:
    """Put an event of an AWS service on the default event bus of the current scope."""
    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": resources}
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def forward_event(event: Record) -> None:
    """Let an event arrive on our default bus as the rule of another account or Region forwards it: unchanged.

    event: its `source`, `detail-type`, `detail`, `resources`, and the `account` and `region` that it is of.
    """
    record = {
        "EventId": str(uuid.uuid4()),
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
        "EventBusName": "default",
        "Time": int(time.time()),
        "Resources": event["resources"],
        "Account": event["account"],
        "Region": event["region"],
    }
    eventbridge._dispatch_event(record)


def drop_events(detail_types: Iterable[str]) -> None:
    """Swallow events with these detail types, and deliver all others, from now on."""
    dropped.clear()
    dropped.update(detail_types)


def dropped_events() -> list[str]:
    """Return the detail types of the events that are swallowed."""
    return sorted(dropped)


def fire_schedule(name: str) -> bool:
    """Let a rate schedule of the default group be due now; whether there is one of that name."""
    due = [key for key, _ in scheduler._schedules.all_items() if key[2] == f"default/{name}"]
    scheduler._schedule_last_fired.update(dict.fromkeys(due, 0.0))
    scheduler._tick_schedules()
    return bool(due)


def notify(target_arn: str, subject: str, body: Record) -> None:
    """Send a notification to an SQS queue or an SNS topic."""
    if ":sqs:" in target_arn:
        eventbridge._dispatch_to_sqs(parse_arn(target_arn), json.dumps(body))
    else:
        sns.publish_internal(target_arn, json.dumps(body), subject)


# Event source mappings and Lambda.


def event_source_mappings() -> list[tuple[Scope, Record]]:
    """Return the event source mappings on SQS queues of every account and Region."""
    mappings = lambda_svc._esms.all_items()
    return [(Scope(account, region), esm) for (account, region, _), esm in mappings if ":sqs:" in esm["EventSourceArn"]]


def queue(queue_arn: str) -> Record | None:
    """Return a queue: its `name`, `url`, `attributes`, `messages` and `is_fifo`."""
    found: Record | None = sqs._queue_by_arn(queue_arn)
    return found


def may_be_received(source: Record, now: float) -> bool:
    """Whether a queue has a message that is neither put off nor being worked on."""
    return any(message["visible_at"] <= now for message in source["messages"])


def messages() -> dict[str, int]:
    """Return the number of messages in each queue by its URL's path: waiting, being worked on, or put off."""
    return {urlsplit(kept["url"]).path: len(kept["messages"]) for _, kept in sqs._queues.all_items()}


def receive(source: Record, limit: int) -> list[Record]:
    """Receive up to `limit` (at most 10) messages as a client of the queue does."""
    messages: list[Record] = sqs._receive_messages_for_esm(source["url"], limit)
    return messages


def delete(source: Record, receipt_handles: Iterable[str]) -> None:
    """Delete received messages."""
    sqs._delete_messages_for_esm(source["url"], set(receipt_handles))


def dead_letter(source: Record, message: Record) -> None:
    """Move a received message to the queue's dead-letter queue; without one it is lost."""
    delete(source, [message["receipt_handle"]])
    policy = json.loads(source["attributes"].get("RedrivePolicy") or "{}")
    target = queue(policy.get("deadLetterTargetArn", ""))
    if target:
        target["messages"].append({**message, "receipt_handle": None, "visible_at": time.time()})


def function(mapping: Record) -> Record | None:
    """Return the function that a mapping invokes."""
    found, _ = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
    record: Record | None = found
    return record


def function_arn(name: str) -> str:
    """Return the ARN of a function of the current scope, "" if there is none of this name."""
    found = lambda_svc._functions.get(name)
    return str(found["config"]["FunctionArn"]) if found else ""


def reserved_concurrency(record: Record) -> int | None:
    """Return a function's reserved concurrency, if it has one."""
    reserved: int | None = lambda_svc._reserved_concurrency(record, record["config"])
    return reserved


def may_recurse(record: Record) -> bool:
    """Return whether the function's RecursiveLoop is Allow."""
    return record.get("recursive_loop") == "Allow"


def matching(mapping: Record, records: list[Record]) -> list[Record]:
    """Return the records that pass the mapping's filter criteria."""
    passed: list[Record] = lambda_svc._apply_filter_criteria(records, mapping)
    return passed


def lambda_attributes(message_attributes: Record) -> Record:
    """Return message attributes in the shape of a Lambda event."""
    attributes: Record = lambda_svc._sqs_message_attributes_to_camel_case(message_attributes)
    return attributes


async def invoke(record: Record, event: Record, header: str) -> Record:
    """Invoke a function and wait for it: `error` and `throttle` say how it went, `body` is what it returned."""
    started = time.monotonic()
    token = trace_header.set(header)
    try:
        result: Record = await concurrency.run_reentrant(lambda_svc._execute_function, record, event)
    finally:
        trace_header.reset(token)
    lambda_svc._emit_lambda_metrics(
        record["config"]["FunctionName"],
        duration_ms=(time.monotonic() - started) * 1000,
        error=bool(result.get("error")),
        throttle=bool(result.get("throttle")),
    )
    return result


def end_idle_workers() -> None:
    """End the processes that run no invocation now; the next invocation starts one anew."""
    with lambda_runtime._lock:
        pools = lambda_runtime._workers
        idle = [worker for pool in pools.values() for worker in pool if not worker.in_use]
        for pool in pools.values():
            pool[:] = [worker for worker in pool if worker.in_use]
    Thread(target=lambda_runtime.kill_workers, args=(idle,)).start()  # it waits for those that do not end at once


def kill_busy_workers(function: str) -> None:
    """Kill the processes that run an invocation of a function now, at once."""
    with lambda_runtime._lock:
        workers = [worker for pool in lambda_runtime._workers.values() for worker in pool]
        busy = [worker._proc for worker in workers if worker.in_use and worker.func_name == function]
    for process in busy:
        process.kill()


def stop_workers() -> None:
    """Stop the processes that run Lambda functions and remove their directories."""
    lambda_runtime.reset()


if __name__ == "__main__":
    sys.exit("\n".join(drift()) or None)
