"""Hosts, and inventories as a whole.

Numbers in brackets: recorded exchanges, see tests/contract/recordings.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from itertools import batched
from typing import TYPE_CHECKING

from rollcall.domain.errors import TowerRejected
from rollcall.domain.inventories import MARKER, Dump, Host
from rollcall.domain.inventory_text import json_is_surely_plain

from .bulk_hosts import BulkCreation, BulkDeletion, encoded, require_instance_id, require_text
from .connection import PAGE_SIZE, TowerPart, reads_answers
from .parsing import epoch, read_dumped_host, read_inventory
from .queries import NAMES_PER_QUERY, fitting, marker_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rollcall.domain.errors import Kept
    from rollcall.domain.inventories import DumpedHost, Inventory
    from rollcall.http.transport import Json

    from .bulk_hosts import MadeHosts, NewHost


@reads_answers
class Hosts(TowerPart):
    """Hosts of inventories: found, made, changed and deleted."""

    def hosts_named(self, inventory: Inventory, names: Collection[str]) -> list[Host]:
        """The hosts of an inventory that have one of these names."""
        return self._hosts(
            {"inventory": str(inventory.id), "name__in": ",".join(chunk)} for chunk in batched(names, NAMES_PER_QUERY)
        )

    def names_of_group(self, inventory: Inventory, group: str, names: Collection[str]) -> set[str]:
        """Those of the names that are an inventory's hosts whose marker names this Auto Scaling group.

        The text of our variables is searched for the marker as we write it. One that was edited by hand is not
        found.
        """
        return {
            raw["name"]
            for chunk in batched(sorted(names), NAMES_PER_QUERY)
            for raw in self._http.pages(
                "hosts/",
                {
                    "inventory": str(inventory.id),
                    "name__in": ",".join(chunk),
                    "variables__contains": marker_text(group),
                },
            )
        }

    def hosts_of(self, instance_ids: Collection[str]) -> list[Host]:
        """Every host, in whatever inventory, whose name or instance_id is one of these.

        Hosts of smart and constructed inventories are left out: they only mirror those of ordinary ones.
        """
        return self._hosts(
            {"or__name__in": ",".join(chunk), "or__instance_id__in": ",".join(chunk)}
            for chunk in batched(instance_ids, NAMES_PER_QUERY // 2)
        )

    def hosts_at(self, inventory: Inventory, addresses: Collection[str]) -> list[Host]:
        """The hosts of an inventory whose ansible_host is one of these addresses, however it is written.

        Not found: what a YAML alias or tag hides, and a host without ansible_host whose name is its address. The
        database searches the variables' text, 0.15 s for 100 addresses among 5,000 hosts on PostgreSQL 15; only hosts
        found cost Tower the 16 ms of a list's row. All Towers know the filter, and Python's and PostgreSQL's regular
        expressions agree on this one.
        """
        wanted = frozenset(addresses)
        found = self._hosts(
            {"inventory": str(inventory.id), "variables__regex": _connects_to(chunk)}
            for chunk in fitting("|", [re.escape(each) for each in wanted])
        )
        by_id = {host.id: host for host in found if str(host.variables.get("ansible_host")) in wanted}
        return list(by_id.values())

    def _hosts(self, queries: Iterable[dict[str, str]]) -> list[Host]:
        return [
            self._host(raw)
            for query in queries
            for raw in self._http.pages("hosts/", query)
            if not raw["summary_fields"]["inventory"].get("kind")
        ]

    def _host(self, raw: Json) -> Host:
        groups = raw["summary_fields"].get("groups", {"count": -1, "results": []})
        return Host(
            id=raw["id"],
            name=raw["name"],
            inventory_id=raw["inventory"],
            inventory_name=raw["summary_fields"]["inventory"]["name"],
            instance_id=raw["instance_id"],
            variables=self._variables(raw),
            created_at=epoch(raw["created"]),
            group_ids=(
                frozenset(group["id"] for group in groups["results"])
                if groups["count"] == len(groups["results"])
                else None
            ),
            description=raw.get("description", ""),
            enabled=raw.get("enabled", True),
        )

    def _variables(self, raw: Json) -> Mapping[str, object]:
        try:
            variables = json.loads(raw["variables"] or "{}")
        except ValueError:  # saved by hand as YAML, which Tower parses for us
            variables = self._http.get(f"hosts/{raw['id']}/variable_data/")
        return variables if isinstance(variables, dict) else {}

    def create_hosts(self, inventory: Inventory, hosts: Sequence[NewHost]) -> MadeHosts:
        """Make hosts, in bulk or one by one on servers without bulk calls; of each what came of it.

        What is wrong with one fails that one alone. Of more than a limit of the organization or the licence lets in the
        first ones are made, as many as fit; the others have HostLimitReached. What is about none of them in particular
        (TowerUnavailable, TowerDenied, an odd answer) is raised if nothing came of any, else it is the error of the
        rest.
        """
        return BulkCreation(self._http, inventory, lambda names: self.hosts_named(inventory, names)).make(hosts)

    def update_host(
        self,
        host_id: int,
        instance_id: str,
        variables: Mapping[str, object],
        *,
        enabled: bool | None = None,
        description: str | None = None,
    ) -> None:
        """Replace a host's variables and its instance_id, and where given whether jobs run on it and its description.

        TowerRejected also for what Tower could not store, before it is sent.
        """
        try:
            require_instance_id(instance_id)
            body: Json = {"variables": encoded(variables), "instance_id": instance_id}
            if enabled is not None:
                body["enabled"] = enabled
            if description is not None:
                require_text("description", description)
                body["description"] = description
        except TowerRejected as error:
            raise TowerRejected(f"host {host_id} is not changed: {error}") from error
        self._http.read(self._http.send("PATCH", f"hosts/{host_id}/", body))

    def delete_hosts(self, hosts: Sequence[Host | DumpedHost]) -> Mapping[int, Kept]:
        """Delete hosts, at most BULK_DELETE_MAX, also while jobs run on their inventories; why Tower keeps some, by id.

        That one is gone already is no error. A refusal for one inventory or one host keeps no other one.
        """
        return BulkDeletion(self._http, self.created_at).delete(hosts)

    def marked_inventories(self) -> list[Inventory]:
        """Every inventory that holds a host with a marker, this installation's or another's [870]."""
        found = self._http.pages("inventories/", {"hosts__variables__contains": MARKER})
        return [read_inventory(raw) for raw in found if not raw.get("kind")]

    def dump(self, inventory: Inventory) -> Dump:
        """A whole inventory in one call, hosts that are disabled too [700]."""
        query = {"hostvars": "1", "all": "1", "towervars": "1"}
        answer = self._http.send("GET", f"inventories/{inventory.id}/script/", query=query)
        raw = self._http.read(answer)
        groups: defaultdict[str, set[str]] = defaultdict(set)
        for group, contents in raw.items():
            if group not in ("all", "_meta"):
                for name in contents.get("hosts", ()):
                    groups[name].add(group)
        hosts = raw["_meta"]["hostvars"].items()
        dumped = tuple(read_dumped_host(inventory, name, raw, groups[name]) for name, raw in hosts)
        return Dump(inventory, dumped, plain=json_is_surely_plain(answer.content))

    def created_at(self, host_ids: Collection[int]) -> dict[int, float]:
        """When each of these hosts was made, in epoch seconds by Tower's clock; those that are gone are left out."""
        return {
            raw["id"]: epoch(raw["created"])
            for chunk in batched(sorted(host_ids), PAGE_SIZE)
            for raw in self._http.pages("hosts/", {"id__in": ",".join(map(str, chunk))})
        }


def _connects_to(alternatives: Iterable[str]) -> str:
    """The regular expression of variables, in JSON or YAML, that set ansible_host to one of these."""
    return rf"""ansible_host["']?\s*:\s*["']?({"|".join(alternatives)})(["'\s,}}]|$)"""
