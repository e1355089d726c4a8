"""What we replace of MiniStack, where it differs from AWS; what we read and call of it is in aws_ministack."""

import json
import logging
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from xml.sax.saxutils import escape

from ministack.core import iam_evaluator, responses
from ministack.services import alb, autoscaling, cloudwatch, ec2, eventbridge, lambda_svc, sqs, ssm
from ministack.services.cloudformation import provisioners

from lab.aws.limits import PUT_EVENTS_BYTES, entry_size, message_size
from lab.aws.ministack import (
    Record,
    Response,
    dropped,
    hidden,
    put_hooks,
    queue,
    set_instance_state,
    start_instance,
    trace_header,
)
from lab.aws.recursion import next_header

logger = logging.getLogger(__name__)

OK = 200

ABOUT_INSTANCES = (
    "DescribeInstances",
    "DescribeInstanceAttribute",
    "DescribeInstanceStatus",
    "StartInstances",
    "StopInstances",
    "TerminateInstances",
)
"""The actions of EC2 that are refused for one instance id."""
PUBLIC_IMAGES = {
    f"/aws/service/ami-amazon-linux-latest/al2023-ami-{kind}-{processor}": image
    for kind in ("kernel-default", "minimal-kernel-default")
    for processor, image in (("arm64", "ami-0abcdef1234567890"), ("x86_64", "ami-0c2023a1b2c3d4e5f"))
}
"""Parameters of Systems Manager that AWS gives every account: the newest images of Amazon Linux 2023."""


def install(
    actions: dict[str, Callable[[Record], Response]],
    target_actions: dict[str, Callable[[Record], Response]],
    sqs_bytes: int,
) -> None:
    """Put our parts in the place of MiniStack's: the actions of Auto Scaling and of target groups, and all below.

    sqs_bytes: what a call that sends to a queue may hold at most.
    """
    autoscaling._ACTION_MAP.update(actions)
    alb._ACTION_MAP.update(target_actions)
    autoscaling._reconcile_instances = lambda asg: None
    lambda_svc._poll_sqs = lambda: False
    eventbridge._dispatch_to_lambda = _invoke_with_retries
    _follow_chains()
    _filter_events()
    _limit_sizes(sqs_bytes)
    _heed_queue_policies()
    _filter_instances()
    _show_user_data()
    _follow_starts()
    _leave_out_empty_addresses()
    _check_instance_ids()
    _complete_provisioners()
    ssm._PUBLIC_AMI_PARAMETERS.update(PUBLIC_IMAGES)


def _invoke_with_retries(function_arn: str, payload: str) -> None:
    """Invoke a function as the target of a rule: asynchronously, so with two retries and its failure destination."""
    found, config, _ = lambda_svc._get_func_record_for_ref(function_arn)
    if found:
        lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(found, config), json.loads(payload))


def _follow_chains() -> None:
    """Carry the trace header from an invocation through SendMessage into the message, as the SDK and SQS do."""
    serve_sqs = sqs.handle_request
    system_attributes = sqs._build_send_sys_attrs
    sender: ContextVar[str | None] = ContextVar("sender", default=None)

    async def handle_request(method: str, path: str, headers: Record, body: bytes, query_params: Record) -> Any:
        sender.set(headers.get("x-amzn-trace-id"))
        return await serve_sqs(method, path, headers, body, query_params)

    def build(now: float, given: Record) -> Record:
        attributes: Record = system_attributes(now, given)
        header = sender.get()
        if header:
            attributes.setdefault("AWSTraceHeader", header)
        return attributes

    def header_for(config: Record, inbound_trace_header: str | None = None) -> str:
        return trace_header.get() or next_header([inbound_trace_header], config["FunctionArn"])

    sqs.handle_request = handle_request
    sqs._build_send_sys_attrs = build
    lambda_svc._xray_trace_id_for_invocation = header_for


