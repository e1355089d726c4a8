"""The Tower that the bench runs against: the model, with the latencies of a real server, or a real server.

Both are given an inventory, a job template for Rollcall, and a group and a template for the per-instance way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from contract.conftest import PLAYBOOKS, Operator, Server, given_template
from lab.tower.embedded import OPERATOR, Latency, Tower
from rollcall.tower.connection import api_root

JOB_TIME = 110.0  # seconds; so that 1,000 are registered, which takes 60, before the first result comes
JOB_SPREAD = 0.05  # jobs take 5 % less to 5 % more than that
EVENT_LAG = 1.0  # seconds from a job's end until its result can be read [802, 803]
HISTORY = 5  # jobs of the template that ended before the bench
EARLIER = "earlier"  # the host they ran on
PER_INSTANCE_JOB_TIME = 2.0  # seconds; so that these jobs leave Tower's capacity to Rollcall's
OWN_TOKEN = "per-instance"  # of the operator who registers instance by instance
LOCAL = "ansible_connection: local"  # jobs on a real server never reach another machine


@dataclass(frozen=True)
class Place:
    """Where in a Tower the bench works: the API's root, a token, a PEM file or None, and ids."""

    root: str
    token: str = field(repr=False)
    ca_file: str | None
    inventory: int
    template: int
    own_group: int
    own_template: int


class Side(Protocol):
    """What the bench asks of either Tower."""

    place: Place
    version: str

    def limits(self) -> list[frozenset[str]]:
        """The host names that each job of Rollcall's is limited to, so far."""


class PastClock:
    """This machine's clock, behind by some seconds until it catches up: what went before the bench costs no time."""

    def __init__(self, behind: float) -> None:
        self.behind = behind

    def __call__(self) -> float:
        return time.time() - self.behind


class Model:
    """The embedded Tower with a real server's latencies and a history of jobs."""

    version = "model"

    def __init__(self) -> None:
        clock = PastClock(2 * JOB_TIME)
        self.tower = Tower(
            boot_time=0,
            job_time=JOB_TIME,
            job_spread=JOB_SPREAD,
            event_lag=EVENT_LAG,
            latency=Latency(),
            clock=clock,
        )
        inventory = self.tower.add_inventory("fleet")
        template = self.tower.add_job_template("provision", inventory)
        own_group = self.tower.add_group(inventory, "per-instance")
        own_template = self.tower.add_job_template("per-instance", inventory)
        self.tower.add_token(OWN_TOKEN, username=OPERATOR)
        run_history(self.tower, inventory, template)
        clock.behind = 0.0
        self.tower.remove_host(EARLIER)
        self.tower.set_job_time(PER_INSTANCE_JOB_TIME, own_template)
        self.place = Place("", OWN_TOKEN, None, inventory, template, own_group, own_template)

    def served_at(self, url: str) -> None:
        """Where its server is, which is not known before it runs."""
        ids = (self.place.inventory, self.place.template, self.place.own_group, self.place.own_template)
        self.place = Place(api_root(url), OWN_TOKEN, None, *ids)

    def limits(self) -> list[frozenset[str]]:
        return [
            frozenset(job.limit.split(","))
            for job in self.tower.jobs(self.place.template)
            if job.launched_by != OPERATOR
        ]


def run_history(tower: Tower, inventory: int, template: int) -> None:
    """Start the jobs that a template has behind it; they succeed, on a host of their own."""
    tower.add_host(inventory, EARLIER)
    for _ in range(HISTORY):
        tower.run_playbook(template, EARLIER)


class Real:
    """A real server, with an organization of the bench's own."""

    def __init__(self, server: Server, operator: Operator) -> None:
        self._operator = operator
        self.version = str(operator.read("ping/")["version"])
        organization = operator.make("organizations")["id"]
        made = operator.make("inventories", organization=organization, variables=LOCAL)
        assert made["variables"] == LOCAL, "without it jobs would look for machines at the hosts' addresses"
        inventory = made["id"]
        runs = _playbook(operator)
        template, own_template = (
            operator.make(
                "job_templates", inventory=inventory, ask_limit_on_launch=True, allow_simultaneous=True, **runs
            )
            for _ in range(2)
        )
        own_group = operator.make("groups", inventory=inventory)["id"]
        self.place = Place(
            api_root(server.url),
            server.token,
            server.ca_file,
            inventory,
            template["id"],
            own_group,
            own_template["id"],
        )

    def limits(self) -> list[frozenset[str]]:
        jobs = self._operator.listed(f"job_templates/{self.place.template}/jobs/")
        return [frozenset(job["limit"].split(",")) for job in jobs]


@contextmanager
def real(server: Server) -> Iterator[Real]:
    """The bench's own place on a real server; nothing of it is left when the block ends."""
    operator = Operator(server)
    try:
        yield Real(server, operator)
    finally:
        operator.clear_up()


def _playbook(operator: Operator) -> dict[str, Any]:
    """The playbook of TOWER_JOB_TEMPLATE, or one that only says hello, as a job template names it."""
    if named := os.environ.get("TOWER_JOB_TEMPLATE"):
        raw = given_template(operator, named)
        return {"project": raw["project"], "playbook": raw["playbook"]}
    for project in operator.listed("projects/"):
        answer = operator.ask("GET", f"projects/{project['id']}/playbooks/")
        for name in answer.json() if answer.ok else []:
            if name in PLAYBOOKS:
                return {"project": project["id"], "playbook": name}
    raise LookupError(f"no project here has a playbook {' or '.join(PLAYBOOKS)}: set TOWER_JOB_TEMPLATE")
