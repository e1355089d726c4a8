"""Fleets: what they would launch is kept and shown; they launch nothing.

Source: Amazon EC2 API reference (CreateFleet, DescribeFleets, DeleteFleets, RequestSpotFleet,
DescribeSpotFleetRequests, CancelSpotFleetRequests).
"""

from collections.abc import Callable
from uuid import uuid4

from lab.aws import ministack as cloud
from lab.aws import query
from lab.aws.dry_run import WELL
from lab.aws.ec2_errors import Refused
from lab.aws.image_records import written_time
from lab.aws.ministack import Record, Scope

ACTIONS = (
    *("CreateFleet", "DescribeFleets", "DeleteFleets"),
    *("RequestSpotFleet", "DescribeSpotFleetRequests", "CancelSpotFleetRequests"),
)
ACTIVE = "active"


class Fleets:
    """The fleets of all accounts and Regions, of both kinds, by id, each with its scope."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._fleets: dict[str, tuple[Scope, Record]] = {}
        self._spot_fleets: dict[str, tuple[Scope, Record]] = {}

    def serve(self, action: str, request: Record) -> Record:
        """Answer a request. Raises Refused for a dry run that would succeed."""
        if request.get("DryRun"):
            raise Refused(WELL)
        served: dict[str, Callable[[Record], Record]] = {
            "CreateFleet": self._create,
            "DescribeFleets": self._describe,
            "DeleteFleets": self._delete,
            "RequestSpotFleet": self._request_spot,
            "DescribeSpotFleetRequests": self._describe_spot,
            "CancelSpotFleetRequests": self._cancel_spot,
        }
        return served[action](request)

    def _create(self, request: Record) -> Record:
        fleet_id = f"fleet-{uuid4()}"
        fleet = {
            "FleetId": fleet_id,
            "FleetState": ACTIVE,
            "Type": request.get("Type", "maintain"),
            "LaunchTemplateConfigs": request.get("LaunchTemplateConfigs", []),
            "CreateTime": written_time(self._clock()),
        }
        self._fleets[fleet_id] = (cloud.current_scope(), fleet)
        return {"FleetId": fleet_id}

    def _describe(self, request: Record) -> Record:
        shown, more = query.page(_own(self._fleets, request.get("FleetIds", [])), request)
        return {"Fleets": shown, **more}

    def _delete(self, request: Record) -> Record:
        changed = [
            {"FleetId": each["FleetId"], "CurrentFleetState": "deleted", "PreviousFleetState": each["FleetState"]}
            for each in _own(self._fleets, request.get("FleetIds", []))
        ]
        for each in changed:
            self._fleets[each["FleetId"]][1]["FleetState"] = "deleted"
        return {"SuccessfulFleetDeletions": changed}

    def _request_spot(self, request: Record) -> Record:
        fleet_id = f"sfr-{uuid4()}"
        fleet = {
            "SpotFleetRequestId": fleet_id,
            "SpotFleetRequestState": ACTIVE,
            "SpotFleetRequestConfig": request["SpotFleetRequestConfig"],
            "CreateTime": written_time(self._clock()),
        }
        self._spot_fleets[fleet_id] = (cloud.current_scope(), fleet)
        return {"SpotFleetRequestId": fleet_id}

    def _describe_spot(self, request: Record) -> Record:
        shown, more = query.page(_own(self._spot_fleets, request.get("SpotFleetRequestIds", [])), request)
        return {"SpotFleetRequestConfigs": shown, **more}

    def _cancel_spot(self, request: Record) -> Record:
        found = _own(self._spot_fleets, request.get("SpotFleetRequestIds", []))
        for each in found:
            each["SpotFleetRequestState"] = "cancelled"
        return {
            "SuccessfulFleetRequests": [
                {
                    "SpotFleetRequestId": each["SpotFleetRequestId"],
                    "CurrentSpotFleetRequestState": "cancelled",
                    "PreviousSpotFleetRequestState": ACTIVE,
                }
                for each in found
            ]
        }


def _own(fleets: dict[str, tuple[Scope, Record]], asked: list[str]) -> list[Record]:
    """Those of the current account and Region; of these, those that are asked for, if any are."""
    scope = cloud.current_scope()
    return [fleet for key, (of, fleet) in fleets.items() if of == scope and (not asked or key in asked)]
