"""The bench's registration part against a real server.

The embedded AWS and the deployed stack are the same; the jobs run on the server itself and reach no other machine.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Findings, ScaleOut, scale_out_figures, wrong_jobs, wrong_services, wrong_sizes
from bench.per_instance import per_instance_figures
from bench.places import real
from bench.scale_outs import Stage
from lab.cloud import SECRET, Cloud, sam_build

if TYPE_CHECKING:
    from bench.progress import View
    from contract.conftest import Server

SCALE_OUTS = (1, 10, 100)
ADDRESS_POOL = "127.64.0.0/19"  # of this machine alone, whoever it is that takes such an address


def measure(view: View, directory: Path, server: Server) -> Findings:
    """The bench. directory takes logs."""
    built = directory / "built"
    with view.step("Building the functions and their layer (sam build)"):
        sam_build(built)
    figures: dict[str, float] = {}
    scale_outs: list[ScaleOut] = []
    with ExitStack() as running:
        with view.step(f"Making an organization of the bench's own on {server.url}"):
            side = running.enter_context(real(server))
        with view.step("Starting the embedded AWS"):
            cloud = running.enter_context(Cloud(directory / "cloud", address_pool=ADDRESS_POOL))
        with view.step("Deploying template.yaml (sam deploy)"):
            cloud.deploy(built, TowerUrl=server.url)
            cloud.aws.client("secretsmanager").put_secret_value(SecretId=SECRET, SecretString=_secret(server))
            stage = Stage(cloud, side)
        for size in SCALE_OUTS:
            with view.step(f"A scale-out of {size}: registered and launched") as tell:
                scale_outs.append(stage.launch(size, tell))
            figures |= scale_out_figures(scale_outs[-1])
            with view.step(f"The {size} come into service") as tell:  # so that its job does not slow what comes next
                stage.serve(tell)
        figures |= per_instance_figures(side.place, view, figures["ms_per_instance_100"])
        with view.step("Checking that all went right, and removing the organization"):
            instances: frozenset[str] = frozenset().union(*(scale_out.instances for scale_out in scale_outs))
            wrong = [
                *wrong_sizes(scale_outs),
                *wrong_jobs(instances, side.limits()),
                *wrong_services(instances, stage.group.transitions()),
                *(f"{count} messages set aside from {queue}" for queue, count in cloud.dead_letters().items() if count),
            ]
            running.close()
    return Findings({"server": side.version, **figures}, wrong)


def _secret(server: Server) -> str:
    secret = {"token": server.token}
    if server.ca_file:
        secret["ca_bundle"] = Path(server.ca_file).read_text()
    return json.dumps(secret)
