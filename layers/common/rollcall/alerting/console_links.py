"""Links into the AWS console: a query of CloudWatch Logs Insights, an alarm.

The console keeps its state in the URL's fragment, in a notation called JSURL (Sage/jsurl): an object is
~(key~value~…), a list ~(~value~…), a string begins with ' and all of it but letters, digits, _ - . is written *xx, or
**xxxx beyond Latin-1, and $ as !. What the console puts before it, ?queryDetail=, it writes with $3F and $3D.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from rollcall.domain.console_pages import console_page

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = "fields @timestamp, service, level, group, instance_id, message"


def log_query(**wanted: str) -> str:
    """A query for the log lines of ours whose fields have these values; without any, for what went wrong."""
    filters = [f'{field} = "{_quoted(value)}"' for field, value in wanted.items()]
    chosen = " and ".join(filters) or 'level in ["ERROR", "WARNING", "CRITICAL"]'
    return f"{SHOWN}\n| filter {chosen}\n| sort @timestamp"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def log_query_url(region: str, log_groups: Sequence[str], query: str, start: float, end: float) -> str:
    """Where the console shows what a query finds in log groups. start, end: epoch seconds."""
    fields = (
        f"end~{_string(_time(end))}",
        f"start~{_string(_time(start))}",
        "timeType~'ABSOLUTE",
        "tz~'UTC",
        f"editorString~{_string(query)}",
        f"source~({''.join(f'~{_string(each)}' for each in log_groups)})",
    )
    return f"{console_page(region, 'cloudwatch')}#logsV2:logs-insights$3FqueryDetail$3D~({'~'.join(fields)})"


def alarm_url(region: str, name: str) -> str:
    """Where the console shows an alarm."""
    return f"{console_page(region, 'cloudwatch')}#alarmsV2:alarm/{quote(name, safe='')}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _string(text: str) -> str:
    return "'" + re.sub(r"[^A-Za-z0-9_.-]", _escaped, text)


def _escaped(match: re.Match[str]) -> str:
    if match[0] == "$":
        return "!"
    units = match[0].encode("utf-16-be")  # as JavaScript counts characters
    codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    return "".join(f"*{code:02x}" if code < 0x100 else f"**{code:04x}" for code in codes)
