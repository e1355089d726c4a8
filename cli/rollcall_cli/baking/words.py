"""A bake in words while it runs: what changed since it was read last, and what each thing about it is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.bake.state import Phase
from rollcall_cli.times import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.bake.state import BakeState

    from .executions import BakeExecution


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
    known = set(_facts(old)) if old else set()
    said = old.phase if old else Phase.PREFLIGHT if before else None
    if said != now.state.phase:
        yield f"{clock(now.answered)}: {now.state.phase}"
    for fact in _facts(now.state):
        if fact not in known:
            yield f"{clock(now.answered)}: {fact}"


def _facts(state: BakeState) -> Iterator[str]:
    """What is known of a bake, a line each, in the order in which it comes to be known."""
    if state.base_image.id:
        yield base_words(state)
    if state.builder:
        yield builder_words(state)
    if state.job is not None:
        yield job_words(state)
    if state.image_id:
        yield f"image {state.image_id}: {state.image_name}" if state.image_name else f"image {state.image_id}"
    if state.smoke_instance:
        job = f"; {in_tower(state.smoke_job, state.smoke_job_url)}" if state.smoke_job is not None else ""
        yield f"smoke test on {state.smoke_instance}{job}"
    if state.smoke:
        yield f"smoke test: {state.smoke}"
    if state.version:
        yield version_words(state)
    if state.cycle:
        yield f"cycle {state.cycle}" + (f": {state.cycle_result}" if state.cycle_result else "")
    for removed in state.removed:
        yield f"removed: {removed}"
    for warning in state.warnings:
        yield f"warning: {warning}"


def base_words(state: BakeState) -> str:
    """What is baked from what, in a line."""
    base = state.base_image
    named = ", ".join(filter(None, (base.name, base.architecture)))
    parts = [f"from image {base.id}" + (f" ({named})" if named else "")]
    if state.template_id:
        version = f" version {state.from_version}" if state.from_version else ""
        parts.append(f"for launch template {state.template_name or state.template_id}{version}")
    if state.instance_type:
        parts.append(f"on {state.instance_type}" + (f" in {state.subnet}" if state.subnet else ""))
    return ", ".join(parts)


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
