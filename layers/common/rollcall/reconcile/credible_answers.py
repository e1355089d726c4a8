"""Whether EC2's answers can be trusted before instances that it does not describe count as gone."""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING

from rollcall.aws.instances import INSTANCES_PER_FILTER
from rollcall.domain.errors import AwsUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.instances import Instance
    from rollcall.domain.membership import Membership

CONTROLS = 5  # instances in service that are read with the others, to see what the answer about these is worth


def require_credible(memberships: Mapping[str, Membership], instances: Collection[str]) -> None:
    """Refuse an answer of EC2 that knows none of those that serve and were requested. Raises AwsUnavailable.

    It would make every instance that no group lists count as gone. Of a single one EC2 may really not know yet, or any
    more, when Auto Scaling lists it; with two or more that is less likely than an empty answer.
    """
    serving = [each for each, known in memberships.items() if known.serving]
    if len(serving) > 1 and not any(each in instances for each in serving):
        raise AwsUnavailable(
            f"EC2 describes none of the {len(serving)} instances that Auto Scaling says are in service: an answer that "
            "cannot be trusted, and nothing is done; the next run reads again"
        )


def asked_again(
    fleet: Fleet, memberships: Mapping[str, Membership], unknown: Collection[str], instances: Collection[str]
) -> dict[str, Instance]:
    """What EC2 returns for those it did not know, read once more and together with some of the instances it did know.

    Raises AwsUnavailable if it does not know one of these any more: then none counts as gone for its silence.
    """
    serving = {each for each, known in memberships.items() if known.serving}
    controls = sorted(serving & set(instances))[:CONTROLS]
    found: dict[str, Instance] = {}
    for chunk in batched(sorted(unknown), INSTANCES_PER_FILTER - CONTROLS):
        answer = fleet.instances({*chunk, *controls})
        if missing := [each for each in controls if each not in answer]:
            raise AwsUnavailable(
                f"EC2 does not describe {missing[0]} any more, which it described a moment ago: an answer that cannot "
                "be trusted, and nothing is done; the next run reads again"
            )
        found |= {each: answer[each] for each in chunk if each in answer}
    return found
