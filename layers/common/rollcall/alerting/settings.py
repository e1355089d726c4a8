"""The configuration of the alert function, from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class AlertSettings:
    """Secrets are empty where there is no such channel. alert_after: seconds."""

    account: str
    region: str
    stack_name: str
    table: str
    alert_after: float
    log_groups: tuple[str, ...]
    dead_letter_queue_url: str
    pagerduty_secret: str = ""
    slack_secret: str = ""

    @property
    def stack(self) -> str:
        """This stack, of all there are."""
        return f"{self.account}/{self.region}/{self.stack_name}"


def read_alert_settings(environment: Mapping[str, str]) -> AlertSettings:
    """Settings from environment variables. Raises BadSettings naming the one that is missing."""
    try:
        return AlertSettings(
            account=environment["ACCOUNT_ID"],
            region=environment["AWS_REGION"],
            stack_name=environment["STACK_NAME"],
            table=environment["TOLD_TABLE"],
            alert_after=float(environment["ALERT_AFTER"]),
            log_groups=tuple(environment["LOG_GROUPS"].split()),
            dead_letter_queue_url=environment["DEAD_LETTER_QUEUE_URL"],
            pagerduty_secret=environment.get("PAGERDUTY_SECRET", ""),
            slack_secret=environment.get("SLACK_SECRET", ""),
        )
    except KeyError as error:
        raise BadSettings(f"environment variable {error} is missing: deploy with template.yaml") from error
