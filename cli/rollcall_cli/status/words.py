"""A status in words: its summary, an entry for each instance that waits, and what is around them. Pure.

What is computed and not read is called so. Times are shown in UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.shell_commands import command, operand
from rollcall_cli.times import clock, duration, moment

from .bakes import bake_words
from .cycles import cycle_words, pin_words
from .group_work import due_words, end_words, mixed_words
from .waits import CheckAnswer, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollcall.alerting.incident import Incident

    from .reading import Gap, Status
    from .surroundings import LastRun, SeenQueue
    from .waits import SeenJob, Shown, Wait

SUBJECTS = 5  # of an incident that are named
A_DAY = 86_400  # seconds


class Line(NamedTuple):
    """A line of an entry. is_pasted: it holds a link or a command, and is not broken."""

    text: str
    is_pasted: bool = False


class Entry(NamedTuple):
    """One thing that is shown: its heading, the lines below it, and whether it calls for an operator."""

    heading: str
    lines: tuple[Line, ...] = ()
    acts: bool = False


def summary(status: Status) -> str:
    """What there is, in one line."""
    held = sum(each.shown.step.needs_operator for each in status.waits)
    unknown = sum(each.shown.step == Step.NOT_KNOWN for each in status.waits)
    waiting = f"{_count(len(status.waits), 'instance')} wait{'s' if len(status.waits) == 1 else ''}"
    parts = [
        (waiting if status.waits else "no instance waits")
        + (f", {held:,} held" if held else "")
        + (f", {unknown:,} for something that is not known" if unknown else "")
    ]
    if status.cycles:
        parts.append(f"{_count(len(status.cycles), 'cycle')} run{'s' if len(status.cycles) == 1 else ''}")
    if status.bakes:
        parts.append(f"{_count(len(status.bakes), 'bake')} run{'s' if len(status.bakes) == 1 else ''}")
    parts += [f"the last {each.what} of {each.group} {each.result}" for each in status.ends if each.went_wrong]
    if status.mixed:
        parts.append(f"{_count(len(status.mixed), 'group')} with mixed versions")
    if left := [each for each in status.pins if each.needs_operator]:
        parts.append(f"{_count(len(left), 'pin')} left behind")
    if status.in_emergency:
        parts.append(f"{_count(len(status.in_emergency), 'group')} in an emergency")
    if letters := _dead_letters(status):
        parts.append(f"{_count(letters, 'message')} in dead-letter queues")
    if status.alarms:
        parts.append(_count(len(status.alarms), "alarm"))
    if status.incidents:
        parts.append(_count(len(status.incidents), "open incident"))
    if status.last_run and status.last_run.at is None:
        parts.append(f"no run of reconcile has ended for {duration(status.last_run.looked_back)}")
    if status.gaps:
        parts.append(f"{_count(len(status.gaps), 'thing')} could not be read")
    unwell = needs_operator(status) or status.mixed or any(each.went_wrong for each in status.ends)
    return "; ".join([*parts, *([] if unwell else ["all well"])])


def needs_operator(status: Status) -> bool:
    """Whether an operator has to act, or cannot see whether: something is held, sounds, is open, or is not read."""
    return bool(
        any(each.shown.step.needs_operator or each.shown.step == Step.NOT_KNOWN for each in status.waits)
        or status.in_emergency
        or any(each.needs_operator for each in status.pins)
        or _dead_letters(status)
        or status.alarms
        or status.incidents
        or (status.last_run and status.last_run.at is None)
        or status.gaps
    )


def entry_of(wait: Wait, now: float) -> Entry:
    """An instance that waits: for what, since when, and what comes next."""
    shown = wait.shown
    since = f"waits for {duration(now - wait.since)}" if wait.since else "since when is not known"
    heading = f"{wait.instance_id}  {shown.step} ({wait.state}, {since})"
    lines = [
        *([Line(shown.reason)] if shown.reason else []),
        *([Line(_job_words(shown.job, now)), Line(shown.job.url, is_pasted=True)] if shown.job else []),
        *_checks(shown),
        *([Line(f"tries so far: {shown.tries}")] if shown.tries > 1 else []),
        *([Line(f"{shown.next_is}: {_within(shown.next_at, now)} (computed)")] if shown.next_at else []),
        *_end(wait, now),
    ]
    return Entry(heading, tuple(lines), shown.step.needs_operator)


def around(status: Status, given: Sequence[str]) -> Iterator[Entry]:
    """Emergencies, cycles, bakes, queues, dead letters, alarms, incidents, reconcile, and what is missing."""
    if status.in_emergency:
        yield Entry("in an emergency", tuple(_emergency(each, given) for each in status.in_emergency), acts=True)
    yield from _workflows(status, given)
    if status.pins:
        acts = any(each.needs_operator for each in status.pins)
        yield Entry("pinned", tuple(Line(pin_words(each), is_pasted=True) for each in status.pins), acts)
    yield from _queues(status, given)
    if status.alarms is not None:
        words = [Line(f"{each.name}, since {moment(each.since)}: {each.description}") for each in status.alarms]
        yield _listed("alarms", words)
    yield from _incidents(status)
    if status.last_run is not None:
        yield Entry("reconcile", (Line(_run_words(status.last_run, status.at)),), status.last_run.at is None)
    if status.gaps:
        yield Entry("missing", tuple(line for each in status.gaps for line in _gap_lines(each)), acts=True)


def _workflows(status: Status, given: Sequence[str]) -> Iterator[Entry]:
    """Cycles and bakes: those that run, how the last ended where not well, the next by schedule, and what they left."""
    running: dict[str, list[str] | None] = {
        "cycle": None if status.cycles is None else [cycle_words(each, status.at, given) for each in status.cycles],
        "bake": None if status.bakes is None else [bake_words(each, status.at, given) for each in status.bakes],
    }
    for what, words in running.items():
        if words is not None:
            ended = [end_words(each, given) for each in status.ends if each.what == what]
            due = [due_words(each) for each in status.due if each.what == what]
            lines = [Line(each, is_pasted=True) for each in (*(words or ["none"]), *ended, *due)]
            yield Entry(f"{what}s", tuple(lines))
    if status.mixed:
        words = [mixed_words(each, given, has_cycles=status.cycles is not None) for each in status.mixed]
        yield Entry("mixed versions", tuple(Line(each, is_pasted=True) for each in words))


# Of an instance


def _job_words(job: SeenJob, now: float) -> str:
    named = f"job {job.id}" + (f" ({job.template})" if job.template else "")
    if job.ended_at is not None:
        state = f"{job.status}, ended {duration(now - job.ended_at)} ago, took {duration(job.ended_at - job.since)}"
    else:
        state = f"{job.status} for {duration(now - job.since)}"
    return f"{named}: {state}; {_usual_words(job.usual)}"


def _usual_words(usual: tuple[float, ...]) -> str:
    if not usual:
        return "none has succeeded yet, so how long it takes is not known"
    shortest, longest = duration(usual[0]), duration(usual[-1])
    return f"usually {shortest}" + (f" to {longest}" if shortest != longest else "")


def _checks(shown: Shown) -> Iterator[Line]:
    for each in shown.checks:
        if each.answer != CheckAnswer.PASSES:
            yield Line(f"check {each.check} {each.answer}" + (f": {each.reason}" if each.reason else ""))
    if passing := [each.check for each in shown.checks if each.answer == CheckAnswer.PASSES]:
        yield Line(f"passing: {', '.join(passing)}")


def _end(wait: Wait, now: float) -> Iterator[Line]:
    if wait.ends_at is not None:
        yield Line(f"AWS ends the wait {_within(wait.ends_at, now)}, with {wait.ends_with} (computed)")
    elif wait.hooks:
        why = (
            "since when it waits is not known" if wait.since is None else "it began later, or its hook was another then"
        )
        yield Line(f"when AWS ends the wait cannot be computed: {why}")


def _within(at: float, now: float) -> str:
    if at <= now:
        return "now"
    return f"in {duration(at - now)}, at {clock(at) if at - now < A_DAY else moment(at)}"


# Around them


def _listed(heading: str, lines: Sequence[Line]) -> Entry:
    """What calls for an operator where there is any."""
    return Entry(heading, tuple(lines) or (Line("none"),), bool(lines))


def _queues(status: Status, given: Sequence[str]) -> Iterator[Entry]:
    if status.queues is None:
        return
    own = [Line(_queue_words(each)) for each in status.queues if each.total and not each.is_dead_letters]
    yield Entry("queues", tuple(own) or (Line("all empty"),))
    letters = [each for each in status.queues if each.total and each.is_dead_letters]
    shows = command("rollcall", "redrive", *given)
    yield _listed(
        "dead letters", [Line(f"{_queue_words(each)}: {shows} shows them", is_pasted=True) for each in letters]
    )


def _incidents(status: Status) -> Iterator[Entry]:
    if status.incidents is not None:
        yield _listed("open incidents", [_incident(each, status.at) for each in status.incidents])
    elif not status.has_alert:
        yield Entry("open incidents", (Line("not known: the stack has no alert function, for it has no channel"),))


def _emergency(group: str, given: Sequence[str]) -> Line:
    restore = command("rollcall", "offboard", "--restore", *given, *operand(group))
    return Line(f"{group}: its instances serve whatever their jobs say; once it is over: {restore}", is_pasted=True)


def _queue_words(queue: SeenQueue) -> str:
    parts = [(queue.waiting, "to be taken"), (queue.worked_on, "being worked on"), (queue.put_off, "put off")]
    if queue.is_dead_letters:
        parts = [(queue.total, "message" if queue.total == 1 else "messages")]
    oldest = f", the oldest for {duration(queue.oldest)}" if queue.oldest is not None else ""
    return f"{queue.name}: {', '.join(f'{number:,} {what}' for number, what in parts if number)}{oldest}"


def _incident(incident: Incident, now: float) -> Line:
    subjects = ", ".join(incident.subjects[:SUBJECTS])
    more = f" and {len(incident.subjects) - SUBJECTS:,} more" if len(incident.subjects) > SUBJECTS else ""
    of = f" ({subjects}{more})" if subjects else ""
    return Line(f"{incident.severity}, for {duration(now - incident.since)}{of}: {incident.reason}")


def _run_words(run: LastRun, now: float) -> str:
    if run.at is None:
        return f"no run has ended for {duration(run.looked_back)}: is its schedule enabled? See its log"
    troubles = f", with {_count(run.troubles, 'problem')}: see its log" if run.troubles else ""
    return f"the last run ended {duration(now - run.at)} ago{troubles}"


def _gap_lines(gap: Gap) -> Iterator[Line]:
    yield Line(f"{gap.what}: {gap.why}")
    if gap.remedy:
        yield Line(f"remedy: {gap.remedy}", is_pasted=True)


def _dead_letters(status: Status) -> int:
    return sum(each.total for each in status.queues or () if each.is_dead_letters)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
