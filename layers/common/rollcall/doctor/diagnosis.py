"""Doctor: a look at everything that has to be right, and what of it is not. It changes nothing.

What is seen is read first (examination), findings are made of it by pure functions (the modules *_findings).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollcall.domain.answer_limit import cut_to_answer_limit
from rollcall.domain.errors import RollcallError
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.settings import OPT_IN_TAG

from .chef_findings import diagnose_chef
from .group_findings import diagnose_groups
from .group_settings import references
from .host_findings import diagnose_hosts, sampled
from .stack_findings import diagnose_stack
from .time_findings import diagnose_times
from .tower_findings import diagnose_tower

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.domain.messages import ExaminationRequest
    from rollcall.domain.settings import Settings

    from .examination import Examination
    from .group_settings import Asking
    from .observations import Look, Seen, SeenTower

type Json = dict[str, Any]

LISTED_MAX = 2000  # findings
NOBODY_TOLD = (  # no finding: whoever tries it out, or has monitoring of another kind, wants it so
    "who is told of trouble: nobody, for AlarmTopicArn, PagerDutySecretArn and SlackSecretArn are empty"
)
WORST_FIRST = [Severity.BREAKS_LAUNCHES, Severity.WARNING]


@dataclass(frozen=True)
class Diagnosis:
    """What was found, the worst first, and what was looked at, in words. topics: the user's that may send."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    topics: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something keeps instances from being launched as they should be, or may."""
        return any(each.severity == Severity.BREAKS_LAUNCHES for each in self.findings)


@dataclass(frozen=True)
class News:
    """What people are to be told, and what they know from then on."""

    found: tuple[Finding, ...]
    mended: tuple[Finding, ...]
    known: tuple[Finding, ...]


def diagnose(examination: Examination, request: ExaminationRequest, here: Settings) -> Diagnosis:
    """Look at everything, or at some groups and what they need."""
    seen, asking, findings = examination.look(request.groups)
    inventories, templates = references(asking)
    provisioning = {each.settings.job_template for each in asking}
    findings += diagnose_tower(
        seen.tower,
        inventories,
        templates,
        templates.keys() - provisioning,
        secret=here.tower_secret,
        in_vpc=here.in_vpc,
    )
    findings += diagnose_stack(seen.stack, here.account)
    findings += diagnose_times(asking, seen.tower, here.max_hosts_per_job)
    findings += diagnose_groups(seen, asking, here)
    findings += diagnose_hosts(asking, seen)
    findings += diagnose_chef(seen.chef, [each.group.name for each in asking if each.settings.nodes])
    distinct = {each.key: each for each in findings}  # what several looks bring up is said once
    ordered = sorted(distinct.values(), key=lambda each: (WORST_FIRST.index(each.severity), each.subject, each.what))
    return Diagnosis(tuple(ordered), tuple(_checked(seen, asking)), seen.stack.senders.named)


def news(now: Collection[Finding], known: Mapping[str, Finding]) -> News:
    """What changed since people were told. Where something hides others, nothing counts as mended for being gone."""
    by_key = {each.key: each for each in now}
    found = [each for key, each in by_key.items() if key not in known]
    gone = [each for key, each in known.items() if key not in by_key]
    hidden = any(each.hides for each in now)
    mended = [] if hidden else gone
    return News(tuple(found), tuple(mended), (*by_key.values(), *(gone if hidden else [])))


def answer(diagnosis: Diagnosis, seconds: float) -> Json:
    """What the function answers. Its fields:

    failed: something would break a launch, or may, for it could not be looked at. checked: what was looked at.
    findings: what is wrong. left_out: how many more findings there are. topics: ARNs and patterns of those that may
    send to the queues. seconds: the look took.
    """
    findings = [each.in_words() for each in diagnosis.findings[:LISTED_MAX]]
    kept = cut_to_answer_limit({"checked": diagnosis.checked, "topics": diagnosis.topics, "findings": findings})
    return {
        "failed": diagnosis.failed,
        **kept,
        "left_out": len(diagnosis.findings) - len(kept["findings"]),
        "seconds": round(seconds, 3),
    }


def _checked(seen: Seen, asking: Collection[Asking]) -> list[str]:
    stack = seen.stack
    serving = sum(known.serving for each in asking for known in each.group.members.values())
    looked_for = sampled(seen.tower, serving)
    return [
        _tower(seen.tower),
        f"{_read(seen.tower.inventories, 'inventory', 'inventories')} and "
        f"{_read(seen.tower.templates, 'job template')} that tags name",
        ", ".join(
            [
                _read(stack.rules, "rule"),
                _read(stack.queues, "queue"),
                _read(stack.sources, "event source mapping"),
                _read(stack.schedules, "schedule"),
                *([_read(stack.topics, "topic")] if stack.topics else []),
            ]
        ),
        *([] if stack.told else [NOBODY_TOLD]),
        *([] if seen.chef is None else [_chef(seen.chef)]),
        _groups(seen, asking),
        *([looked_for] if looked_for else []),
    ]


def _read(looks: Mapping[str, object], one: str, more: str = "") -> str:
    """How many looks showed something."""
    return _counted(sum(not isinstance(each, RollcallError) for each in looks.values()), one, more)


def _counted(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or f'{one}s'}"


def _tower(tower: SeenTower) -> str:
    if isinstance(tower.version, RollcallError):
        return f"Tower at {tower.root}, in vain"
    words = f"Tower {tower.version} at {tower.root}, whose clock is {round(tower.ahead):+d} s from AWS's"
    if tower.user is None or isinstance(tower.user, RollcallError):
        return words
    words += f", as user {tower.user.name}"
    return words if tower.limits or not tower.bulk else f"{words}, who may not read the limits of bulk calls"


def _chef(nodes: Look[int]) -> str:
    if isinstance(nodes, RollcallError):
        return "the Chef server, in vain"
    return f"the Chef server, which has {_counted(nodes, 'node')}"


def _groups(seen: Seen, asking: Collection[Asking]) -> str:
    if isinstance(seen.groups, RollcallError):
        return "the Auto Scaling groups, in vain"
    opted_in = [each for each in seen.groups.values() if OPT_IN_TAG in each.group.tags]
    hooks = sum(len(each.hooks) for each in opted_in if not isinstance(each.hooks, RollcallError))
    instances = sum(len(each.group.members) for each in asking)
    others = _counted(len(seen.groups) - len(opted_in), "other")
    return (
        f"{_counted(len(opted_in), 'Auto Scaling group')} that opted in, with {_counted(hooks, 'hook')} and "
        f"{_counted(instances, 'instance')}; the hooks of {others}"
    )
