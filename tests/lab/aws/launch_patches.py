"""What we replace of MiniStack's EC2 about launches: what can be launched, where, from which version, and what it is.

MiniStack launches in a dry run and without a look at a template, calls 4,091 addresses free, passes over client tokens,
terminates at once, knows no status checks, and keeps of a launch template's data what it knows by name.
"""

from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from ministack.services import ec2

from lab.aws import dry_run, query
from lab.aws import ministack_images as kept
from lab.aws.ec2_errors import Refused
from lab.aws.image_api import handlers
from lab.aws.ministack import Record, Response, instance_state, launch_template_exists
from lab.aws.outside import Outside
from lab.aws.versions import ACTIONS, Versions

SPECIFICATION = ("LaunchTemplateId", "LaunchTemplateName")


def install(outside: Outside, versions: Versions, free_addresses: Callable[[str], int]) -> None:
    """Put them in the place of MiniStack's. free_addresses: of a subnet."""
    ec2.parse_qs = partial(parse_qs, keep_blank_values=True)  # NoDevice is there, and empty
    _keep_all_data()
    _describe_more(outside)
    ec2._ACTION_MAP.update(handlers(ACTIONS, versions.serve))
    _launch(outside)
    _describe_places(free_addresses)
    _know_types()


def _launch(outside: Outside) -> None:
    """Let the lab launch what no group launches, end it, and say what its status checks say."""
    serve = dict(ec2._ACTION_MAP)
    terminate, refuse_unknown = serve["TerminateInstances"], serve["DescribeInstanceStatus"]

    def run_instances(params: Record) -> Response:
        try:
            launched = outside.launch(query.read("RunInstances", params))
        except Refused as refused:
            return _refused(refused.refusal)
        shown = "".join(ec2._instance_xml(ec2._instances[each]) for each in launched)
        reservation = f"<reservationId>{kept.new_reservation()}</reservationId><groupSet/>"
        answered: Response = ec2._xml(200, "RunInstancesResponse", f"<instancesSet>{shown}</instancesSet>{reservation}")
        return answered

    def terminate_instances(params: Record) -> Response:
        ids = ec2._parse_member_list(params, "InstanceId")
        ours = [each for each in ids if outside.knows(each) and each in ec2._instances]
        if len(ours) < len(ids):  # those of groups; one that is not there is refused
            refusal: Response = terminate(params)
            if refusal[0] != OK:
                return refusal
        return _changed("TerminateInstances", "TerminatingInstances", ids, lambda: outside.terminate(ours))

    def stop_instances(params: Record) -> Response:
        ids = ec2._parse_member_list(params, "InstanceId")
        if not all(outside.knows(each) and each in ec2._instances for each in ids):
            answered: Response = serve["StopInstances"](params)  # at once, those of groups
            return answered
        return _changed("StopInstances", "StoppingInstances", ids, lambda: outside.stop(ids))

    def describe_status(params: Record) -> Response:
        refusal: Response = refuse_unknown(params)
        if refusal[0] != OK:
            return refusal
        request = query.read("DescribeInstanceStatus", params)
        asked, everything = request.get("InstanceIds", []), request.get("IncludeAllInstances")
        shown = [
            _status(outside, each)
            for each in kept.instances()
            if (not asked or each["InstanceId"] in asked) and (everything or each["State"]["Name"] == "running")
        ]
        return query.answer("DescribeInstanceStatus", {"InstanceStatuses": shown})

    ec2._ACTION_MAP.update(
        RunInstances=run_instances,
        StopInstances=stop_instances,
        TerminateInstances=terminate_instances,
        DescribeInstanceStatus=describe_status,
    )


def _changed(action: str, key: str, ids: list[str], change: Callable[[], None]) -> Response:
    """What EC2 answers to a call that changes the states of instances."""
    before = {each: instance_state(each) for each in ids}
    try:
        change()
    except Refused as refused:
        return _refused(refused.refusal)
    states = [
        {"InstanceId": each, "PreviousState": {"Name": before[each]}, "CurrentState": {"Name": instance_state(each)}}
        for each in ids
    ]
    return query.answer(action, {key: states})


OK = 200
PASSED = {"ok": "passed", "initializing": "initializing", "impaired": "failed"}


def _status(outside: Outside, instance: Record) -> Record:
    runs = instance["State"]["Name"] == "running"
    status = outside.status(instance["InstanceId"]) if runs else "not-applicable"
    details = [{"Name": "reachability", "Status": PASSED[status]}] if runs else []
    summary = {"Status": status, "Details": details}
    return {
        "InstanceId": instance["InstanceId"],
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "InstanceState": instance["State"],
        "InstanceStatus": summary,
        "SystemStatus": summary if status != "impaired" else {"Status": "ok", "Details": []},
    }


