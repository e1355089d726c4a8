"""Whether a job template's timeout and forks go together with the time that its groups give an instance. Pure.

How long a job will take is estimated by the jobs that succeeded.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError
from rollcall.domain.findings import Finding, warns

from .unread_findings import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from rollcall.domain.jobs import LaunchTerms, PastJob
    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedTemplate, OptedInGroup, OrError

ANSIBLE_FORKS = 5  # DEFAULT_FORKS of ansible-core: where neither template nor ansible.cfg says otherwise


@dataclass(frozen=True)
class FullJob:
    """What a job over as many hosts as there may be would take, by one that was.

    batches: of hosts that Ansible works on at once, one after the other. by: the job of the past over most hosts.
    """

    hosts: int
    batches: int
    by: PastJob

    @property
    def batch_seconds(self) -> float:
        """What a batch took."""
        return self.by.seconds / _batches(self.by.hosts, self.by.forks)

    @property
    def seconds(self) -> float:
        """What all of them would: too much by as often as the start of a job is counted, once for each batch."""
        return self.batch_seconds * self.batches


def full_job(past: Collection[PastJob], forks: int, hosts: int) -> FullJob | None:
    """The estimate for so many hosts; None without a job of the past. forks: of the template."""
    if not past or not hosts:
        return None
    by = max(past, key=lambda each: (each.hosts, each.seconds))
    return FullJob(hosts, _batches(hosts, forks), by)


def usual_seconds(template: ObservedTemplate | None) -> float:
    """What a job of a template usually takes; 0 where that is unknown."""
    if template is None or isinstance(template.past, RollcallError) or not template.past:
        return 0.0
    return median(each.seconds for each in template.past)


def _batches(hosts: int, forks: int) -> int:
    return math.ceil(hosts / (forks or ANSIBLE_FORKS))


def time_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """What is wrong with the templates that provision."""
    by_template: defaultdict[str, list[OptedInGroup]] = defaultdict(list)
    for each in observed.opted_in:
        if each.settings.job_template:
            by_template[each.settings.job_template].append(each)
    for reference, groups in by_template.items():
        template = observed.template(reference)
        if template and not isinstance(template.terms, RollcallError):
            yield from _timeout(reference, groups, template, template.terms, observed.tower.job_timeout)
            if not isinstance(template.past, RollcallError):
                hosts = min(here.max_hosts_per_job, sum(each.group.most for each in groups))
                full = full_job(template.past, template.terms.forks, hosts)
                yield from _length(reference, groups, template, template.terms, full)


def _timeout(
    reference: str,
    groups: Collection[OptedInGroup],
    template: ObservedTemplate,
    terms: LaunchTerms,
    default: OrError[int | None],
) -> Iterator[Finding]:
    known = isinstance(default, int)
    if terms.timeout > 0 or (terms.timeout == 0 and isinstance(default, int) and default > 0):
        return
    past = () if isinstance(template.past, RollcallError) else template.past
    longest = f", which took {max(each.seconds for each in past):,.0f} s" if past else ""
    unknown = "" if known or terms.timeout < 0 else " (the token may not read whether the server has a default)"
    yield warns(
        f"job template {reference!r}",
        "no timeout",
        f"job template {template.template.name!r} (named by tags of {_names(groups)}) has no timeout{unknown}: a job "
        "of it that hangs goes on, and its instances wait, until Rollcall or an operator cancels it",
        f"set the template's Timeout, in seconds, well above its longest good job{longest}",
    )


def _length(
    reference: str,
    groups: Collection[OptedInGroup],
    template: ObservedTemplate,
    terms: LaunchTerms,
    full: FullJob | None,
) -> Iterator[Finding]:
    if full is None:
        return
    hasty = [each for each in groups if each.settings.timeout < full.seconds]
    limits = [each.settings.timeout for each in hasty]
    against = [f"tag rollcall:timeout of {_names(hasty)} gives an instance {min(limits):,} s"] if hasty else []
    if 0 < terms.timeout < full.seconds:
        limits.append(terms.timeout)
        against.append(f"Tower ends a job of it after {terms.timeout:,} s")
    if not against:
        return
    yield warns(
        f"job template {reference!r}",
        "full job too long",
        f"a job of {template.template.name!r} over {full.hosts} hosts would take about {full.seconds:,.0f} s, and "
        f"{' and '.join(against)}. {_estimated(full, terms.forks)}",
        f"{_more_forks(full, min(limits))}deploy with a smaller MaxHostsPerJob, or lengthen what is too short",
    )


def _estimated(full: FullJob, forks: int) -> str:
    default = "" if forks else ", Ansible's default unless the project's ansible.cfg has another"
    return (
        f"Estimated by one over {full.by.hosts} that took {full.by.seconds:,.0f} s, in "
        f"{_counted(_batches(full.by.hosts, full.by.forks))} of {full.by.forks or ANSIBLE_FORKS} forks: {full.hosts} "
        f"hosts are {_counted(full.batches)} of {forks or ANSIBLE_FORKS}{default}"
    )


def _counted(batches: int) -> str:
    return f"{batches} batch{'' if batches == 1 else 'es'}"


def _more_forks(full: FullJob, limit: float) -> str:
    """The first words of the remedy, where more forks are one."""
    batches = int(limit // full.batch_seconds)
    return f"set the template's Forks to {math.ceil(full.hosts / batches)} or more, " if batches else ""


def _names(groups: Collection[OptedInGroup]) -> str:
    return listed([each.name for each in groups])
