"""reference/events.md, events-workflows.md, event-samples.md: what is published on the event bus, from the samples in
events/announced, which the tests hold to what is published.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rollcall.bake.news import BakeEvent
from rollcall.cycle.news import CycleEvent
from rollcall.domain import event_fields
from rollcall.domain.reports import Event

from .markdown import REPOSITORY, code, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

SAMPLES = REPOSITORY / "events" / "announced"
ORIGIN = ("account", "region", "stack", "function")
PUBLISHED = {  # from which functions, and when
    Event.REGISTERED: (
        "register",
        "The instance has its host, in its groups, and its job if its group names a template.",
    ),
    Event.READY: (
        "gate",
        "Its job and its checks passed, and its hook was answered with CONTINUE. Without a hook: it serves, and is "
        "proven.",
    ),
    Event.ABANDONED: (
        "gate",
        "There is evidence against it: its host is gone, and its hook was answered with ABANDON. Or Auto Scaling "
        "ended its "
        "wait at [its limit](../guides/forks-and-timeouts.md#auto-scalings-own-limit), and cleanup had not removed its "
        "host before.",
    ),
    Event.RETIRED: (
        "cleanup, gate, register",
        "Its host was removed from every inventory, or disabled because it "
        "[rests](../guides/warm-pools.md#instances-that-come-back): it terminated, left while it was being "
        "provisioned, or "
        "was evicted because a new instance has its address. Only if it had a host or a hook waited.",
    ),
    event_fields.SERVING: (
        "gate",
        "Its load balancers call it healthy: [The watch](../guides/load-balancers.md#the-watch).",
    ),
    event_fields.NOT_SERVING: ("gate", "They do not, or do not any more."),
    event_fields.DRIFT_FIXED: ("reconcile", "A run has taken a step."),
    event_fields.CONFLICT_FOUND: (
        "reconcile",
        "Something needs an operator's decision. It comes again in every run for as long as it lasts: "
        "[Findings](../concepts/reconcile.md#what-it-only-reports).",
    ),
    event_fields.MISCONFIGURATION_FOUND: ("doctor", "Its daily run found it, and the run of the day before did not."),
    event_fields.MISCONFIGURATION_MENDED: ("doctor", "Its daily run finds it no more."),
    CycleEvent.STARTED: ("cycle", "The instance refresh of a cycle has begun: [Cycles](../event-paths.md#a-cycle)."),
    CycleEvent.PROGRESS: ("cycle", "Other numbers of instances, another phase, or another verdict than before."),
    CycleEvent.SUCCEEDED: ("cycle", "All was verified. Where there was nothing to replace nothing is published."),
    CycleEvent.FAILED: (
        "cycle",
        "It did not bring what it should, or what AWS called successful could not be verified. A pre-flight that "
        "refuses a cycle is one if a tag started it.",
    ),
    CycleEvent.ROLLED_BACK: ("cycle", "The group runs again what it ran before."),
    CycleEvent.CANCELLED: ("cycle", "Its refresh was cancelled, or its execution was stopped. What is new stays."),
    BakeEvent.BAKED: (
        "bake",
        "An image was made, passed its smoke test and is in a version of the launch template: [A "
        "bake](../operate/bake.md). Its roll-out begins then, and has the events of a cycle.",
    ),
    BakeEvent.FAILED: (
        "bake",
        "A bake ended otherwise than it was asked for, or the roll-out of its image did. A pre-flight that refuses a "
        "bake is one if a tag started it. One that an operator ended has the result `cancelled` or `rolled back by "
        "hand`: it counts as no failure, and opens no incident. Another one, without `result`, is published "
        "where reconcile finds instances of a bake whose time is over, however that ended: they are terminated. Of a "
        "bake that is over before its roll-out another one says what that came to, if it did not go well.",
    ),
    BakeEvent.RETIRED: ("bake", "An image beyond those that are kept was disabled or, a day later, deregistered."),
    event_fields.WORK_FAILED: (
        "all",
        "A try of an action failed; an instance waits for what does not come by itself, or went or serves without "
        "what it "
        "should have had; reconcile could not read or change something, or the removal limit stopped it. One is "
        "published "
        "for each action at each try.",
    ),
}
FIELDS = {
    "cycle": "the name of its execution; of a bake that of the cycle that rolls its image out, null without one",
    "bake": "the name of its execution; null for an image that is retired between bakes",
    "image": "the id of the image that was made, or retired; null where a bake came to none",
    "base_image": "the id of the image that the bake began with",
    "project_revision": "the revision of the Tower project whose playbook ran",
    "smoke": "how the image did in its smoke test: `passed`, `failed`, `off`; null before",
    "roll_out": "what the cycle ended as that rolls the image out; null before",
    "result": "what the bake ended as; null before, and where instances were found that it left",
    "execution_url": "that execution in the AWS console",
    "version": "the number of the launch template's version that new instances run; null where there is none",
    "from_version": "the number that the group ran before; null where there is none",
    "new": "instances that serve and are new",
    "in_progress": "instances that are being launched or terminated",
    "left": "instances that are still to be replaced",
    "percent": "as AWS counts it; it goes back in a rollback",
    "ended_by": "what ended the refresh of a cycle before it was through: `verdicts` of the gate, a request of an "
    "`operator`, or `aws`, for an alarm or a failure; null while it goes on, and where it was through",
    "instances": "up to 20, those in progress first: `id`, `stage`, `version`; `seconds` since Auto Scaling began what "
    "`since` names (`launch`, `termination`; empty where it is not known); `left`: seconds that it still warms up, "
    "null where it does not or that is not known",
    "verdicts": "what the gate decided against new instances, up to 20: `instance_id`, `decision` (`abandon`, `hold`), "
    "`what` (the task that failed, or the check), `job`, `job_url`, `reason`",
    "group": "the Auto Scaling group that it is about; null where it is about none in particular",
    "instance_id": "the instance that it is about; null where it is about none in particular",
    "seconds": "since Auto Scaling announced the launch or termination (`Instance Serving`: since the launch "
    "itself; of a cycle or a bake since it was started); null "
    "where that is not known, as with an eviction",
    "reason": "what happened, in words; in `Work Failed` the error's own, with the remedy. At most 4,000 characters",
    "job": "the id of the Tower job that it is about, of a cycle that of the first verdict, of a bake "
    "that made the image or failed; null if there is none",
    "job_url": "that job's page in Tower's user interface; null if there is none",
    "troubled": "whether a `Work Failed` was published of this instance before in this wait: if so this is how it "
    "ended. "
    "null where that is not known. false also where a `Work Failed` is published beside it",
    "error": "[the error's name](errors.md)",
    "transient": "whether the error is of the kind that passes by itself",
    "cause": "what is wrong, in the same words for all that suffer from it: [Causes](#causes)",
    "tries": "how often the message was received",
    "failing_for": "for how many seconds the message has been failing",
    "again_within": "if it lasts, the same is published again within so many seconds: silence for longer means "
    "that it is "
    "over. null: it is published once, and ends with a later `Instance Ready`, `Abandoned` or `Retired` of the same "
    "group and instance",
    "set_aside": "whether the message is in a dead-letter queue now, and not tried again",
    "step": "as in the answer of a run of reconcile: `removed`, `fixed`, `added`, `requeued`, `removed from Chef`; "
    "with a "
    "job that the run launched `added and provisioned`, `fixed and provisioned`",
    "inventory": "the name of the Tower inventory",
    "inventory_id": "its id",
    "kind": "[the finding](../concepts/reconcile.md#what-it-only-reports)",
    "subject": "the host, instance, inventory or inventory group, or the thing, that it is about",
    "key": "the [finding](doctor-findings.md)'s subject and name; the same for as long as it lasts",
    "severity": "`breaks launches` or `warning`",
    "remedy": "what to do, in words",
}
CAUSES = [
    ("`TowerUnavailable` (an error's name alone)", "the whole installation"),
    ("`BadSettings: group web`", "an error of one group"),
    (code(f"{event_fields.OF_AN_INSTANCE}web/i-…"), "one instance"),
    (
        "`read-only inventory: all EC2`",
        "an inventory that the token may only read keeps hosts of instances that are gone",
    ),
    ("`reconcile: group db`, `reconcile: TowerRejected: inventory fleet`", "what a run could not read or change"),
    ("`conflict: not opted in: fleet/i-…`", "a finding of reconcile"),
    (
        f"{code(event_fields.REMOVAL_LIMIT + 'fleet')}, {code(event_fields.REMOVAL_LIMIT + 'Chef')}",
        "the removal limit of an inventory, of nodes in Chef",
    ),
    (code(f"{event_fields.OF_A_CYCLE}web"), "in alerts: the cycles of a group, until one succeeds"),
    (code(f"{event_fields.OF_A_BAKE}web"), "in alerts: the bakes of a group, until one comes to an image in a version"),
    (code(f"{event_fields.OF_THE_DOCTOR}group web: no launch hook"), "a [finding of doctor](doctor-findings.md)"),
]
WORKFLOWS = (*CycleEvent, *BakeEvent)  # what is published of these is on a page of its own
ABOUT = """\
Every outcome is published on the account's default event bus, source `rollcall`, so that you can hang rules of your own
on it. [A sample of each](event-samples.md), whole as a rule's target gets it, is in `events/announced/`. What is
published of cycles and bakes: [Events of cycles and bakes](events-workflows.md).
"""
ABOUT_WORKFLOWS = """\
What is published of [cycles](../operate/cycle.md) and [bakes](../operate/bake.md), on the same bus and with the same
fields about where it comes from as [the other events](events.md).
"""
RULE = """\
A rule for everything that fails, to a topic of yours, say:

