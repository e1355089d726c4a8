"""Calls that many hosts share: making and deleting them. One refusal holds only the hosts that it is about.

A host is checked for everything that Tower would not take of it before it shares a call with others. A call that is
refused all the same is cut in half, until the host that is meant stands alone and fails alone, with Tower's words.
Numbers in brackets name recorded exchanges in tests/contract/recordings.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import (
    DeleteRefused,
    DeleteRejected,
    HostLimitReached,
    Kept,
    RollcallError,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.inventory_text import refusal_of_host_name
from rollcall.http.transport import FORBIDDEN, HTTP_OK, NOT_FOUND, TOO_LARGE, UNAUTHORIZED, object_of, text_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import requests

    from rollcall.domain.inventories import DumpedHost, Host, Inventory
    from rollcall.http.transport import Json

    from .connection import Connection

BULK_CREATE_MAX = 100  # BULK_HOST_MAX_CREATE, the server's default
BULK_DELETE_MAX = 250  # BULK_HOST_MAX_DELETE, the server's default
INSTANCE_ID_MAX = 1024  # characters of a host's instance_id [516]
BAD_REQUEST, CRASHED = 400, 500
# What may be about one of a call's hosts, or their number; after so many of a kind without a success between them it is
# taken to be about all of them, or about Tower. 64 are enough to find a dozen among a hundred, wherever they stand.
REFUSALS_MAX = {BAD_REQUEST: 64, TOO_LARGE: 64, CRASHED: 16}
LISTINGS_MAX = 4  # that do not show hosts which exist by Tower's answer: other clients may make and remove them
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # in JSON


class NewHost(NamedTuple):
    """A host to be made; named after its instance."""

    instance_id: str
    variables: Mapping[str, object]
    description: str = ""
    enabled: bool = True


class MadeHosts(NamedTuple):
    """What came of making hosts, by instance id: each is in one of these.

    ids: of those that were made now. existing: hosts of that name that were there, or were made by others meanwhile.
    errors: why there is none.
    """

    ids: Mapping[str, int] = EMPTY_MAPPING
    existing: Mapping[str, Host] = EMPTY_MAPPING
    errors: Mapping[str, RollcallError] = EMPTY_MAPPING


def encoded(variables: Mapping[str, object]) -> str:
    """Variables as Tower stores them. Raises TowerRejected for what it could not hand out again as JSON.

    A number that is none makes it fail for the whole inventory (Django REST framework, JSONRenderer, strict), and so
    does text that is none: lone surrogates, and NUL, which PostgreSQL does not store.
    """
    try:
        text = json.dumps(variables, allow_nan=False)
        json.dumps(variables, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TowerRejected(f"its variables cannot be written as JSON: {str(error)[:200]}") from error
    if NUL.search(text):
        raise TowerRejected("its variables hold a NUL character")
    return text


def require_text(what: str, text: str) -> None:
    """Raises TowerRejected for text that PostgreSQL does not store."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TowerRejected(f"its {what} cannot be encoded: {error.reason}") from error
    if "\0" in text:
        raise TowerRejected(f"its {what} holds a NUL character")


def require_instance_id(instance_id: str) -> None:
    """Raises TowerRejected for what cannot be a host's instance_id."""
    require_text("instance_id", instance_id)
    if len(instance_id) > INSTANCE_ID_MAX:
        raise TowerRejected(f"its instance_id has more than {INSTANCE_ID_MAX} characters")


def _raw(host: NewHost) -> Json:
    """A host as Tower is given it. Raises TowerRejected for what Tower refuses, or takes for another name [033-042]."""
    name = host.instance_id
    if why := refusal_of_host_name(name):
        raise TowerRejected(f"it may not be called so ({why})")
    require_text("description", host.description)
    return {
        "name": name,
        "instance_id": name,
        "variables": encoded(host.variables),
        "description": host.description,
        "enabled": host.enabled,
    }


def says_duplicate(answer: requests.Response) -> bool:
    """Whether making something failed on a name that exists: found by a check [031, 204], or by the database in a race.

    Of a race no exchange was recorded; the words of the database are those of a rename to such a name [525].
    """
    return answer.status_code == BAD_REQUEST and any(
        words in text_of(answer)
        for words in ("with this Name and Inventory already exists", "Duplicates found", "duplicate key value")
    )


def _is_about_the_inventory(answer: requests.Response) -> bool:
    """Whether a bulk create was refused for the inventory that it names [214, 443]."""
    return "inventory" in (object_of(answer) or {}) or "in manual inventories" in text_of(answer)


