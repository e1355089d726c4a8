"""The samples in events/, filled with what is so in the lab: its group, instance, token and job, and the present time.

A sample's instance is in no account, its token is nobody's, its times are long past. The lab has the same situation
with an instance of its own (lab.by_hand.scenes), and here its values take the places of the sample's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rollcall_cli.invocation.events import SAMPLE_INSTANCE, changed

GROUP = "web"
TOKENS = ("87654321-4321-4321-4321-210987654321", "71514b9d-6a40-4b26-8523-05e7ee123456")  # of a launch, a termination
ADDRESS = "10.0.1.23"
JOB = 121
LAUNCHED_AT = 1795255170.0  # epoch seconds, as what follows
NOW = 1795255202.5  # when a function would work on a sample
AROUND = 10 * 86400.0  # seconds about it in which a number is a time
MOMENT = re.compile(r"(2026-11-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|\+0000)")
MILLISECONDS = re.compile(r"\d{13}")
OF_JOBS = ("job", "job_id")


@dataclass(frozen=True)
class Facts:
    """What is so in the lab. Empty, None: the sample names none.

    launched_at, since: of the instance, and of its wait; epoch seconds.
    """

    group: str = GROUP
    instance_id: str = SAMPLE_INSTANCE
    token: str = ""
    address: str = ADDRESS
    job: int | None = None
    launched_at: float | None = None
    since: float | None = None


def filled(sample: Any, facts: Facts, now: float) -> Any:
    """A sample with these facts in it, all of whose times are as far from now as they were from its own."""
    later = now - NOW

    def change(key: str, value: Any) -> Any:
        if isinstance(value, str):
            return _text(value, facts, later)
        if key in OF_JOBS and value == JOB and facts.job is not None:
            return facts.job
        known = {"launched_at": facts.launched_at, "since": facts.since}.get(key)
        if known is not None:
            return known
        return value + later if isinstance(value, float) and abs(value - NOW) < AROUND else value

    return changed(sample, change)


def _text(text: str, facts: Facts, later: float) -> str:
    if MILLISECONDS.fullmatch(text):
        return str(int(text) + int(later * 1000))
    text = text.replace(SAMPLE_INSTANCE, facts.instance_id).replace(ADDRESS, facts.address)
    if facts.token:
        for token in TOKENS:
            text = text.replace(token, facts.token)
    text = re.sub(rf"\b{GROUP}\b", facts.group, text)
    return MOMENT.sub(lambda found: _moved(found, later), text)


def _moved(found: re.Match[str], later: float) -> str:
    moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) + timedelta(seconds=later)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.000' if '.' in found[0] else ''}{found[2]}"