```json
{"source": ["rollcall"], "detail-type": ["Work Failed", "Conflict Found", "Instance Abandoned"]}
```

Events are sent at the end of an invocation, when hooks are answered and messages are sent on: no work waits for them.
What the bus does not take (twice) is lost, not repeated, for the work is done. A warning in the function's log names
it, and the metric `EventsLost` counts it. An event may come twice, and events come in any order.
"""
SAMPLES_ABOUT = """\
As a rule's target gets them. What the fields mean: [Events](events.md#fields).
"""


def write() -> str:
    """The page."""
    samples = read_samples()
    kinds = {each["detail-type"] for _, each in samples}
    if kinds != {str(each) for each in PUBLISHED}:
        raise ValueError(f"docs/generators/events.py: without a sample, or without words: {kinds ^ set(PUBLISHED)}")
    fields = {name for _, each in samples for name in each["detail"]} - set(ORIGIN)
    if fields != FIELDS.keys():
        raise ValueError(f"docs/generators/events.py: fields of no sample, or without words: {fields ^ FIELDS.keys()}")
    rows = [(code(str(kind)), by, when) for kind, (by, when) in PUBLISHED.items() if kind not in WORKFLOWS]
    return page(
        "Events",
        "events/announced",
        ABOUT,
        table(["detail type", "from", "published when"], rows),
        RULE,
        "## Fields",
        f"Each detail says where it comes from: {', '.join(code(each) for each in ORIGIN)} (stacks of one account and "
        "Region share the bus). The others:",
        table(["field", "meaning", "in"], _fields(samples, set(PUBLISHED) - set(WORKFLOWS))),
        "## Causes",
        table(["cause", "what it is about"], CAUSES),
    )


def write_workflows() -> str:
    """The page about what is published of cycles and of bakes."""
    rows = [(code(str(kind)), when) for kind, (_, when) in PUBLISHED.items() if kind in WORKFLOWS]
    return page(
        "Events of cycles and bakes",
        "events/announced",
        ABOUT_WORKFLOWS,
        table(["detail type", "published when"], rows),
        "## Fields",
        table(["field", "meaning", "in"], _fields(read_samples(), set(WORKFLOWS))),
    )


def write_samples() -> str:
    """The page with the samples."""
    parts = [SAMPLES_ABOUT]
    for name, sample in read_samples():
        parts += [f"## `{name}.json`", f"```json\n{json.dumps(sample, indent=2)}\n```"]
    return page("Samples of events", "events/announced", *parts)


def read_samples() -> list[tuple[str, dict[str, Any]]]:
    """Name and content of each sample, in the order of PUBLISHED."""
    found = [(path.stem, json.loads(path.read_text())) for path in sorted(SAMPLES.glob("*.json"))]
    order = [str(each) for each in PUBLISHED]
    return sorted(found, key=lambda each: order.index(each[1]["detail-type"]))


def _fields(samples: list[tuple[str, dict[str, Any]]], of: Set[str]) -> Iterator[tuple[str, str, str]]:
    """The fields of some kinds of events, each with those of these that have it."""
    for name, meaning in FIELDS.items():
        kinds = [each["detail-type"] for _, each in samples if name in each["detail"]]
        if having := [kind for kind in dict.fromkeys(kinds) if kind in of]:
            yield code(name), meaning, "all" if len(having) == len(of) else ", ".join(_listed(having))


def _listed(kinds: list[str]) -> Iterator[str]:
    """Kinds of events; those of cycles and of bakes in two words, for they all have the same fields."""
    yield from (code(each) for each in kinds if each not in WORKFLOWS)
    if set(kinds) & set(CycleEvent):
        yield "those of cycles"
    if set(kinds) & set(BakeEvent):
        yield "those of bakes"
