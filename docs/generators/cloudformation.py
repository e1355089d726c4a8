"""template.yaml, read, and short words for what its values refer to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from .markdown import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

type Json = dict[str, Any]

SOMEWHERE = "s3://bucket/key"  # SAM takes no code that is not uploaded yet


def _read() -> Json:
    return dict(yaml_parse((REPOSITORY / "template.yaml").read_text()))


TEMPLATE: Json = _read()
RESOURCES: dict[str, Json] = TEMPLATE["Resources"]


def of_type(kind: str) -> dict[str, Json]:
    """The resources of a type, by logical id."""
    return {name: each for name, each in RESOURCES.items() if each["Type"] == kind}


def deployed() -> dict[str, Json]:
    """The resources that CloudFormation makes, by logical id: as SAM writes out those of its own types."""
    template = _read()
    template["Globals"]["Function"]["CodeUri"] = SOMEWHERE
    for each in template["Resources"].values():
        for place in {"CodeUri", "ContentUri", "DefinitionUri"} & each.get("Properties", {}).keys():
            each["Properties"][place] = SOMEWHERE
    session = boto3.Session(region_name="us-east-1")
    translator = Translator({"AWSLambdaVPCAccessExecutionRole": "arn:policy"}, Parser(), boto_session=session)
    written = translator.translate(template, {})
    return dict(written["Resources"])


def as_list(value: Any) -> list[Any]:
    """A value of which there may be one, or a list of them."""
    return value if isinstance(value, list) else [value]


def short(value: Any) -> str:
    """What a value is: a text, or the name of what it refers to; of an ARN what differs from account to account."""
    if not isinstance(value, dict):
        return str(value)
    match next(iter(value.items())):
        case ("Ref", name):
            return str(name)
        case ("Fn::GetAtt", name):
            return str(name[0] if isinstance(name, list) else name.partition(".")[0])
        case ("Fn::Sub", text):
            return re.sub(
                r"arn:\$\{AWS::Partition\}:(\w+):\$\{AWS::Region\}:(?:\$\{AWS::AccountId\}|\*)?:", r"\1 ", text
            )
        case ("Fn::If", [condition, first, _]):
            return f"{short(first)} (if {condition})"
    raise ValueError(f"a value of a kind that the pages do not know yet: {value}")


def statements(document: Json) -> Iterator[tuple[Json, str]]:
    """The statements of a policy document, each with the condition under which it is there, or nothing."""
    for each in as_list(document["Statement"]):
        if "Fn::If" in each:
            condition, statement, _ = each["Fn::If"]
            yield statement, str(condition)
        else:
            yield each, ""


def parameters_behind(condition: str) -> list[str]:
    """The parameters that a condition depends on."""
    if not condition:
        return []
    return sorted(set(_refs(TEMPLATE["Conditions"][condition])))


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _refs(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == "Ref":
                yield str(each)
            elif key == "Condition":
                yield from parameters_behind(each)
            else:
                yield from _refs(each)
