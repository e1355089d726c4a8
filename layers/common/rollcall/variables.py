"""The variables of ours on an instance's host: what they say, and which text never gets into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import GroupSettings, Instance

OUR_KEYS = ("ansible_host", "rollcall", "ec2")
OWED_SINCE = "job_owed_since"  # in the marker
TEMPLATED = ("{{", "{%", "{#")  # what a playbook run would evaluate on the Tower side


def host_variables(settings: GroupSettings, instance: Instance, account: str, region: str) -> dict[str, object]:
    """The variables of ours for an instance of a group.

    Text from outside that Tower would evaluate as a template is left out.
    """
    return {
        "ansible_host": instance.addresses[settings.address],
        "rollcall": marker(settings, instance.instance_id, account, region, instance.facts["vpc"]),
        "ec2": {**instance.facts, "tags": {key: text for key, text in instance.tags.items() if is_plain(key, text)}},
    }


def marker(settings: GroupSettings, instance_id: str, account: str, region: str, vpc: str) -> dict[str, object]:
    """What makes a host ours. It tells how the instance's node in Chef is named, for the group may go before it."""
    made = {"group": settings.group, "instance_id": instance_id, "account": account, "region": region, "vpc": vpc}
    return {**made, "chef": str(settings.nodes)} if settings.nodes else {**made}


def owing_job(variables: Mapping[str, object], since: float) -> dict[str, object]:
    """A host's variables with the note that its group's job is to be launched.

    since: epoch seconds by Tower's clock.
    """
    raw = variables["rollcall"]
    assert isinstance(raw, dict), "only hosts of ours owe a job"  # noqa: S101 - a caller's mistake
    return {**variables, "rollcall": {**raw, OWED_SINCE: int(since)}}


def job_owed_since(variables: Mapping[str, object]) -> float | None:
    """Since when a host's job is to be launched (epoch seconds), None if it is not."""
    raw = variables.get("rollcall")
    since = raw.get(OWED_SINCE) if isinstance(raw, dict) else None
    return float(since) if isinstance(since, int) else None


def with_ours(variables: Mapping[str, object], wanted: Mapping[str, object]) -> dict[str, object]:
    """A host's variables with ours replaced, and whatever else is set on it kept, also against what is wanted."""
    kept = {key: value for key, value in variables.items() if key not in OUR_KEYS}
    return kept | {key: value for key, value in wanted.items() if key not in kept}


def templated_tags(instance: Instance) -> tuple[str, ...]:
    """The keys of the tags that host_variables leaves out."""
    return tuple(key for key, text in instance.tags.items() if not is_plain(key, text))


def is_plain(*texts: str) -> bool:
    """Whether Tower would take these texts as they are."""
    return not any(mark in text for text in texts for mark in TEMPLATED)