def _describe_places(free_addresses: Callable[[str], int]) -> None:
    serve = dict(ec2._ACTION_MAP)

    def describe_subnets(params: Record) -> Response:
        for subnet_id, subnet in ec2._subnets.items():
            subnet["AvailableIpAddressCount"] = free_addresses(subnet_id)
        answered: Response = serve["DescribeSubnets"](params)
        return answered

    def describe_templates(params: Record) -> Response:
        for key in SPECIFICATION:
            for named in ec2._parse_member_list(params, key):
                if not launch_template_exists({key: named}):
                    return _refused(dry_run.no_template({key: named}))
        answered: Response = serve["DescribeLaunchTemplates"](params)
        return answered

    ec2._ACTION_MAP.update(DescribeSubnets=describe_subnets, DescribeLaunchTemplates=describe_templates)


def _keep_all_data() -> None:
    """Let launch templates keep, and show, all that their data may have."""

    def parse(params: Record, prefix: str = "LaunchTemplateData") -> Record:
        return query.read_part("RequestLaunchTemplateData", prefix, params)

    ec2._parse_lt_data = parse


def _describe_more(outside: Outside) -> None:
    """Let instances show, and be found by, what MiniStack passes over; and volumes and snapshots show their keys."""
    describe, matches = ec2._instance_xml, ec2._matches_filters
    volume_xml, snapshot_xml = ec2._volume_inner_xml, ec2._snapshot_inner_xml

    def instance_xml(instance: Record) -> str:
        token = outside.client_token(instance["InstanceId"])
        more = {
            "ClientToken": token or None,
            "StateReason": instance.get("StateReason"),
            "MetadataOptions": instance.get("MetadataOptions") or None,
        }
        shown: str = describe(instance)
        return shown.removesuffix("</item>") + query.written("Instance", more) + "</item>"

    def matches_more(instance: Record, filters: dict[str, list[str]]) -> bool:
        found = {
            "client-token": outside.client_token(instance["InstanceId"]),
            "subnet-id": instance["SubnetId"],
            "vpc-id": instance["VpcId"],
            "key-name": instance["KeyName"],
        }
        asked = {name: values for name, values in filters.items() if name in found}
        return bool(matches(instance, filters)) and all(found[name] in values for name, values in asked.items())

    def with_key(xml: Callable[[Record], str]) -> Callable[[Record], str]:
        def shown(record: Record) -> str:
            key = escape(record.get("KmsKeyId") or "")
            return xml(record) + (f"<kmsKeyId>{key}</kmsKeyId>" if key else "")

        return shown

    ec2._instance_xml = instance_xml
    ec2._matches_filters = matches_more
    ec2._volume_inner_xml = with_key(volume_xml)
    ec2._snapshot_inner_xml = with_key(snapshot_xml)


def _know_types() -> None:
    """Let types be those of EC2's service model, of the architecture that they are, and found by a filter of theirs.

    MiniStack knows a type of any name, calls all of them x86_64, and passes over filters.
    """
    describe = ec2._ACTION_MAP["DescribeInstanceTypes"]
    wrong = b"<supportedArchitectures><item>x86_64</item>"

    def describe_types(params: Record) -> Response:
        request = query.read("DescribeInstanceTypes", params)
        named = request.get("InstanceTypes", [])
        filters = [each for each in request.get("Filters", []) if each["Name"] == "instance-type"]
        filtered = [kind for each in filters for kind in each["Values"]]
        kinds = [each for each in named or dict.fromkeys(filtered) if dry_run.is_type(each)]
        if len(kinds) < len(named):
            return _refused(dry_run.Refusal("InvalidInstanceType", f"{', '.join(named)} {dry_run.OURS}"))
        if not kinds and filtered:
            return query.answer("DescribeInstanceTypes", {"InstanceTypes": []})
        asked = {f"InstanceType.{place}": each for place, each in enumerate(kinds, 1)}
        status, headers, body = describe(asked)
        first, *others = body.split(wrong)
        right = [f"<supportedArchitectures><item>{dry_run.architecture(each)}</item>".encode() for each in kinds]
        right = right or [wrong] * len(others)
        return status, headers, first + b"".join(each + rest for each, rest in zip(right, others, strict=True))

    ec2._ACTION_MAP["DescribeInstanceTypes"] = describe_types


def _refused(refusal: dry_run.Refusal) -> Response:
    answered: Response = ec2._error(refusal.code, refusal.message, refusal.status)
    return answered
