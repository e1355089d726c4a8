"""Pages of the AWS console that need no more than their URL. Pure."""

from __future__ import annotations

from urllib.parse import quote

DOMAINS = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


def console_page(region: str, service: str) -> str:
    """Where the console of a service begins, in a Region and its partition."""
    domain = next((each for prefix, each in DOMAINS.items() if region.startswith(prefix)), "console.aws.amazon.com")
    return f"https://{region}.{domain}/{service}/home?region={region}"


def execution_url(arn: str) -> str:
    """Where the console shows an execution of Step Functions."""
    return f"{console_page(arn.split(':')[3], 'states')}#/v2/executions/details/{quote(arn, safe=':')}"
