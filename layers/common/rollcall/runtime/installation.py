"""The pieces of one installation, put together once and kept across warm invocations."""

from __future__ import annotations

import os
from copy import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.fleet import Fleets
from rollcall.aws.queues import Queues
from rollcall.aws.secrets import secret_text
from rollcall.domain.settings import Settings, read_own_queue, read_settings
from rollcall.tower.client import Tower
from rollcall.tower.credentials import read_credentials

from .batch import BatchProcessor

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.chef.client import Chef
    from rollcall.telemetry.announcer import Announcer
    from rollcall.tower.connection import Credentials


class Installation(NamedTuple):
    """What a function works with."""

    settings: Settings
    tower: Tower
    fleets: Fleets
    queues: Queues

    def processor(self, announcer: Announcer) -> BatchProcessor:
        """The way into a function that is fed from a queue."""
        return BatchProcessor(read_own_queue(os.environ), self.fleets, self.queues, announcer)


@cache
def _installation() -> Installation:
    settings = read_settings(os.environ)
    return Installation(
        settings=settings,
        tower=Tower(settings.tower_url, lambda refresh: _credentials(settings.tower_secret, refresh=refresh)),
        fleets=Fleets(settings.account, settings.region),
        queues=Queues(),
    )


def installation(context: LambdaContext) -> Installation:
    """The installation this function belongs to; its calls to Tower end before the invocation does."""
    made = _installation()
    made.tower.finish_within(context.get_remaining_time_in_millis() / 1000)
    return made


def installation_afresh(context: LambdaContext) -> Installation:
    """The same with a Tower of its own: what this invocation finds there is what a function that starts now would."""
    return replace(_installation(), tower=tower_afresh(_installation().settings.tower_url, context))


def tower_afresh(url: str, context: LambdaContext) -> Tower:
    """Tower at a URL, with a session of its own and with the secret as it is now."""
    secret = _installation().settings.tower_secret
    made = Tower(url, lambda _: _credentials(secret, refresh=True))
    made.finish_within(context.get_remaining_time_in_millis() / 1000)
    return made


@cache
def _chef(secret: str) -> Chef:
    return _made_chef(secret, afresh=False)


def _made_chef(secret: str, *, afresh: bool) -> Chef:
    from rollcall.chef.client import Chef, read_chef_credentials  # with its layer, which only who needs it has

    return Chef(lambda refresh: read_chef_credentials(secret_text(secret, refresh=afresh or refresh), secret))


def chef(context: LambdaContext, *, afresh: bool = False) -> Chef | None:
    """This installation's Chef server, None if it has none; its calls, too, end before the invocation does.

    afresh: with a session of its own and with the secret as it is now.
    """
    secret = _installation().settings.chef_secret
    if not secret:
        return None
    made = _made_chef(secret, afresh=True) if afresh else _chef(secret)
    made.finish_within(context.get_remaining_time_in_millis() / 1000)
    return made


def _credentials(secret: str, *, refresh: bool) -> Credentials:
    """The Tower token from Secrets Manager, remembered for five minutes unless refresh is set.

    Raises BadSettings, AwsUnavailable, AwsDenied or AwsRejected.
    """
    return read_credentials(secret_text(secret, refresh=refresh), secret)
