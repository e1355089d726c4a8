"""Every page that is made, by its path in docs/, with what writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    alarms,
    checks,
    commands,
    copies,
    costs,
    errors,
    events,
    findings,
    metrics,
    modules,
    parameters,
    permissions,
    tags,
    tags_of_bakes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES: dict[str, Callable[[], str]] = {
    "index.md": copies.copy_of("README.md"),
    "changelog.md": copies.copy_of("CHANGELOG.md"),
    "contributing.md": copies.copy_of("CONTRIBUTING.md"),
    "reference/alarms.md": alarms.write,
    "reference/checks.md": checks.write,
    "reference/commands.md": commands.write,
    "reference/commands-groups.md": commands.write_groups,
    "reference/costs.md": costs.write,
    **{f"reference/{name}.md": findings.writer(name) for name in findings.PLACES},
    "reference/errors.md": errors.write,
    "reference/event-samples.md": events.write_samples,
    "reference/events.md": events.write,
    "reference/events-workflows.md": events.write_workflows,
    "reference/metrics.md": metrics.write,
    **{f"reference/{name}.md": modules.writer(name) for name in modules.PACKAGES},
    "reference/parameters.md": parameters.write,
    "reference/permissions.md": permissions.write,
    "reference/permissions-bakes.md": permissions.write_bakes,
    "reference/permissions-cycles.md": permissions.write_cycles,
    "reference/tags.md": tags.write,
    "reference/tags-bakes.md": tags_of_bakes.write,
}
