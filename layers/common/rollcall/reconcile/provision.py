"""The jobs of hosts that a run made, or that an earlier one owes a job."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import RollcallError
from rollcall.hosts.job_templates import require_limitable
from rollcall.hosts.jobs import launch_once
from rollcall.hosts.variables import OWED_SINCE, with_state
from rollcall.tower.connection import TOWER_CALLS_AT_ONCE

from .host_errors import unless_gone
from .result import StepError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rollcall.domain.jobs import JobTemplate
    from rollcall.tower.client import Tower

    from .snapshot import Place


@dataclass(frozen=True)
class Owing:
    """A host on which its group's job is to be launched. variables: without the note of that."""

    place: Place
    instance_id: str
    host_id: int
    variables: Mapping[str, object]


@dataclass(frozen=True)
class Provisioned:
    """What came of a batch: the ids of jobs by instance id, the instances whose hosts owe none any more, errors."""

    jobs: Mapping[str, int] = EMPTY_MAPPING
    settled: frozenset[str] = frozenset()
    errors: tuple[StepError, ...] = ()


class JobLaunches:
    """Launches the provisioning jobs of hosts that a run made. templates: by group."""

    def __init__(self, tower: Tower, templates: Mapping[str, JobTemplate | None], hosts_per_job: int) -> None:
        self._tower = tower
        self._templates = templates
        self._hosts_per_job = hosts_per_job

    def owing(self, variables: Mapping[str, object]) -> dict[str, object]:
        """A host's variables with the note that its job is still to be launched, whatever becomes of this run."""
        return with_state(variables, **{OWED_SINCE: int(self._tower.now())})

    def provision(self, owing: Iterable[Owing]) -> Iterator[Provisioned]:
        """What came of each batch; where one fails the rest of its group's hosts is left to the next run."""
        by_place: defaultdict[Place, list[Owing]] = defaultdict(list)
        for each in owing:
            by_place[each.place].append(each)
        for place, own in by_place.items():
            template = self._templates[place.settings.group]
            assert template, "what has no job is not to be provisioned"  # noqa: S101 - the plan says so
            try:
                require_limitable(template, place.inventory, place.settings)
                for batch in batched(sorted(own, key=lambda each: each.instance_id), self._hosts_per_job):
                    yield self._launch(template, place, batch)
            except RollcallError as error:
                what = f"provisioning instances of group {place.settings.group}"
                yield Provisioned(errors=(StepError(what, error),))

    def _launch(self, template: JobTemplate, place: Place, batch: Sequence[Owing]) -> Provisioned:
        names = [each.instance_id for each in batch]
        job_id = launch_once(self._tower, template, place.inventory, names)
        with ThreadPoolExecutor(TOWER_CALLS_AT_ONCE) as pool:
            errors = list(pool.map(self._take_note_away, batch))
        return Provisioned(
            dict.fromkeys(names, job_id),
            frozenset(each.instance_id for each, own in zip(batch, errors, strict=True) if own is None),
            tuple(error for own in errors if own for error in own),
        )

    def _take_note_away(self, owing: Owing) -> tuple[StepError, ...] | None:
        """None if the host owes no job any more; else what failed, nothing where the host is gone by now."""
        try:
            self._tower.update_host(owing.host_id, owing.instance_id, owing.variables)
        except RollcallError as error:
            return unless_gone(self._tower, owing.place.inventory, owing.host_id, owing.instance_id, error)
        return None