class BulkCreation:
    """Makes hosts of one inventory. hosts_named(names): those of the inventory that have one of these names."""

    def __init__(
        self, http: Connection, inventory: Inventory, hosts_named: Callable[[Collection[str]], list[Host]]
    ) -> None:
        self._http = http
        self._inventory = inventory
        self._hosts_named = hosts_named
        self._raw: dict[str, Json] = {}
        self._ids: dict[str, int] = {}
        self._existing: dict[str, Host] = {}
        self._errors: dict[str, RollcallError] = {}
        self._in_bulk = True
        self._listings_without = 0
        self._refusals = 0
        self._full: HostLimitReached | None = None

    def make(self, hosts: Sequence[NewHost]) -> MadeHosts:
        """See Tower.create_hosts."""
        for host in hosts:
            try:
                self._raw[host.instance_id] = _raw(host)
            except TowerRejected as error:
                self._errors[host.instance_id] = self._of(host.instance_id, error)
        try:
            for names in batched(self._raw, BULK_CREATE_MAX):
                self._make(names)
            if self._full:
                self._list(self._unsettled())  # what exists needs no room
                self._errors |= dict.fromkeys(self._unsettled(), self._full)
        except RollcallError as error:
            if not (self._ids or self._existing or self._errors):
                raise
            self._errors |= dict.fromkeys(self._unsettled(), error)
        return MadeHosts(self._ids, self._existing, self._errors)

    def _unsettled(self) -> list[str]:
        """The hosts of which nothing came yet."""
        return [name for name in self._raw if not (name in self._ids or name in self._existing or name in self._errors)]

    def _of(self, name: str, error: RollcallError) -> TowerRejected:
        return TowerRejected(f"host {name!r} of inventory {self._inventory.name!r}: {error}")

    def _make(self, names: Sequence[str]) -> None:
        if not names or self._full:
            return
        if not self._in_bulk:
            self._make_one_by_one(names)
            return
        body = {"inventory": self._inventory.id, "hosts": [self._raw[name] for name in names]}
        answer = self._http.send("POST", "bulk/host_create/", body)
        if answer.status_code == NOT_FOUND:
            self._in_bulk = False
            self._make(names)
        elif answer.status_code in HTTP_OK:
            self._refusals = 0
            self._ids |= {host["name"]: host["id"] for host in self._http.read(answer)["hosts"]}
        elif says_duplicate(answer):
            self._make(self._missing(names))
        else:
            self._refused(names, answer)

    def _make_one_by_one(self, names: Sequence[str]) -> None:
        remaining = list(names)
        while remaining and not self._full:
            name = remaining[0]
            answer = self._http.send("POST", "hosts/", {"inventory": self._inventory.id} | self._raw[name])
            if says_duplicate(answer):
                remaining = self._missing(remaining)
                continue
            if answer.status_code in HTTP_OK:
                self._refusals = 0
                self._ids[name] = self._http.read(answer)["id"]
            else:
                self._refused([name], answer)
            del remaining[0]

    def _missing(self, names: Collection[str]) -> list[str]:
        """Those that Tower does not list now; the others are kept as they are."""
        there = self._list(names)
        self._listings_without += not there
        if self._listings_without == LISTINGS_MAX:
            raise TowerUnavailable(
                f"inventory {self._inventory.name!r} has hosts of this batch by Tower's answer, and does not list them"
            )
        return [name for name in names if name not in there]

    def _list(self, names: Collection[str]) -> dict[str, Host]:
        """Those that Tower lists now; they are kept as they are."""
        there = {host.name: host for host in self._hosts_named(names)} if names else {}
        self._existing |= there
        return there

    def _refused(self, names: Sequence[str], answer: requests.Response) -> None:
        """A call was refused for all of its hosts: which is meant is found by halves. Raises what is about none."""
        error = self._error(answer)
        if not isinstance(error, HostLimitReached):
            self._refusals += 1
            about_all = isinstance(error, TowerDenied) or _is_about_the_inventory(answer)
            if about_all or self._refusals > REFUSALS_MAX.get(answer.status_code, 0):
                raise error
        if len(names) > 1:  # as many as fit under a limit are made, the first ones
            half = len(names) // 2
            self._make(names[:half])
            self._make(names[half:])
        elif isinstance(error, HostLimitReached):
            self._full = error
        elif isinstance(error, TowerUnavailable):
            self._errors[names[0]] = error
        else:
            self._errors[names[0]] = self._of(names[0], error)

    def _error(self, answer: requests.Response) -> RollcallError:
        where = f"inventory {self._inventory.name!r}"
        if "lack permissions" in text_of(answer):  # 400 rather than 403 [407]
            return TowerDenied(f"Tower lets the token add no hosts to {where}: {words_of(answer)}")
        error = self._http.error(answer)
        if isinstance(error, HostLimitReached):
            owner = f" of organization {self._inventory.organization!r}" if self._inventory.organization else ""
            return HostLimitReached(f"no more hosts are added to {where}{owner}: {error}")
        return error