def _filter_events() -> None:
    dispatch = eventbridge._dispatch_event

    def dispatch_unless_dropped(event: Record, view: Any = None) -> None:
        if event.get("DetailType") not in dropped:
            dispatch(event, view)

    eventbridge._dispatch_event = dispatch_unless_dropped


def _limit_sizes(sqs_bytes: int) -> None:
    """Refuse what is too large for one call, as SQS and EventBridge do, in their words."""
    send, send_batch, put = sqs._HANDLERS["SendMessage"], sqs._HANDLERS["SendMessageBatch"], eventbridge._put_events

    def send_message(data: Record, url: str) -> Any:
        if message_size(data) > sqs_bytes:
            reason = f"Message must be shorter than {sqs_bytes} bytes."
            raise sqs._Err("InvalidParameterValue", f"One or more parameters are invalid. Reason: {reason}")
        return send(data, url)

    def send_message_batch(data: Record, url: str) -> Any:
        total = sum(map(message_size, data.get("Entries", [])))
        if total > sqs_bytes:
            words = f"Batch requests cannot be longer than {sqs_bytes} bytes. You have sent {total} bytes."
            raise sqs._Err("BatchRequestTooLong", words)
        return send_batch(data, url)

    def put_events(data: Record, allow_aws_source: bool = False) -> Any:
        if not allow_aws_source and sum(map(entry_size, data.get("Entries", []))) >= PUT_EVENTS_BYTES:
            words = "Total size of the entries in the request is over the limit."
            return responses.error_response_json("ValidationException", words, 400)
        return put(data, allow_aws_source=allow_aws_source)

    sqs._HANDLERS.update(SendMessage=send_message, SendMessageBatch=send_message_batch)
    eventbridge._put_events = put_events


def _heed_queue_policies() -> None:
    """Let topics and rules send only to the queues whose policies let them.

    MiniStack asks a queue's policy only where every call is authorized, and never for a rule. What may not be sent is
    gone; AWS moves it to the dead-letter queue of the rule's target or of the subscription.
    """
    invoke, dispatch = eventbridge._invoke_target, eventbridge._dispatch_to_sqs
    sender: ContextVar[str] = ContextVar("rule", default="")

    def invoke_target(target: Record, event: Record, rule: Record, view: Any = None) -> None:
        token = sender.set(rule.get("Arn", ""))
        try:
            invoke(target, event, rule, view)
        finally:
            sender.reset(token)

    def dispatch_to_sqs(spec: Any, payload: str, sqs_parameters: Record | None = None) -> None:
        rule = sender.get()
        if ":rule/" in rule and not may_send(str(spec), "events.amazonaws.com", rule, rule.split(":")[4]):
            logger.warning("The policy of %s lets rule %s not send", spec, rule)
        else:
            dispatch(spec, payload, sqs_parameters)

    def unlike(actual: str, expected: str) -> bool:
        return not arn_like(actual, expected)

    operators = iam_evaluator._CONDITION_OPS
    operators.update(arnlike=arn_like, arnequals=arn_like, arnnotlike=unlike, arnnotequals=unlike)
    sqs.queue_policy_allows = may_send
    eventbridge._invoke_target = invoke_target
    eventbridge._dispatch_to_sqs = dispatch_to_sqs


def may_send(queue_arn: str, service: str, source_arn: str, source_account: str) -> bool:
    """Whether a queue's policy lets a service send to it for a topic or a rule; without a policy it does not."""
    known = queue(queue_arn)
    if known is None:
        return True  # that it is not there is another error
    context = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action="sqs:SendMessage",
        resource_arn=queue_arn,
        region=responses.get_region(),
        service_context={"aws:sourcearn": source_arn, "aws:sourceaccount": source_account},
    )
    policy = known["attributes"].get("Policy")
    return bool(iam_evaluator.evaluate_resource_policy(policy, context, service=service).decision == "Allow")


