"""The fleet's clients, as much of them as is needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest

from rollcall.aws.fleet import Fleet, Fleets
from rollcall.domain.actions import Result
from rollcall.domain.errors import BadEvent
from unit.fakes import ACCOUNT, REGION

from .answers import ACTION

if TYPE_CHECKING:
    from collections.abc import Callable


class Clients:
    """Counts the clients that are made; with slow, a first one is not ready before a second is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, slow: bool = False) -> None:
        self.made: list[str] = []
        self._second = threading.Event()
        self._slow = slow
        monkeypatch.setattr(boto3, "client", self._client)

    def _client(self, service: str, **given: Any) -> Any:
        self.made.append(service)
        if len(self.made) > 1:
            self._second.set()
        elif self._slow:
            self._second.wait(0.2)
        return cast("Any", _Accepting())


class _Accepting:
    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        return lambda **given: {}


def test_a_client_is_made_only_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = Clients(monkeypatch)
    fleet = Fleet(REGION)
    assert clients.made == []
    fleet.complete(ACTION, Result.CONTINUE)
    fleet.complete(ACTION, Result.ABANDON)
    assert clients.made == ["autoscaling"]


def test_threads_that_need_a_client_at_once_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # boto3 makes clients in one thread at a time only; cleanup completes hooks in several, and asks nothing before.
    clients = Clients(monkeypatch, slow=True)
    fleet = Fleet(REGION)
    threads = [threading.Thread(target=fleet.complete, args=[ACTION, Result.CONTINUE]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clients.made == ["autoscaling"]


def test_an_action_of_this_account_and_region_is_answered_by_one_fleet() -> None:
    fleets = Fleets(ACCOUNT, REGION)
    assert fleets.of(ACTION) is fleets.own
    assert fleets.own.region == REGION


@pytest.mark.parametrize(("account", "region"), [("999999999999", REGION), (ACCOUNT, "eu-west-1")])
def test_an_account_or_region_that_is_not_served_is_named_with_the_remedy(account: str, region: str) -> None:
    words = rf"i-a belongs to account {ACCOUNT} and Region {REGION}, and only account {account} in {region} is served"
    with pytest.raises(BadEvent, match=words):
        Fleets(account, region).of(ACTION)
