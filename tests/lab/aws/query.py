"""EC2's query protocol by its service model: requests read into what boto3 was given, and answers written likewise.

MiniStack reads of a request the parameters that it knows. What is ours is given all of them, under the names of the
API, and answers with the names of the API.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from botocore.session import Session

from lab.aws import ministack as cloud
from lab.aws.ministack import Record, Response


def read(action: str, params: Mapping[str, Any]) -> Record:
    """Return a request's parameters. params: of the query protocol, a value or a list with it."""
    given = {key: str(value[0] if isinstance(value, list) else value) for key, value in params.items()}
    found: Record = _read(_operation(action).input_shape, given, _beginnings(given), "") or {}
    return found


def read_part(shape: str, prefix: str, params: Mapping[str, Any]) -> Record:
    """Return the part of a request that begins with a prefix. shape: its name in the service model."""
    given = {key: str(value[0] if isinstance(value, list) else value) for key, value in params.items()}
    found: Record = _read(_model().shape_for(shape), given, _beginnings(given), prefix) or {}
    return found


def answer(action: str, result: Mapping[str, Any]) -> Response:
    """Return a successful answer. result: what boto3 returns; where the API returns nothing, nothing of it is shown."""
    shape = _operation(action).output_shape
    inner = _members(shape, result) if shape else "<return>true</return>"
    return cloud.ec2_answer(action, inner)


def written(shape: str, value: Mapping[str, Any]) -> str:
    """Return what is inside an element of an answer. shape: its name in the service model."""
    return _members(_model().shape_for(shape), value)


def page[T](items: Sequence[T], request: Record, most: int | None = None) -> tuple[list[T], Record]:
    """Return the items of the page that a request asks for, and its NextToken if there are more.

    most: how many a page has without MaxResults; all if it is None.
    """
    first = int(request.get("NextToken", 0))
    size = int(request.get("MaxResults") or most or len(items))
    shown = list(items[first : first + size])
    more = first + size < len(items)
    return shown, {"NextToken": str(first + size)} if more else {}


@cache
def _model() -> Any:
    return Session().get_service_model("ec2")


@cache
def _operation(action: str) -> Any:
    return _model().operation_model(action)


def _beginnings(params: Mapping[str, str]) -> frozenset[str]:
    """What parameters begin with, up to each dot: only there is something to read."""
    found = set()
    for key in params:
        parts = key.split(".")
        found |= {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return frozenset(found)


def _read(shape: Any, params: Mapping[str, str], beginnings: frozenset[str], prefix: str) -> Any:
    """Return a value of a request; None where it has none."""
    if prefix and prefix not in beginnings:
        return None
    if shape.type_name == "structure":
        read_members = (
            (name, _read(member, params, beginnings, f"{prefix}.{_asked(name, member)}".lstrip(".")))
            for name, member in shape.members.items()
        )
        return {name: value for name, value in read_members if value is not None}
    if shape.type_name == "list":
        values: list[Any] = []
        while (value := _read(shape.member, params, beginnings, f"{prefix}.{len(values) + 1}")) is not None:
            values.append(value)
        return values
    return _cast(shape.type_name, params[prefix])


def _asked(name: str, member: Any) -> str:
    """The name of a member in a request."""
    serialization = member.serialization
    if "queryName" in serialization:
        return str(serialization["queryName"])
    wire = str(serialization.get("name", name))
    return wire[0].upper() + wire[1:]


def _cast(kind: str, text: str) -> Any:
    if kind == "boolean":
        return text.lower() == "true"
    return int(text) if kind in ("integer", "long") else text


def _members(shape: Any, value: Mapping[str, Any]) -> str:
    return "".join(
        _element(member, str(member.serialization.get("name", name)), value[name])
        for name, member in shape.members.items()
        if value.get(name) is not None
    )


def _element(shape: Any, name: str, value: Any) -> str:
    if shape.type_name == "structure":
        inner = _members(shape, value)
    elif shape.type_name == "list":
        inner = "".join(_element(shape.member, "item", each) for each in value)
    else:
        inner = escape(_text(value))
    return f"<{name}>{inner}</{name}>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)
