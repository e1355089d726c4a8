"""Links into the console: read back as the console reads them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.alerting.console_links import alarm_url, log_query, log_query_url

GROUPS = ("rollcall-RegisterLogGroup-Ab1", "/aws/lambda/ümlaut$")


def read_back(url: str) -> dict[str, Any]:
    """What the console makes of the part behind queryDetail=, in the notation of Sage/jsurl."""
    fragment = re.sub(r"\$([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), urlsplit(url).fragment)
    text = fragment.partition("?queryDetail=")[2]
    value, end = parse(text, 0)
    assert end == len(text)
    assert isinstance(value, dict)
    return value


def parse(text: str, at: int) -> tuple[Any, int]:
    assert text[at] == "~"
    at += 1
    if text[at] == "'":
        end = at + 1
        while end < len(text) and text[end] not in "~)":
            end += 1
        return decoded(text[at + 1 : end]), end
    if text[at] != "(":
        match = re.compile(r"[^~)]*").match(text, at)
        assert match
        return match[0], match.end()
    at += 1
    if text[at] == "~":
        items = []
        while text[at] == "~":
            item, at = parse(text, at)
            items.append(item)
        return items, at + 1
    fields = {}
    while text[at] != ")":
        match = re.compile(r"[^~)]*").match(text, at)
        assert match
        fields[match[0]], at = parse(text, match.end())
        at += text[at] == "~"
    return fields, at + 1


def decoded(text: str) -> str:
    units = b""
    for match in re.finditer(r"\*\*([0-9a-f]{4})|\*([0-9a-f]{2})|(!)|([A-Za-z0-9_.-])", text):
        wide, narrow, dollar, plain = match.groups()
        code = int(wide or narrow, 16) if wide or narrow else ord("$" if dollar else plain)
        units += code.to_bytes(2)
    assert re.fullmatch(r"(\*\*[0-9a-f]{4}|\*[0-9a-f]{2}|[!A-Za-z0-9_.-])*", text)
    return units.decode("utf-16-be")


def test_the_console_reads_query_log_groups_and_times() -> None:
    query = log_query(instance_id="i-0a")
    url = log_query_url("eu-west-1", GROUPS, query, 1_795_255_200.0, 1_795_258_800.4)
    start = "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:logs-insights$3FqueryDetail$3D~("
    assert url.startswith(start)
    assert read_back(url) == {
        "end": "2026-11-21T11:00:00.000Z",
        "start": "2026-11-21T10:00:00.000Z",
        "timeType": "ABSOLUTE",
        "tz": "UTC",
        "editorString": query,
        "source": list(GROUPS),
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_is_read_as_it_was_written(text: str) -> None:
    assert read_back(log_query_url("us-east-1", [text], text, 0, 1))["editorString"] == text


def test_a_link_is_the_string_that_the_console_itself_writes() -> None:
    url = log_query_url("us-east-1", ["/aws/lambda/f"], "fields @timestamp, @message\n| limit 20", 0, 0)
    assert "~editorString~'fields*20*40timestamp*2c*20*40message*0a*7c*20limit*2020~" in url
    assert url.endswith("~source~(~'*2faws*2flambda*2ff))")
    assert re.fullmatch(r"[!-~]+", url)
    assert not set(url) & set('<>|"\\ ')


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "us-east-1.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_each_partition_has_its_console(region: str, host: str) -> None:
    assert urlsplit(log_query_url(region, ["g"], "q", 0, 1)).hostname == host
    assert urlsplit(alarm_url(region, "a")).hostname == host


def test_a_query_asks_for_fields_and_quotes_what_it_asks_for() -> None:
    assert log_query(group='w"e\\b', error="BadSettings").splitlines()[1:] == [
        '| filter group = "w\\"e\\\\b" and error = "BadSettings"',
        "| sort @timestamp",
    ]
    assert 'level in ["ERROR", "WARNING", "CRITICAL"]' in log_query()


def test_an_alarm_is_named_in_its_link() -> None:
    url = alarm_url("us-east-1", "rollcall Gate/1")
    assert unquote(url).endswith("#alarmsV2:alarm/rollcall Gate/1")
    assert url.endswith("rollcall%20Gate%2F1")
