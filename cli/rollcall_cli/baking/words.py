"""A bake in words while it runs: what changed since it was read last, and what each thing about it is. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollcall.bake.state import OF_ROLL_OUT, Phase
from rollcall_cli.times import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.bake.state import BakeState
    from rollcall_cli.cycling.executions import CycleExecution

    from .executions import BakeExecution

PHASES = tuple(Phase)  # in the order in which a bake comes through them


def changes(before: BakeExecution | None, now: BakeExecution) -> Iterator[str]:
    """What is new since it was read before, a line each, with the time of day by AWS's clock.

    What is new of its cycle is not among it.
    """
    if now.failing and (before is None or before.failing != now.failing):
        yield f"{clock(now.read)}: a step of the bake failed, and is tried again: {now.failing}"
    if now.state is None:
        if before is None:
            yield f"{clock(now.read)}: {Phase.PREFLIGHT}"
        return
    old = before.state if before else None
    known = {words for _, words in _facts(old)} if old else set()
    said = old.phase if old else Phase.PREFLIGHT if before else None
    phase = PHASES.index(now.state.phase)
    new = [(of, words) for of, words in _facts(now.state) if words not in known]
    if now.running:
        new += [
            (now.state.phase, f"warning: {each}") for each in now.state.warnings if not old or each not in old.warnings
        ]
    lines = [words for of, words in new if PHASES.index(of) < phase]
    lines += [_phase_words(now.state)] if said != now.state.phase else []
    lines += [words for of, words in new if PHASES.index(of) >= phase]
    yield from (f"{clock(now.answered)}: {words}" for words in lines)


def cycle_beneath(execution: BakeExecution) -> CycleExecution | None:
    """The cycle of a bake, without the warnings that the bake's own pre-flight has said; None before there is one."""
    cycle, bake = execution.cycle, execution.state
    if cycle is None or cycle.state is None or bake is None:
        return cycle
    left = tuple(each for each in cycle.state.warnings if f"{OF_ROLL_OUT}{each}" not in bake.warnings)
    return replace(cycle, state=replace(cycle.state, warnings=left))


def _phase_words(state: BakeState) -> str:
    return f"the bake ended: {state.result}" if state.phase == Phase.ENDED and state.result else str(state.phase)


def _facts(state: BakeState) -> Iterator[tuple[Phase, str]]:
    """What is known of a bake, in the order in which it comes to be known, and in which phase it does."""
    if state.base_image.id:
        yield Phase.PREFLIGHT, base_words(state)
    if state.builder:
        yield Phase.REGISTERING if state.address else Phase.LAUNCHING, builder_words(state)
    if state.job is not None:
        yield Phase.PROVISIONING, job_words(state)
    if state.image_id:
        name = f": {state.image_name}" if state.image_name else ""
        yield Phase.IMAGING, f"image {state.image_id}{name}"
    if state.smoke_instance:
        job = f"; {in_tower(state.smoke_job, state.smoke_job_url)}" if state.smoke_job is not None else ""
        yield Phase.SMOKE, f"smoke test on {state.smoke_instance}{job}"
    if state.smoke:
        yield Phase.SMOKE, f"smoke test: {state.smoke}"
    if state.version:
        yield Phase.VERSION, version_words(state)
    if state.cycle:
        yield Phase.ROLLING_OUT, f"cycle {state.cycle}" + (f": {state.cycle_result}" if state.cycle_result else "")


def base_words(state: BakeState) -> str:
    """What is baked from what, in a line."""
    image, *others = base_parts(state)
    named = base_name(state)
    return ", ".join((f"{image} ({named})" if named else image, *others))


def base_name(state: BakeState) -> str:
    """The name and the architecture of the base image, as far as they are known."""
    return ", ".join(filter(None, (state.base_image.name, state.base_image.architecture)))


def base_parts(state: BakeState) -> list[str]:
    """What is baked from what: the image, the version of the launch template, the builder's type and subnet."""
    parts = [f"from image {state.base_image.id}"]
    if state.template_id:
        version = f" version {state.from_version}" if state.from_version else ""
        parts.append(f"for launch template {state.template_name or state.template_id}{version}")
    if state.instance_type:
        parts.append(f"on {state.instance_type}" + (f" in {state.subnet}" if state.subnet else ""))
    return parts


def builder_words(state: BakeState) -> str:
    """The builder in a line."""
    return f"builder {state.builder}" + (f" at {state.address}" if state.address else "")


def job_words(state: BakeState) -> str:
    """The job that provisions the builder, with its link."""
    again = f" (try {state.job_tries})" if state.job_tries > 1 else ""
    return f"{in_tower(state.job, state.job_url)}{again}"


def version_words(state: BakeState) -> str:
    """The version that was made in a line."""
    return f"version {state.version} of launch template {state.template_name or state.template_id}"


def in_tower(job: int | None, url: str) -> str:
    """A job with its link."""
    return f"job {job}" + (f" {url}" if url else "")
