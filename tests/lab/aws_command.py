"""The command `aws` for the embedded cloud: as much of the AWS command line as the pages of docs/ and our remedies use.

It takes services, operations and options by botocore's own models, as the AWS command line does, so a name that AWS
does not have is an error. Values: text, numbers, flags, lists, shorthand (Key=Value,Key=Value), JSON, file://NAME.

    python -m lab.aws_command autoscaling put-lifecycle-hook --auto-scaling-group-name web ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import jmespath  # type: ignore[import-untyped]
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botocore.model import Shape

OUTPUT = ("query", "output")
WRONG = 252  # the AWS command line's exit code for a wrong command line
REFUSED = 254  # and for what a service refuses


class WrongCommand(Exception):
    """A command line that the AWS command line would not take."""


def main(arguments: Sequence[str]) -> int:
    """Runs a command. Returns the exit code."""
    try:
        service, operation, *rest = arguments
        answer, options = run(service, operation, rest)
    except (WrongCommand, ValueError) as error:
        print(f"aws: {error}", file=sys.stderr)
        return WRONG
    except (BotoCoreError, ClientError) as error:
        print(f"aws: {error}", file=sys.stderr)
        return REFUSED
    answer.pop("ResponseMetadata", None)
    shown = jmespath.search(options["query"], answer) if "query" in options else answer
    if options.get("output") == "text":
        print("\t".join(shown) if isinstance(shown, list) else shown)
    elif shown:
        print(json.dumps(shown, indent=4, default=str))
    return 0


def run(service: str, operation: str, words: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The answer of an operation, and what the command line says about how to print it. Raises WrongCommand."""
    client = boto3.client(service)  # type: ignore[call-overload]
    method = operation.replace("-", "_")
    names = {xform_name(name): name for name in client.meta.service_model.operation_names}
    if method not in names:
        raise WrongCommand(f"{service} has no operation {operation}")
    shape = client.meta.service_model.operation_model(names[method]).input_shape
    members: dict[str, tuple[str, Shape]] = {
        xform_name(name, "-"): (name, each) for name, each in shape.members.items()
    }
    given: dict[str, Any] = {}
    options: dict[str, str] = {}
    for name, values in _options(words):
        if name in OUTPUT:
            [options[name]] = values
        elif name in members:
            member, kind = members[name]
            given[member] = _value(kind, values)
        elif name.startswith("no-") and name.removeprefix("no-") in members:
            given[members[name.removeprefix("no-")][0]] = False
        else:
            raise WrongCommand(f"{service} {operation} has no option --{name}")
    return getattr(client, method)(**given), options


def _options(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each option with the words behind it."""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            name, is_given, value = word.removeprefix("--").partition("=")
            found.append((name, [value] if is_given else []))
        elif not found:
            raise WrongCommand(f"{word!r} belongs to no option")
        else:
            found[-1][1].append(word)
    return found


def _value(shape: Shape, words: Sequence[str]) -> Any:
    """What the words of an option mean. Raises WrongCommand."""
    if shape.type_name == "boolean":
        return words != ["false"]
    if shape.type_name == "list":
        if len(words) == 1 and words[0].startswith("["):
            return json.loads(words[0])
        return [_value(shape.member, [word]) for word in words]  # type: ignore[attr-defined]
    if len(words) != 1:
        raise WrongCommand(f"{len(words)} values where one is needed: {words}")
    text = Path(words[0].removeprefix("file://")).read_text() if words[0].startswith("file://") else words[0]
    match shape.type_name:
        case "structure" if text.startswith("{"):
            return json.loads(text)
        case "structure":
            pairs = dict(pair.split("=", 1) for pair in text.split(","))
            kinds = shape.members  # type: ignore[attr-defined]
            return {name: _value(kinds[name], [value]) for name, value in pairs.items()}
        case "integer" | "long":
            return int(text)
        case _:
            return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
