"""The Tower REST API (AWX, Tower, AAP controller), as much of it as we use.

Raw JSON comes in here and frozen dataclasses go out; every answer that is not a success becomes an error of our
taxonomy with the server's own words in it. What the server does was observed on AWX 24.6.1; numbers in brackets, here
and in the parts, name its recorded exchanges in tests/contract/recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .connection import Connection, reads_answers
from .hosts import Hosts
from .inventory_groups import InventoryGroups
from .job_history import JobHistory
from .job_results import JobResults
from .jobs import Jobs
from .references import References
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.http.transport import Exchange

    from .connection import Credentials


@reads_answers
class Tower(References, Hosts, InventoryGroups, Jobs, JobHistory, JobResults, Server):
    """One Tower, spoken to through one kept-alive session: all parts of its API together.

    credentials(refresh) gives the token; with refresh=True it must be read afresh. The methods raise TowerUnavailable,
    TowerDenied or TowerRejected, and what they add to that they name.
    """

    def __init__(self, url: str, credentials: Callable[[bool], Credentials]) -> None:
        super().__init__(Connection(url, credentials))

    def finish_within(self, seconds: float) -> None:
        """Bound what follows to the seconds left in this invocation; calls beyond that raise TowerUnavailable."""
        self._http.finish_within(seconds)

    @property
    def root(self) -> str:
        """The API root, ending in a slash."""
        return self._http.root

    def exchanges(self) -> list[Exchange]:
        """What the requests since the last call of this took: see Transport.exchanges."""
        return self._http.exchanges()

    def now(self) -> float:
        """Tower's own clock, in epoch seconds: see Connection.now."""
        return self._http.now()
