"""What Rollcall publishes on the event bus, heard through a rule of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.aws.embedded import ACCOUNT, REGION

if TYPE_CHECKING:
    from lab.cloud import Cloud, Group, Json

EVENTS = "announced"


class Ear:
    """Hears what is announced, through a rule of its own."""

    def __init__(self, cloud: Cloud) -> None:
        self._aws = cloud.aws
        self._queue = cloud.aws.open_queue(EVENTS)
        self._heard: list[Json] = []
        events = cloud.aws.client("events")
        events.put_rule(Name=EVENTS, EventPattern=json.dumps({"source": ["rollcall"]}))
        events.put_targets(Rule=EVENTS, Targets=[{"Id": EVENTS, "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{EVENTS}"}])

    def of(self, group: Group) -> list[Json]:
        """What was heard of a group's instances so far."""
        sqs = self._aws.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                self._heard.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return [each for each in self._heard if each["detail"].get("group") == group.name]

    def published(self, group: Group, kind: str) -> dict[str, Json]:
        """By instance, the last of these events."""
        return {each["detail"]["instance_id"]: each for each in self.of(group) if each["detail-type"] == kind}

    def details(self, group: Group, kind: str) -> list[Json]:
        """The details of all of these events, in the order in which they were published."""
        of_kind = [each for each in self.of(group) if each["detail-type"] == kind]
        return [each["detail"] for each in sorted(of_kind, key=lambda each: str(each["time"]))]

    def close(self) -> None:
        """Hear nothing more."""
        events = self._aws.client("events")
        events.remove_targets(Rule=EVENTS, Ids=[EVENTS])
        events.delete_rule(Name=EVENTS)
        self._aws.client("sqs").delete_queue(QueueUrl=self._queue)
