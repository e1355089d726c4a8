"""A built function in a container, by `sam local invoke`, that reaches the lab.

Within a container 127.0.0.1 is the container. So for as long as it runs, two ports of the container network's own
address on this machine lead to the lab: one to the embedded AWS as it is, one to the embedded Tower by TLS, for the
functions send their token to another machine by https only. The certificate is signed by an authority that is made for
this one run, and stands in Tower's secret as `ca_bundle`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lab.by_hand.certificates import make_certificates
from lab.by_hand.forwarding import forwarding
from lab.cloud import ARCHITECTURE, REGION, SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.by_hand.invoke import Invoked
    from lab.cloud import Cloud

type Json = dict[str, Any]

IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
NETWORK = "bridge"  # that sam's containers are in
OWN_SECRET = "tower-from-a-container"
DOCKER_TIMEOUT = 30  # seconds
INVOKE_TIMEOUT = 600  # seconds; the first time the image may have to be pulled


class NoContainers(Exception):
    """sam local invoke cannot run here, or did not: why, and what to do."""


def in_container(cloud: Cloud, built: Path, function: str, event: Any, directory: Path) -> Invoked:
    """What a built function logs and answers. Raises NoContainers."""
    from lab.by_hand.invoke import Invoked, deployed_function

    address = bridge_address()
    deployed = deployed_function(cloud, function)
    (directory / "event.json").write_text(json.dumps(event))
    with reachable(cloud, address, directory) as (aws_url, tower_url):
        given = in_the_container(deployed.variables, cloud.aws.endpoint_url, aws_url) | {
            "AWS_ENDPOINT_URL": aws_url,
            "TOWER_URL": tower_url,
            "TOWER_SECRET": OWN_SECRET,
        }
        (directory / "template.json").write_text(
            json.dumps(template_for(function, built, deployed.layers, given), indent=2)
        )
        (directory / "variables.json").write_text(json.dumps({function: given}))
        command = sam_command(function, directory, skip_pull=has_image())
        print(f"\n$ {' '.join(command)}", file=sys.stderr)
        return Invoked(*_run(command, cloud.aws.environment))


def template_for(function: str, built: Path, layers: list[str], variables: dict[str, str]) -> Json:
    """A template with one function and its layers, for this machine's architecture.

    sam passes a container only the variables that a template declares.
    """
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            **{
                layer: {
                    "Type": "AWS::Serverless::LayerVersion",
                    "Properties": {"ContentUri": str((built / layer).absolute())},
                }
                for layer in layers
            },
            function: {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "CodeUri": str((built / function).absolute()),
                    "Handler": "app.handler",
                    "Runtime": "python3.13",
                    "Architectures": [ARCHITECTURE],
                    "Timeout": 110,
                    "MemorySize": 256,
                    "Layers": [{"Ref": layer} for layer in layers],
                    "Environment": {"Variables": variables},
                },
            },
        },
    }


def in_the_container(variables: dict[str, str], endpoint_url: str, aws_url: str) -> dict[str, str]:
    """The same variables, in which the queues' URLs lead to the embedded AWS also from within a container."""
    here = urlsplit(endpoint_url)
    spellings = [f"http://{host}:{here.port}/" for host in ("127.0.0.1", "localhost")]

    def moved(text: str) -> str:
        begins = next((each for each in spellings if text.startswith(each)), None)
        return text if begins is None else f"{aws_url}/{text.removeprefix(begins)}"

    return {name: moved(text) for name, text in variables.items()}


def sam_command(function: str, directory: Path, *, skip_pull: bool) -> list[str]:
    """The command that an operator would type.

    The variables are in the template and in a file of their own: of those of the template sam takes the shell's value
    where there is one, and the shell's AWS_ENDPOINT_URL is for this machine.
    """
    return [
        *("sam", "local", "invoke", function, "--region", REGION),
        *("--template", str(directory / "template.json"), "--event", str(directory / "event.json")),
        *("--env-vars", str(directory / "variables.json")),
        *(["--skip-pull-image"] if skip_pull else []),
    ]


def of_the_function(said: str) -> str:
    """What the function logged: without what sam says before, and the runtime when its container ends.

    sam may begin to read too late for the runtime's first line.
    """
    before, container, rest = said.partition("SAM_CONTAINER_ID: ")
    log = rest.partition("\n")[2] if container else before
    return log.partition("END RequestId")[0]


def bridge_address() -> str:
    """The address at which containers reach this machine. Raises NoContainers."""
    if platform.system() != "Linux":
        raise NoContainers("CONTAINER=1 needs Linux: elsewhere containers have no address of this machine to use.")
    configured = json.loads(_docker("network", "inspect", NETWORK, "--format", "{{json .IPAM.Config}}")) or []
    if not configured:
        raise NoContainers(f"Docker's network {NETWORK!r} has no addresses: start dockerd without --bridge=none.")
    return address_in(configured[0])


def address_in(network: Json) -> str:
    """This machine's address in one of Docker's networks, which older versions only say once it has a container."""
    return str(network.get("Gateway") or next(ip_network(network["Subnet"]).hosts()))


def has_image() -> bool:
    """Whether the image that sam takes is here already."""
    return bool(_docker("images", "--quiet", IMAGE))


@contextmanager
def reachable(cloud: Cloud, address: str, directory: Path) -> Iterator[tuple[str, str]]:
    """The URLs of the embedded AWS and the embedded Tower for containers, until the block ends."""
    certificates = make_certificates(address, directory)
    secrets = cloud.aws.client("secretsmanager")
    known = json.loads(secrets.get_secret_value(SecretId=SECRET)["SecretString"])
    own = json.dumps({"token": known["token"], "ca_bundle": certificates.authority})
    try:
        secrets.create_secret(Name=OWN_SECRET, SecretString=own)
    except secrets.exceptions.ResourceExistsException:
        secrets.put_secret_value(SecretId=OWN_SECRET, SecretString=own)
    with (
        forwarding(address, cloud.aws.endpoint_url) as aws,
        forwarding(address, cloud.tower_url, certificates.context()) as tower,
    ):
        yield f"http://{address}:{aws}", f"https://{address}:{tower}"


def _docker(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=DOCKER_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoContainers(f"CONTAINER=1 needs Docker, and it does not answer: {error}") from error
    if done.returncode:
        raise NoContainers(f"CONTAINER=1 needs Docker, and it does not answer: {done.stderr.strip()}")
    return done.stdout.strip()


def _run(command: list[str], environment: dict[str, str]) -> tuple[Any, str]:
    """The answer and the log. Raises NoContainers."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment, "PATH": path, "SAM_CLI_TELEMETRY": "0"},
            capture_output=True,
            text=True,
            timeout=INVOKE_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoContainers(f"sam local invoke did not end within {INVOKE_TIMEOUT} s") from error
    answer = done.stdout.strip().rpartition("\n")[2]
    try:
        return json.loads(answer), of_the_function(done.stderr)
    except ValueError as error:
        raise NoContainers(f"sam local invoke gave no answer:\n{done.stdout}\n{done.stderr}") from error