def arn_like(actual: str, expected: str) -> bool:
    """Whether an ARN is like a pattern: each of its six parts is compared with its own.

    Source: IAM user guide ("IAM JSON policy elements: Condition operators", ARN condition operators).
    """
    parts, patterns = actual.split(":", 5), expected.split(":", 5)
    return len(parts) == len(patterns) == 6 and all(map(iam_evaluator.fnmatch_iam_cs, parts, patterns))


def _check_instance_ids() -> None:
    """Refuse a whole call for one instance id that is none, or that EC2 does not know.

    Source: Amazon EC2 API reference ("Error codes": InvalidInstanceID.Malformed, InvalidInstanceID.NotFound).
    """
    serve = dict(ec2._ACTION_MAP)

    def checked(action: str) -> Callable[[Record], Response]:
        def handle(params: Record) -> Response:
            named = ec2._parse_member_list(params, "InstanceId") or [ec2._p(params, "InstanceId")]
            ids = [each for each in named if each]
            malformed = next((each for each in ids if not ec2._INSTANCE_ID_RE.match(each)), None)
            answered: Response
            if malformed is not None:
                answered = ec2._error("InvalidInstanceID.Malformed", f'Invalid id: "{malformed}"', 400)
                return answered
            unknown = [each for each in ids if each not in ec2._instances or each in hidden]
            if unknown:
                some, verb = ("IDs", "do") if len(unknown) > 1 else ("ID", "does")
                words = f"The instance {some} '{', '.join(unknown)}' {verb} not exist"
                answered = ec2._error("InvalidInstanceID.NotFound", words, 400)
                return answered
            answered = serve[action](params)
            return answered

        return handle

    ec2._ACTION_MAP.update({action: checked(action) for action in ABOUT_INSTANCES})


def _follow_starts() -> None:
    """Let StartInstances make an instance launched now; what it has of addresses is the engine's."""
    start = ec2._ACTION_MAP["StartInstances"]

    def start_instances(params: Record) -> Response:
        answered: Response = start(params)
        if answered[0] == 200:
            for instance_id in ec2._parse_member_list(params, "InstanceId"):
                start_instance(instance_id, time.time())
                set_instance_state(instance_id, "running")
        return answered

    ec2._ACTION_MAP["StartInstances"] = start_instances


def _leave_out_empty_addresses() -> None:
    """Leave out of an instance's description the addresses that it does not have, as EC2 does; names stay, empty.

    Source: published recordings of DescribeInstances (2026).
    """
    describe = ec2._instance_xml
    empty = re.compile("<(ipAddress|privateIpAddress|subnetId|vpcId)></\\1>")

    def instance_xml(instance: Record) -> str:
        return empty.sub("", describe(instance))

    ec2._instance_xml = instance_xml


def _filter_instances() -> None:
    """Let DescribeInstances heed the filter instance-id, which MiniStack passes over, and find no hidden instance."""
    matches = ec2._matches_filters

    def matches_also_id(instance: Record, filters: dict[str, list[str]]) -> bool:
        instance_id = instance["InstanceId"]
        if instance_id in hidden or instance_id not in filters.get("instance-id", [instance_id]):
            return False
        return bool(matches(instance, filters))

    ec2._matches_filters = matches_also_id


def _show_user_data() -> None:
    """Let DescribeInstanceAttribute show the user data of an instance."""
    describe = ec2._ACTION_MAP["DescribeInstanceAttribute"]

    def describe_instance_attribute(params: Record) -> Response:
        instance_id = ec2._p(params, "InstanceId")
        if ec2._p(params, "Attribute") != "userData":
            other: Response = describe(params)
            return other
        text = escape(ec2._instances[instance_id]["UserData"])
        shown = f"<userData><value>{text}</value></userData>" if text else "<userData/>"
        name = "DescribeInstanceAttributeResponse"
        answered: Response = ec2._xml(200, name, f"<instanceId>{instance_id}</instanceId>{shown}")
        return answered

    ec2._ACTION_MAP["DescribeInstanceAttribute"] = describe_instance_attribute


