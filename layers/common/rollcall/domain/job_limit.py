"""The limit of a job: the hosts of some instances, and no other host. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .inventory_text import refusal_of_host_name

if TYPE_CHECKING:
    from collections.abc import Collection


class BadLimit(ValueError):
    """A job was to be launched on other hosts than those of some instances: a bug in Rollcall."""


def limit_to(instance_ids: Collection[str]) -> str:
    """The limit of a job that is to run on the hosts of these instances alone: hosts are called what instances are.

    Raises BadLimit without any, for Tower takes an empty limit for every host, and for what is no instance's id:
    commas, colons and wildcards would let others in.
    """
    if not instance_ids:
        raise BadLimit("a job is never launched without a limit")
    if wrong := [each for each in instance_ids if refusal_of_host_name(each)]:
        raise BadLimit(f"a job is limited to instances only, and {wrong[0]!r} is no instance's id")
    return ",".join(instance_ids)
