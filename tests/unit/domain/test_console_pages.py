"""Pages of the AWS console. Those of each partition: tests/unit/alerting/test_console_links.py."""

from __future__ import annotations

from rollcall.domain.console_pages import execution_url


def test_an_execution_is_named_in_its_link_and_shown_in_its_region() -> None:
    arn = "arn:aws-cn:states:cn-north-1:123456789012:execution:rollcall-Cycle:web-2b1d6f0a-v7"
    url = execution_url(arn)
    assert url == f"https://cn-north-1.console.amazonaws.cn/states/home?region=cn-north-1#/v2/executions/details/{arn}"
