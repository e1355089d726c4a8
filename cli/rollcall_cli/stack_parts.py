"""The parts of a deployed stack, and its settings as its functions have them. Pure, but for the one that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.settings import Settings

from .answerer import Answerer
from .stack import QUEUE, described, not_rollcalls, resources_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class StackParts(NamedTuple):
    """A stack's parameters and outputs by name, and what AWS calls its resources, by type and logical id."""

    name: str
    region: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    resources: Mapping[str, Mapping[str, str]]

    @property
    def account(self) -> str:
        """The account that it is in."""
        return self.outputs["LaunchQueueArn"].split(":")[4]

    def of_type(self, kind: str) -> Mapping[str, str]:
        """Its resources of a type, by logical id."""
        return self.resources.get(kind, {})

    def find(self, logical_id: str) -> str:
        """What AWS calls a resource, empty if the stack has none of this logical id."""
        return next((own[logical_id] for own in self.resources.values() if logical_id in own), "")

    @property
    def reconcile_interval(self) -> float:
        """Seconds from one scheduled run of reconcile to the next."""
        return 60.0 * float(self.parameters.get("ReconcileEvery") or 5)

    @property
    def answerer(self) -> Answerer:
        """What its hooks are known by."""
        return Answerer.of(self.parameters, self.outputs)

    def settings(self) -> Settings:
        """The installation's settings, as its functions have them."""
        given = self.parameters
        queues = self.of_type(QUEUE)
        return Settings(
            account=self.account,
            region=self.region,
            stack=self.name,
            tower_url=given.get("TowerUrl", ""),
            tower_secret=given.get("TowerSecretArn", ""),
            hook_prefix=self.outputs["HookPrefix"],
            adopt_by_instance_id=given.get("AdoptByInstanceId") == "true",
            in_vpc=bool(given.get("SubnetIds")),
            load_balancers=given.get("LoadBalancers") == "true",
            user_data=given.get("UserData") == "true",
            retire_jobs=given.get("RetireJobs") == "true",
            max_hosts_per_job=int(given.get("MaxHostsPerJob") or 100),
            launch_queue_url=queues.get("LaunchQueue", ""),
            gate_queue_url=queues.get("GateQueue", ""),
            terminate_queue_url=queues.get("TerminateQueue", ""),
            chef_secret=given.get("ChefSecretArn", ""),
        )


def read_stack(name: str, region: str) -> StackParts:
    """A stack with its resources. Raises NotRun where it cannot be read, or is none of Rollcall's."""
    parameters, outputs = described(name)
    if not outputs.keys() >= {"LaunchQueueArn", "TerminateQueueArn", "HookPrefix"}:
        raise not_rollcalls(name)
    return StackParts(name, region, parameters, outputs, resources_of(name))
