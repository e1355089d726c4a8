"""A bake on the deployed stack, its calls and its price, and retention over many images and versions in one run.

The bake rolls nothing out: the cycle that would has figures of its own. Step Functions waits a tenth of what its
definition says, and what AWS and the job take is a tenth of what is assumed, so that as much is looked at as on AWS.
Retention is a run of the built function under Lambda's own runtime (lab.runtime), whose process has just started.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.counted import counted
from bench.cycling import entered_states, invocations
from bench.figures import Period
from bench.functions import BenchError
from bench.places import JOB_TIME
from bench.price import state_transitions
from lab.bakes import PLACED, baked_versions, have_baked, images, left, let_bake, snapshots, start_bake
from lab.cloud import Cloud, eventually
from lab.runtime import Runtime, link_what_lambda_has
from lab.tower.embedded import Latency, Tower
from rollcall.bake.invocation import retire_event
from rollcall.bake.news import BakeEvent
from rollcall.domain.bake_tags import version_description

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lab.bakes import Bake
    from lab.cloud import Group, Json

FUNCTION = "BakeFunction"
SCALE = 0.1  # of the times that AWS and the job take, and that Step Functions waits
BOOT, IMAGE, CHECKS = 30.0, 180.0, 120.0  # seconds on AWS; assumed
BAKE_PATIENCE = 300.0  # seconds until the bake has to be over
EVENT_LAG = 1.0  # seconds from a job's end until its result can be read
GONE_PATIENCE = 60.0  # seconds until nothing that it launched is left
IMAGES, VERSIONS, KEPT = 1_000, 10_000, 5
CALL = 0.05  # seconds that a call takes on AWS; assumed, as for runs of reconcile
UNTIL_WARM = 1  # second


@dataclass(frozen=True)
class Baked:
    """What was recorded of a bake. Seconds as on AWS.

    seconds: from the start of its execution to its end. instance_seconds: of builder and smoke instance together, from
    the launch to the end of the bake at most. image_gb: of the image's snapshots. states: how often each of the
    machine's was entered. period: what BakeFunction did. events: that it put on the event bus. wrong: what was not as
    it should be, as sentences.
    """

    seconds: float
    instance_seconds: float
    image_gb: int
    states: Counter[str]
    period: Period
    tower_calls: int
    events: int
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Retained:
    """What was recorded of a run of retention. seconds: from its event to its answer, with the cold start.

    cpu_seconds, peak_mb: of the function's process. calls: by API action.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    calls: Counter[str]
    wrong: tuple[str, ...]


def measure_bakes(built: Path, directory: Path, tell: Callable[[str], None]) -> tuple[Baked, Retained]:
    """A bake, and a run of retention. built: what lab.cloud.sam_build made. directory: takes logs.

    tell is called with how far it is. Raises BenchError when the run of retention fails.
    """
    tower = Tower(boot_time=0, job_time=SCALE * JOB_TIME, event_lag=EVENT_LAG * SCALE, latency=Latency())
    with Cloud(directory, tower=tower, wait_scale=SCALE) as cloud:
        tell("deploying")
        cloud.deploy(built, Cycles="true", Bakes="true")
        cloud.aws.images.take(image=SCALE * IMAGE, boot=SCALE * BOOT, checks=SCALE * CHECKS, shutdown=SCALE * BOOT)
        baked = _baked(_group(cloud, "baked"), tell)
        tell(f"{IMAGES:,} images and {VERSIONS:,} versions")
        return baked, _retained(_group(cloud, "retained"), built, directory)


def _group(cloud: Cloud, name: str) -> Group:
    cloud.tower.add_inventory(name)
    cloud.tower.add_job_template(name, name)
    tags = {"inventory": name, "job-template": name}
    group = cloud.create_group(name, tags, version="1", DefaultInstanceWarmup=UNTIL_WARM, **PLACED)
    let_bake(group, cloud.tower)
    return group


# A bake


def _baked(group: Group, tell: Callable[[str], None]) -> Baked:
    cloud = group.cloud
    cloud.aws.forget_calls()
    cloud.tower.forget_requests()
    bake = start_bake(group, roll_out=False)

    def over() -> bool:
        tell(str(bake.state.get("phase", "pre-flight")))
        return bake.status != "RUNNING"

    eventually(over, "the bake is over", BAKE_PATIENCE)
    calls, requests = cloud.aws.calls(), cloud.tower.requests()
    eventually(lambda: not left(group), "nothing that the bake launched is left", GONE_PATIENCE)
    state, history = bake.state, _history(bake)
    name = cloud.function_name(FUNCTION)
    period = Period(
        began=state["execution_started"],
        requests=requests,
        aws_calls=calls,
        invocations={"bake": invocations(history, name)},
        log_lines={"bake": [line for line in cloud.aws.function_log(name).splitlines() if line.startswith("{")]},
    )
    made = images(group)
    return Baked(
        seconds=(state["ended"] - state["execution_started"]) / SCALE,
        instance_seconds=instance_seconds(state) / SCALE,
        image_gb=sum(each["Ebs"]["VolumeSize"] for one in made for each in one["BlockDeviceMappings"] if "Ebs" in each),
        states=entered_states(history),
        period=period,
        tower_calls=len(requests),
        events=sum(line.get("event") in tuple(BakeEvent) for line in cloud.log_lines("bake")),
        wrong=tuple(wrong_bake(state, made, baked_versions(group))),
    )