def _complete_provisioners() -> None:
    """Let CloudFormation keep the properties that MiniStack's provisioners pass over."""
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::AutoScaling::AutoScalingGroup"].update(create=_create_group, update=_update_group)
    handlers["AWS::Lambda::Function"].update(create=_create_function, update=_update_function)
    _keep_alarms_on_expressions()
    handlers["AWS::CloudWatch::CompositeAlarm"] = {
        "create": _put_composite_alarm,
        "update": _update_composite_alarm,
        "delete": _delete_composite_alarm,
    }


def _put_composite_alarm(logical_id: str, properties: Record, stack_name: str) -> Any:
    """MiniStack has composite alarms, and its CloudFormation has not."""
    return _composite_alarm_as(provisioners._physical_name(stack_name, logical_id, max_len=255), properties)


def _update_composite_alarm(name: str, old: Record, new: Record, stack_name: str) -> Any:
    return _composite_alarm_as(name, new)


def _composite_alarm_as(name: str, properties: Record) -> Any:
    status, _, body = cloudwatch._put_composite_alarm(
        {}, {"AlarmName": name, **properties}, is_cbor=False, is_json=True
    )
    if status != OK:
        raise ValueError(f"AWS::CloudWatch::CompositeAlarm {name}: {body!r}")
    return name, {"Arn": cloudwatch._composite_alarms[name]["AlarmArn"]}


def _delete_composite_alarm(name: str, properties: Record) -> None:
    cloudwatch._delete_alarms({}, {"AlarmNames": [name]}, is_cbor=False, is_json=True)


def _create_group(logical_id: str, properties: Record, stack_name: str) -> Any:
    # Hooks given with the group are there before its first instance.
    empty = {**properties, "MinSize": 0, "DesiredCapacity": 0}
    name, attributes = provisioners._asg_create(logical_id, empty, stack_name)
    _keep_group(name, properties)
    autoscaling._asgs[name].update(provisioners._asg_fields(properties))
    return name, attributes


def _update_group(physical_id: str, old: Record, new: Record, stack_name: str, logical_id: str | None = None) -> Any:
    name, attributes = provisioners._asg_update(physical_id, old, new, stack_name, logical_id)
    _keep_group(name, new)
    return name, attributes


def _keep_group(name: str, properties: Record) -> None:
    put_hooks(name, properties.get("LifecycleHookSpecificationList", []))
    for key in ("TargetGroupARNs", "LoadBalancerNames", "TrafficSources"):
        autoscaling._asgs[name][key] = properties.get(key, [])
    for key in ("MixedInstancesPolicy", "InstanceMaintenancePolicy", "DefaultInstanceWarmup"):
        autoscaling._asgs[name][key] = properties.get(key)


def _create_function(logical_id: str, properties: Record, stack_name: str) -> Any:
    name, attributes = provisioners._lambda_create(logical_id, properties, stack_name)
    _keep_function(name, properties)
    return name, attributes


def _update_function(physical_id: str, old: Record, new: Record, stack_name: str, logical_id: str | None = None) -> Any:
    name, attributes = provisioners._lambda_update(physical_id, old, new, stack_name, logical_id)
    _keep_function(name, new)
    return name, attributes


def _keep_function(name: str, properties: Record) -> None:
    record = lambda_svc._functions[name]
    record["recursive_loop"] = properties.get("RecursiveLoop", "Terminate")
    record["concurrency"] = properties.get("ReservedConcurrentExecutions")


def _keep_alarms_on_expressions() -> None:
    """Let an alarm on an expression be kept under its name and never evaluated: MiniStack knows no metric math."""
    alarm_record = provisioners._cw_metric_alarm_record

    def keep_alarm(name: str, properties: Record) -> Any:
        of_expression = [each["Expression"] for each in properties.get("Metrics", []) if "Expression" in each]
        if not of_expression:
            return alarm_record(name, properties)
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        return alarm_record(name, {**plain, "Namespace": "metric math", "MetricName": of_expression[0]})

    provisioners._cw_metric_alarm_record = keep_alarm
