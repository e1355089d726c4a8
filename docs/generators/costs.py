"""reference/costs.md, and the table of costs in README.md: what a stack costs a month, by the bench's price list and
the figures that it measured (docs/performance.md).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from bench.price import CUSTOM_METRICS, METRIC_MONTH, standing_price

from .cloudformation import TEMPLATE
from .markdown import REPOSITORY, page, table

if TYPE_CHECKING:
    from collections.abc import Mapping

FRONT_PAGE = REPOSITORY / "README.md"
FIGURES = REPOSITORY / "docs" / "performance.md"
PLACE = re.compile(r"(<!-- costs: made by `make docs` -->\n).*?(<!-- end -->)", re.DOTALL)
GROUPS = (1, 20, 200)
LIFECYCLES_A_DAY = 20  # of a group: instances that are launched, and in the end terminated
BUSY_HOURS_A_DAY = 8  # in which something of a group is published
INSTANCES = 10  # of a group
DAYS = 30  # of a month
METRICS_OF_A_GROUP = 12  # of CUSTOM_METRICS
SECRET_MONTH = 0.40  # USD; aws.amazon.com/secrets-manager/pricing: for each secret
PER_1000 = "list price of 1,000 lifecycles, USD"
COLD_PER_1000 = "cold starts of 1,000 lifecycles that come one at a time, USD"
RECONCILE = "reconciling 10,000 hosts every 5 minutes, USD a month"


class Price(NamedTuple):
    """USD a month, by what it is for."""

    alarms_and_polling: float
    metrics: float
    lifecycles: float
    reconcile: float
    secret: float


def price_of(groups: int, figures: Mapping[str, float]) -> Price:
    """What a stack with so many groups costs. figures: by their names in docs/performance.md."""
    lifecycles = groups * LIFECYCLES_A_DAY * DAYS / 1000
    shared = CUSTOM_METRICS - METRICS_OF_A_GROUP
    return Price(
        alarms_and_polling=standing_price(TEMPLATE) - CUSTOM_METRICS * METRIC_MONTH,
        metrics=(shared + groups * METRICS_OF_A_GROUP * BUSY_HOURS_A_DAY / 24) * METRIC_MONTH,
        lifecycles=lifecycles * (figures[PER_1000] + figures[COLD_PER_1000]),
        reconcile=figures[RECONCILE],
        secret=SECRET_MONTH,
    )


def measured() -> dict[str, float]:
    """The figures of docs/performance.md, by their names."""
    rows = re.findall(r"^\| ([^|]+?) \| ([\d.,]+) \|", FIGURES.read_text(), re.MULTILINE)
    return {name: float(value.replace(",", "")) for name, value in rows}


def front_page_table() -> str:
    """One line for README.md."""
    figures = measured()
    header = [f"{count} group{'s' if count > 1 else ''}" for count in GROUPS]
    totals = [f"${sum(price_of(count, figures)):,.0f} a month" for count in GROUPS]
    return table(header, [totals])


def update_front_page() -> None:
    """Writes the table into README.md."""
    text = FRONT_PAGE.read_text()
    new = with_costs(text)
    if new != text:
        FRONT_PAGE.write_text(new)
        print("README.md: its costs made anew")


def with_costs(text: str) -> str:
    """README.md with the table in its place."""
    return PLACE.sub(lambda place: f"{place[1]}{front_page_table()}\n{place[2]}", text)


def write() -> str:
    """The page."""
    figures = measured()
    prices = {count: price_of(count, figures) for count in GROUPS}
    rows = [
        (words, *(f"{getattr(prices[count], field):,.2f}" for count in GROUPS))
        for field, words in (
            ("alarms_and_polling", "alarms, dashboard, and polling of empty queues"),
            ("metrics", "metrics"),
            ("lifecycles", "launches and terminations: Lambda, SQS, logs, secrets, events"),
            ("reconcile", "reconcile, every 5 minutes"),
            ("secret", "the token's secret"),
        )
    ]
    total = ("**in all**", *(f"**{sum(prices[count]):,.2f}**" for count in GROUPS))
    header = ["USD a month", *(f"{count} group{'s' if count > 1 else ''}" for count in GROUPS)]
    at_most = METRICS_OF_A_GROUP * METRIC_MONTH
    return page(
        "Cost",
        "the bench's price list and docs/performance.md",
        "What AWS charges for a stack, by the list prices of us-east-1 on arm64, without the free tier.",
        table(header, [*rows, total]),
        "## Assumptions",
        f"""\
- Each group launches and terminates {LIFECYCLES_A_DAY} instances a day, one at a time, so that each pays for cold
  starts.
- Something of a group is published in {BUSY_HOURS_A_DAY} hours of a day. CloudWatch charges a metric for the hours in
  which it is published: a group has at most {METRICS_OF_A_GROUP} metrics, ${at_most:.2f} a month if it is busy in every
  hour. This is what grows with the number of groups.
- All alarms are counted, also those that are there only with Chef, cycles, bakes, PagerDuty or Slack.
- Reconcile is priced as for 10,000 hosts, which is more than these groups have ({INSTANCES} instances each: at most
  {max(GROUPS) * INSTANCES:,} hosts).
- Left out: cycles and bakes, with their metrics, which are published in the few hours in which one goes on. A bake
  pays for its builder, the instance of its smoke test and state transitions, and an image every month for its
  snapshots: [what one costs](../performance-bakes.md). A cycle pays for state transitions.
- Left out, too: network traffic, a NAT gateway or VPC endpoints if you deploy with `SubnetIds`, the queries of an open
  dashboard, the KMS key if you use your own, and what the instances and Tower cost.

The prices stand in `tests/bench/price.py`, with their sources. How the figures behind them are measured:
[Performance](../performance.md).""",
    )