def _history(bake: Bake) -> list[Json]:
    """The events of its execution, the oldest first."""
    pages = bake.cloud.aws.client("stepfunctions").get_paginator("get_execution_history")
    return [event for page in pages.paginate(executionArn=bake.arn) for event in page["events"]]


def instance_seconds(state: Json) -> float:
    """What builder and smoke instance run at most: each until the bake is over, though they are terminated before."""
    return float(sum(state["ended"] - state[since] for since in ("builder_since", "smoke_since")))


def wrong_bake(state: Json, made: list[Json], versions: dict[str, str]) -> list[str]:
    """What did not come out as it should, as sentences. made: the images; versions: the image of each, by number."""
    wrong = []
    if state["result"] != "baked":
        wrong.append(f"the bake {state['result']}: {state['reason']}")
    if [each["ImageId"] for each in made] != [state["image_id"]]:
        wrong.append(f"the bake made {len(made)} images")
    if list(versions.values()) != [state["image_id"]]:
        wrong.append(f"the bake made {len(versions)} versions")
    if not all(map(snapshots, made)):
        wrong.append("an image of the bake has no snapshot")
    return wrong


# Retention


def _retained(group: Group, built: Path, directory: Path) -> Retained:
    """A run over images, each named by ten versions, of which all but the newest are to go."""
    cloud = group.cloud
    ids = have_baked(group, IMAGES)
    cloud.aws.images.seed_versions(group.launch_template_id(), more_versions(ids))
    path = [built / FUNCTION, built / "CommonLayer" / "python", link_what_lambda_has(directory / "runtime")]
    with (
        counted(cloud.aws.endpoint_url, CALL) as (url, calls),
        Runtime(built / FUNCTION, path, _environment(cloud, url), directory / "retention.log") as function,
    ):
        began = time.perf_counter()
        answer = function.invoke(retire_event(group.name, force=True))
        seconds = time.perf_counter() - began
        cpu_seconds, peak_mb = function.cpu_ms() / 1000, function.peak_memory_mb()
    if "bake" not in answer:
        raise BenchError(f"a run of retention is not to be answered with {answer}")
    states = {each["ImageId"]: each["State"] for each in images(group)}
    wrong = wrong_retention(answer["bake"], ids, states, baked_versions(group))
    return Retained(seconds, cpu_seconds, peak_mb, calls, tuple(wrong))


def more_versions(ids: Sequence[str]) -> list[tuple[str, str]]:
    """The image and the description of each version beyond the first one of each image, and the one made by hand."""
    places = [place % len(ids) for place in range(VERSIONS - len(ids) - 1)]
    return [(ids[place], version_description(f"{place:012x}", ids[place])) for place in places]


def _environment(cloud: Cloud, aws: str) -> dict[str, str]:
    """What the deployed function has. aws: the URL of its AWS."""
    functions = cloud.aws.client("lambda")
    deployed = functions.get_function_configuration(FunctionName=cloud.function_name(FUNCTION))
    return {**cloud.aws.environment, **deployed["Environment"]["Variables"], "AWS_ENDPOINT_URL": aws}


def wrong_retention(
    state: Json, ids: Sequence[str], states: Mapping[str, str], versions: Mapping[str, str]
) -> list[str]:
    """What the run should not have left, as sentences. ids: of the images before it, the oldest first.

    states: of each image now (EC2's word). versions: the image of each version that a bake made, by its number.
    """
    wrong = [str(each) for each in state["warnings"]]
    kept = set(ids[-KEPT:])
    if available := {each for each, state_now in states.items() if state_now == "available"} ^ kept:
        wrong.append(f"after retention {len(available)} images are kept or gone that were not to be")
    if set(versions.values()) != kept:
        wrong.append(f"after retention versions name {len(set(versions.values()))} images, and were to name {KEPT}")
    return wrong


# Figures


def bake_figures(baked: Baked) -> dict[str, float]:
    """The figures of the bake itself, by key."""
    return {
        "bake_s": baked.seconds,
        "bake_aws_calls": baked.period.aws_calls.total(),
        "bake_tower_calls": baked.tower_calls,
        "bake_invocations": len(baked.period.invocations["bake"]),
        "bake_state_transitions": state_transitions(baked.states),
        "bake_instance_hours": baked.instance_seconds / 3600,
        "bake_image_gb": baked.image_gb,
    }


def retention_figures(retained: Retained) -> dict[str, float]:
    """The figures of retention, by key."""
    return {
        "retention_s": retained.seconds,
        "retention_cpu_s": retained.cpu_seconds,
        "retention_aws_calls": retained.calls.total(),
        "retention_mb": retained.peak_mb,
    }
