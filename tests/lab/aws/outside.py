"""Instances that no group launched: RunInstances, their boot, status checks, shutdown and end.

They have addresses of the same pool as the groups' instances, so Tower reaches them as it does those: after the boot
time that a test gives its hosts.

Source: Amazon EC2 API reference (RunInstances with its ClientToken, DescribeInstanceStatus, TerminateInstances,
StateReason) and user guide ("Block device mappings", "Status checks", "Change instance initiated shutdown behavior",
"Troubleshoot instance launch issues": Client.InternalError). A request's mapping of a device is laid over the image's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from lab.aws import dry_run
from lab.aws import ministack as cloud
from lab.aws import ministack_images as kept
from lab.aws.autoscaling import Addresses
from lab.aws.dry_run import WELL, Launch, Refusal
from lab.aws.ec2_errors import (
    Refused,
    architectures_differ,
    mismatch,
    no_instance,
    protected_instance,
)
from lab.aws.images import Images
from lab.aws.launch_data import (
    NOT_DATA,
    check_names,
    mappings_of,
    resolved,
    security_groups,
    subnet_of,
    tags_by_kind,
    template_data,
)
from lab.aws.launch_limits import NO_ADDRESS
from lab.aws.ministack import Record, Scope
from lab.aws.permissions import Permissions

SPECIFICATION = ("LaunchTemplateId", "LaunchTemplateName", "Version")
VISIBLE = 3600
"""Seconds for which EC2 shows an instance that was terminated: TerminateInstances says about one hour."""
OK, INITIALIZING, IMPAIRED = "ok", "initializing", "impaired"
GOING = ("shutting-down", "terminated")
LOST = {"Code": "Client.InternalError", "Message": "Client.InternalError: Client error on launch"}
BY_USER = {"Code": "Client.UserInitiatedShutdown", "Message": "Client.UserInitiatedShutdown: User initiated shutdown"}
BY_ITSELF = {
    "Code": "Client.InstanceInitiatedShutdown",
    "Message": "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
}


@dataclass
class Launched:
    """An instance outside of groups. asked: the request that launched it. Times in epoch seconds.

    running, checked: when it is, and when its status checks have a result. stopped, gone: when it is stopped, and when
    it is terminated, once it is to be.
    """

    instance_id: str
    scope: Scope
    asked: Record
    address: IPv4Address
    running: float
    checked: float
    stopped: float | None = None
    gone: float | None = None


@dataclass
class Failures:
    """What goes wrong because a test says so. Of the instances whose tags hold all of these.

    impaired: whose status checks fail. slow: whose status checks have no result.
    """

    impaired: list[dict[str, str]] = field(default_factory=list)
    slow: list[dict[str, str]] = field(default_factory=list)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.impaired.clear()
        self.slow.clear()


class Outside:
    """The instances outside of groups of all accounts and Regions."""

    def __init__(
        self,
        images: Images,
        addresses: Addresses,
        permissions: Permissions,
        free_addresses: Callable[[str], int],
    ) -> None:
        self.failures = Failures()
        self._images = images
        self._addresses = addresses
        self._permissions = permissions
        self._free_addresses = free_addresses
        self._machines: dict[str, Launched] = {}
        self._tokens: dict[tuple[Scope, str], tuple[Record, list[str]]] = {}

    def launch(self, request: Record) -> list[str]:
        """Launch what a request asks for, and return the instances' ids. Raises Refused, and for a dry run always."""
        template = {key: value for key in SPECIFICATION if (value := request.get("LaunchTemplate", {}).get(key))}
        token = (cloud.current_scope(), str(request.get("ClientToken", "")))
        if token[1] in self._known_tokens() and not request.get("DryRun"):
            asked, launched = self._tokens[token]
            if asked != request:
                raise mismatch(token[1])
            return launched
        data = {**template_data(template), **{key: value for key, value in request.items() if key not in NOT_DATA}}
        image = self._check(request, template, data)
        if request.get("DryRun"):
            raise Refused(WELL)
        launched = [self._launch(request, data, image) for _ in range(int(request.get("MaxCount", 1)))]
        if token[1]:
            self._tokens[token] = (request, launched)
        return launched

    def launched(self) -> list[str]:
        """The instances that were ever launched here, the oldest first."""
        return list(self._machines)

    def knows(self, instance_id: str) -> bool:
        """Whether an instance was launched here."""
        return instance_id in self._machines

    def client_token(self, instance_id: str) -> str:
        """The token that an instance was launched with; empty without one, and for one of a group."""
        machine = self._machines.get(instance_id)
        return str(machine.asked.get("ClientToken", "")) if machine else ""

    def terminate(self, instance_ids: list[str], reason: Record | None = None) -> None:
        """Begin to terminate instances that were launched here. Raises Refused."""
        for each in instance_ids:
            instance = cloud.instance(each)
            if instance and instance.get("DisableApiTermination"):
                raise protected_instance(each)
        for each in instance_ids:
            machine, instance = self._machines[each], cloud.instance(each)
            if instance and machine.gone is None:
                cloud.set_instance_state(each, "shutting-down")
                instance["StateReason"] = reason or BY_USER
                machine.gone = self._images.clock() + self._images.pace.shutdown

    def stop(self, instance_ids: list[str]) -> None:
        """Begin to stop instances that were launched here, whatever their shutdown behaviour. Raises Refused."""
        for each in instance_ids:
            if cloud.instance_state(each) not in ("running", "stopping", "stopped"):
                words = f"The instance '{each}' is not in a state from which it can be stopped."
                raise Refused(Refusal("IncorrectInstanceState", words))
        for each in instance_ids:
            if cloud.instance_state(each) == "running":
                cloud.set_instance_state(each, "stopping")
                self._machines[each].stopped = self._images.clock() + self._images.pace.shutdown

    def shut_down(self, instance_id: str) -> None:
        """Let an instance shut itself down: it is stopped or terminated, as it was launched to be. Raises Refused."""
        machine, instance = self._machines.get(instance_id), cloud.instance(instance_id)
        if machine is None or instance is None:
            raise no_instance([instance_id])
        if instance["InstanceInitiatedShutdownBehavior"] == "terminate":
            instance["DisableApiTermination"] = False  # it protects from calls only
            self.terminate([instance_id], BY_ITSELF)
        else:
            cloud.set_instance_state(instance_id, "stopped")
            instance["StateReason"] = BY_ITSELF

    def status(self, instance_id: str) -> str:
        """What the status checks of an instance say: ok, initializing, impaired."""
        machine = self._machines.get(instance_id)
        if machine is None:
            return OK
        tags = kept.tags(instance_id)
        if any(each.items() <= tags.items() for each in self.failures.slow):
            return INITIALIZING
        if self._images.clock() < machine.checked:
            return INITIALIZING
        return IMPAIRED if any(each.items() <= tags.items() for each in self.failures.impaired) else OK

    def tick(self, now: float) -> None:
        """Let the instances that are due run, or be gone."""
        for machine in list(self._machines.values()):
            with cloud.within(machine.scope):
                state = cloud.instance_state(machine.instance_id)
                if state == "pending" and machine.running <= now:
                    self._boot(machine)
                elif state == "stopping" and machine.stopped is not None and machine.stopped <= now:
                    cloud.set_instance_state(machine.instance_id, "stopped")
                elif machine.gone is not None and machine.gone <= now and state != "terminated":
                    self._end(machine)

    def _known_tokens(self) -> set[str]:
        scope = cloud.current_scope()
        return {token for of, token in self._tokens if of == scope}

    def _check(self, request: Record, template: Record, data: Record) -> Record:
        """The image of a launch that may be; raises Refused if it may not be."""
        image_id = resolved(str(data.get("ImageId", "")))
        said = dry_run.answer(
            Launch(
                template,
                {key: data[key] for key in ("ImageId", "InstanceType", "IamInstanceProfile") if key in data},
                subnet=subnet_of(data),
                zone=str(data.get("Placement", {}).get("AvailabilityZone", "")),
                tags=bool(request.get("TagSpecifications")),
            ),
            self._permissions,
            lambda image: dry_run.is_image(image) or self._images.find(image) is not None,
        )
        if said != WELL:
            raise Refused(said)
        image = self._images.usable(image_id)
        kind = dry_run.architecture(str(cloud.type_in(data)))
        if kind != image["Architecture"]:
            raise architectures_differ(kind, image["Architecture"])
        check_names(data)
        if self._free_addresses(subnet_of(data) or cloud.default_subnet()) < 1:
            raise Refused(Refusal("InsufficientFreeAddressesInSubnet", NO_ADDRESS))
        return image

    def _launch(self, request: Record, data: Record, image: Record) -> str:
        address = self._addresses.take()
        if address is None:
            raise Refused(Refusal("InsufficientFreeAddressesInSubnet", NO_ADDRESS))
        subnet = subnet_of(data) or cloud.default_subnet()
        specified = tags_by_kind(data)
        instance_id = cloud.launch_instance(
            {**data, "ImageId": image["ImageId"], "SecurityGroupIds": security_groups(data)},
            subnet=subnet,
            zone=cloud.subnet_zone(subnet) or "",
            private=str(address),
            public="",
            tags=specified.get("instance", {}),
        )
        instance = cloud.instance(instance_id)
        assert instance, "it was launched now"
        now, pace = self._images.clock(), self._images.pace
        instance.update(
            Architecture=image["Architecture"],
            RootDeviceName=image["RootDeviceName"],
            IamInstanceProfile=kept.instance_profile(data.get("IamInstanceProfile", {})),
            MetadataOptions=data.get("MetadataOptions", {}),
            InstanceInitiatedShutdownBehavior=data.get("InstanceInitiatedShutdownBehavior", "stop"),
            DisableApiTermination=bool(data.get("DisableApiTermination")),
            ClientToken=str(request.get("ClientToken", "")),
        )
        kept.replace_volumes(instance_id, mappings_of(image, data), specified.get("volume", {}))
        running = now + pace.boot
        self._machines[instance_id] = Launched(
            instance_id, cloud.current_scope(), request, address, running, running + pace.checks
        )
        return instance_id

    def _boot(self, machine: Launched) -> None:
        """Let an instance run, unless a key of its volumes cannot be used: then it ends."""
        keys = {each.get("KmsKeyId", "") for each in kept.volumes_of(machine.instance_id)} - {""}
        known = [kept.encryption_key(each) for each in keys]
        if all(key and key["KeyState"] == "Enabled" for key in known):
            cloud.set_instance_state(machine.instance_id, "running")
            return
        self._end(machine)
        instance = cloud.instance(machine.instance_id)
        if instance:
            instance["StateReason"] = LOST

    def _end(self, machine: Launched) -> None:
        kept.let_volumes_go(machine.instance_id)
        cloud.set_instance_state(machine.instance_id, "terminated")
        cloud.release_addresses(machine.instance_id)
        self._addresses.free(machine.address)
        cloud.show_terminated(machine.instance_id, VISIBLE)
        machine.gone = 0
