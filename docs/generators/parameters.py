"""reference/parameters.md: the stack's parameters, from template.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cloudformation import TEMPLATE
from .markdown import NONE, code, page, sentence, table

if TYPE_CHECKING:
    from .cloudformation import Json

ABOUT = """\
Pass them to `sam deploy` as `--parameter-overrides Name=value`. Only those without a default are required: `TowerUrl`
and `TowerSecretArn`. How to deploy: [Deploy](../deploy.md).
"""


def write() -> str:
    """The page."""
    parameters: Json = TEMPLATE["Parameters"]
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    parts = [ABOUT]
    for group in groups:
        rows = [(code(name), _meaning(parameters[name]), _default(parameters[name])) for name in group["Parameters"]]
        parts += [f"## {group['Label']['default']}", table(["parameter", "meaning", "default"], rows)]
    return page("Parameters", "template.yaml", *parts)


def _meaning(parameter: Json) -> str:
    text = sentence(_as_markdown(parameter["Description"]))
    if "MinValue" in parameter:
        text += f" From {parameter['MinValue']} to {parameter['MaxValue']}."
    if "AllowedValues" in parameter:
        text += f" One of {', '.join(code(each) for each in parameter['AllowedValues'])}."
    elif "ConstraintDescription" in parameter:
        text += f" Allowed: {parameter['ConstraintDescription']}"
    return text


def _as_markdown(text: str) -> str:
    """Pieces of JSON, which the description gives as they are, as code."""
    head, brace, rest = text.partition("{")
    if not brace:
        return text
    body, end, tail = rest.rpartition("}")
    return f"{head}`{{{body}{end}`{tail}"


def _default(parameter: Json) -> str:
    match parameter.get("Default"):
        case None:
            return f"{NONE} (required)"
        case "":
            return "none"
        case value:
            return code(value)
