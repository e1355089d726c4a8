"""The inventories and job templates that tags name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.cache import ExpiringCache
from rollcall.domain.errors import BadSettings
from rollcall.domain.inventories import Inventory
from rollcall.domain.jobs import JobTemplate, Project

from .connection import Connection, TowerPart, reads_answers
from .parsing import organization_of, read_inventory, read_job_template
from .queries import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rollcall.http.transport import Json

REFERENCES_TTL = 60.0  # seconds that inventories and templates are remembered
ID_PREFIX = "id:"  # before a number in a reference: the id, whatever is named so
ID_MAX = 2**31 - 1  # of inventories and templates: a PostgreSQL integer
NOT_FOUND_REMEDY = "correct the tag, create it, or grant its role"


class Listed(NamedTuple):
    """An inventory or a job template among all that the token can see."""

    id: int
    name: str
    organization: str


@reads_answers
class References(TowerPart):
    """Inventories and job templates by the reference in a tag, remembered for a minute."""

    def __init__(self, http: Connection) -> None:
        super().__init__(http)
        self._inventories: ExpiringCache[str, Inventory] = ExpiringCache(REFERENCES_TTL)
        self._templates: ExpiringCache[str, JobTemplate] = ExpiringCache(REFERENCES_TTL)

    def inventory(self, reference: str) -> Inventory:
        """The inventory that a reference means, remembered for a minute: see _referenced."""
        return self._inventories.get(
            reference,
            lambda: read_inventory(self._referenced("inventories", "inventory", reference)),
        )

    def job_template(self, reference: str) -> JobTemplate:
        """The job template that a reference means, remembered for a minute: see _referenced."""
        return self._templates.get(
            reference,
            lambda: read_job_template(self._referenced("job_templates", "job template", reference)),
        )

    def project(self, project_id: int) -> Project:
        """A project. Raises TowerRejected for one that the token may not read."""
        raw = self._http.get(f"projects/{project_id}/")
        return Project(
            raw["id"], raw["name"], str(raw.get("scm_revision") or ""), bool(raw.get("scm_update_on_launch"))
        )

    def list_inventories(self) -> list[Listed]:
        """Every inventory that the token can see and that can hold hosts of ours, by name: none that is made of others.

        A smart or constructed inventory has a kind (AWX API, Inventory.kind).
        """
        return self._list("inventories", lambda raw: not raw.get("kind"))

    def list_job_templates(self) -> list[Listed]:
        """Every job template that the token can see, by name."""
        return self._list("job_templates", lambda raw: True)

    def _list(self, collection: str, wanted: Callable[[Json], bool]) -> list[Listed]:
        found = [raw for raw in self._http.pages(f"{collection}/", ()) if wanted(raw)]
        return sorted((Listed(raw["id"], raw["name"], organization_of(raw)) for raw in found), key=lambda one: one.name)

    def _referenced(self, collection: str, kind: str, reference: str) -> Json:
        """What a reference means: a name, ORGANIZATION/NAME, an id, or id:N.

        An organization and a name may hold slashes, and a name may be a number, so a reference can mean several things;
        which of them is never guessed. id:N is the id N and nothing else: what an error offers. Raises BadSettings if
        there is nothing or more than one thing that it can mean.
        """
        number = _number_in(reference)
        only_id = reference.startswith(ID_PREFIX) and number is not None
        names = [] if only_id else _names_in(reference)
        queries = [[("or__name", each) for each in chunk] for chunk in fitting("or__name=", names)] or [[]]
        if number is not None:
            queries[0].append(("or__id", str(number)))
        listed = {raw["id"]: raw for query in queries for raw in self._http.pages(f"{collection}/", query)}
        return _the_one_meant(kind, reference, listed.values())


def _the_one_meant(kind: str, reference: str, listed: Iterable[Json]) -> Json:
    """What a reference means of all that Tower listed for it. Raises BadSettings if that is nothing, or several."""
    number = _number_in(reference)
    found = [
        raw
        for raw in listed
        if raw["id"] == number or reference in (raw["name"], f"{organization_of(raw)}/{raw['name']}")
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        only_id = reference.startswith(ID_PREFIX)
        wanted = f"{kind} {reference!r}" if number is None else f"{kind} with id {number}"
        wanted += "" if only_id or number is None else f" and none that is named {reference!r}"
        raise BadSettings(f"Tower has no {wanted} that the token can read: {NOT_FOUND_REMEDY}")
    named = " and ".join(f"{organization_of(raw)}/{raw['name']} (id {raw['id']})" for raw in found)
    spelled = " or ".join(f"{ID_PREFIX}{raw['id']}" for raw in found)
    words = f"{kind} {reference!r} is ambiguous: {named}; name the one that is meant as {spelled}"
    raise BadSettings(words, candidates=[raw["id"] for raw in found])


def _number_in(reference: str) -> int | None:
    """The id that a reference is or may be."""
    digits = reference.removeprefix(ID_PREFIX)
    return int(digits) if re.fullmatch("[1-9][0-9]{0,9}", digits) and int(digits) <= ID_MAX else None


def _names_in(reference: str) -> list[str]:
    """The names that a reference can mean: all of it, and what follows each slash."""
    places = [place for place, sign in enumerate(reference) if sign == "/"]
    return [name for name in (reference, *(reference[place + 1 :] for place in places)) if name]