class BulkDeletion:
    """Deletes hosts. there(ids): those of these hosts that there still are."""

    def __init__(self, http: Connection, there: Callable[[Collection[int]], Collection[int]]) -> None:
        self._http = http
        self._there = there
        self._kept: dict[int, Kept] = {}
        self._crashed: list[tuple[Host | DumpedHost, RollcallError]] = []
        self._in_bulk = True
        self._refusals = 0
        self._succeeded = False

    def delete(self, hosts: Sequence[Host | DumpedHost]) -> Mapping[int, Kept]:
        """See Tower.delete_hosts."""
        self._delete(list({host.id: host for host in hosts}.values()))
        for host, error in self._crashed:
            if not self._succeeded:  # it may be Tower as well
                raise error
            self._keep(host, error)
        return self._kept

    def _delete(self, hosts: Sequence[Host | DumpedHost]) -> None:
        if not hosts:
            return
        if not self._in_bulk:
            for host in hosts:
                self._disassociate(host)
            return
        answer = self._http.send("POST", "bulk/host_delete/", {"hosts": [host.id for host in hosts]})
        if answer.status_code == NOT_FOUND:
            self._in_bulk = False
            self._delete(hosts)
        elif answer.status_code in HTTP_OK:
            self._refusals, self._succeeded = 0, True
        else:
            self._refused(hosts, answer)

    def _refused(self, hosts: Sequence[Host | DumpedHost], answer: requests.Response) -> None:
        error = self._http.error(answer)
        self._refusals += 1
        if isinstance(error, TowerDenied) and answer.status_code == FORBIDDEN:
            self._inventory_refuses(hosts, error)
        elif self._refusals > REFUSALS_MAX.get(answer.status_code, 0):
            raise error
        elif "inventories" in (object_of(answer) or {}):
            self._inventory_refuses(hosts, error)
        elif gone := self._gone(hosts, answer):
            self._delete([host for host in hosts if host.id not in gone])
        elif len(hosts) > 1:
            half = len(hosts) // 2
            self._delete(hosts[:half])
            self._delete(hosts[half:])
        elif isinstance(error, TowerUnavailable):
            self._crashed.append((hosts[0], error))
        else:
            self._keep(hosts[0], error)

    def _gone(self, hosts: Sequence[Host | DumpedHost], answer: requests.Response) -> set[int]:
        """Those that are gone already, where that is what the answer says [221]."""
        if "do not exist" not in text_of(answer):
            return set()
        ids = {host.id for host in hosts}
        return ids - set(self._there(ids))

    def _inventory_refuses(self, hosts: Sequence[Host | DumpedHost], error: RollcallError) -> None:
        """A refusal for one inventory [871] must not keep those of the others, one of the same name among them."""
        by_inventory: defaultdict[int, list[Host | DumpedHost]] = defaultdict(list)
        for host in hosts:
            by_inventory[host.inventory_id].append(host)
        for own in by_inventory.values():
            if len(by_inventory) > 1:
                self._delete(own)
            else:
                for host in own:
                    self._keep(host, error)

    def _disassociate(self, host: Host | DumpedHost) -> None:
        """Deletes a host the way that running jobs do not stop [862] and that old servers know."""
        answer = self._http.send(
            "POST", f"inventories/{host.inventory_id}/hosts/", {"id": host.id, "disassociate": True}
        )
        is_gone = answer.status_code == BAD_REQUEST and "does not exist" in text_of(answer)
        if answer.status_code in HTTP_OK or answer.status_code == NOT_FOUND or is_gone:
            return
        error = self._http.error(answer)
        if isinstance(error, TowerUnavailable) or answer.status_code == UNAUTHORIZED:
            raise error
        self._keep(host, error)

    def _keep(self, host: Host | DumpedHost, error: RollcallError) -> None:
        where = frozenset({host.inventory_name})
        if isinstance(error, TowerDenied):
            self._kept[host.id] = DeleteRefused(f"inventory {host.inventory_name!r} keeps its hosts: {error}", where)
        else:
            words = f"host {host.name!r} of inventory {host.inventory_name!r} is not deleted: {error}"
            self._kept[host.id] = DeleteRejected(words, where)
