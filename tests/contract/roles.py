"""The roles that the token's user needs: the contract tests run with these alone, so they are enough."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NeededRole:
    """A role, by Tower's name for it, on each of some objects, and what it is for.

    collection, field: of the objects in the API, and of the role in their `object_roles`.
    """

    collection: str
    field: str
    objects: str
    role: str
    purpose: str


NEEDED = (
    NeededRole(
        "inventories",
        "admin_role",
        "every inventory that a tag rollcall:inventory names",
        "Admin",
        "hosts and groups are read, made, changed and removed, and jobs are launched on the inventory",
    ),
    NeededRole(
        "job_templates",
        "execute_role",
        "every job template that a tag rollcall:job-template or rollcall:retire-job-template names",
        "Execute",
        "jobs are launched, looked at, and cancelled if the token's user launched them",
    ),
)
SOMETIMES = (
    NeededRole(
        "job_templates",
        "admin_role",
        "the same job templates, if other users launch jobs of them, or launched them with a former token",
        "Admin",
        "another user's job is cancelled once all its instances have left, or if it is a retire job that is late",
    ),
)
