"""What is wrong with the job templates that tags name: they are not there, or cannot be launched as they are. Pure.

Whether their timeouts and forks go together with the groups' is in time_findings.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError, Transient
from rollcall.domain.findings import Finding, Severity, breaks, warns

from .inventory_findings import reads_only
from .observations import ObservedTemplate, templates_named
from .unread_findings import listed, not_found, transient_only, unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedTower, OrError


def template_findings(observed: Observations, _: Settings) -> Iterator[Finding]:
    """What is wrong with them, and what could not be read of them; without one that only retires launches go on."""
    tower = observed.tower
    if not tower.answers:
        return
    yield from _unread(tower)
    silent = reads_only(tower)  # a finding of its own says so
    provisioning = {each.settings.job_template for each in observed.opted_in}
    for reference, groups in templates_named(observed.opted_in).items():
        template, named = tower.templates.get(reference), f"named by tags of {listed(groups)}"
        for each in _template(reference, named, template, silent=silent):
            yield each if reference in provisioning else replace(each, severity=Severity.WARNING)


def _unread(tower: ObservedTower) -> Iterator[Finding]:
    templates = {name: each for name, each in tower.templates.items() if isinstance(each, ObservedTemplate)}
    yield from unread("job templates", transient_only(tower.templates))
    yield from unread("launch terms of job templates", {name: each.terms for name, each in templates.items()})
    past = {name: each.past for name, each in templates.items()}
    yield from unread("past jobs of job templates", past, Severity.WARNING)


def _template(
    reference: str, named: str, template: OrError[ObservedTemplate] | None, *, silent: bool
) -> Iterator[Finding]:
    subject = f"job template {reference!r}"
    if template is None or isinstance(template, Transient):
        return
    if isinstance(template, RollcallError):
        yield not_found(subject, named, template, "Execute")
        return
    name, terms = template.template.name, template.terms
    if isinstance(terms, RollcallError):
        return
    if not terms.startable and not silent:
        yield breaks(
            subject,
            "role",
            f"the token's user may not launch job template {name!r} ({named})",
            f"grant the token's user the role Execute on it (Tower: Templates, {name}, Access)",
        )
    if terms.needed:
        yield breaks(
            subject,
            "launch needs more",
            f"Tower does not launch job template {name!r} ({named}) without {', '.join(terms.needed)}, which Rollcall "
            "never gives",
            "make the survey's questions optional or set the values as extra variables of the template, and give it "
            "credentials that ask for nothing at launch",
        )
    if not terms.simultaneous:
        yield warns(
            subject,
            "one job at a time",
            f"job template {name!r} ({named}) allows no concurrent jobs: a second batch waits for the first one's job",
            "tick 'Concurrent jobs' (allow_simultaneous) in the template",
        )
