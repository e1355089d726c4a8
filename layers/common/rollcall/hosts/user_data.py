"""An instance's user data, as EC2 returns it -> the host variables and inventory groups in it. Pure.

Anyone who may write a launch template writes user data, and what is in it may be secret. So all of it is validated, and
no reason given here holds any of it but names of variables.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

from rollcall.domain.instances import UserDataParameters
from rollcall.domain.inventory_text import (
    ANSIBLE_GROUPS,
    VARIABLE,
    Refusal,
    refusal_of_group_name,
    refusal_of_value,
    refusal_of_variable_name,
)

from .variables import OUR_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_ENCODED = 32_768  # characters; EC2 takes 16 kB of user data, 22 kB in base64
MAX_UNPACKED = 65_536  # bytes that all gzip in one user data may unpack to
MAX_WRAPPINGS = 4  # of gzip and base64 around each other
MAX_VARIABLES = 4096  # bytes as JSON: a hundred hosts are made in one request, and reconcile holds whole inventories
MAX_GROUPS = 20  # each takes Tower 50 ms a host
NAMED_MAX = 20  # refused things that one warning names
GZIP = b"\x1f\x8b"
GZIP_WINDOW = 31  # zlib's value for data with gzip's header
MIME_HEAD = 4096  # bytes in which cloud-init searches the header MIME-Version to know a multipart
JSON_TYPE = "application/json"
GROUP = re.compile(r"[\w+\-=.:/@]{1,128}")  # what a tag's value can hold, without spaces


class Reason(StrEnum):
    """Why user data is not followed, and the remedy."""

    NONE = "there is none: give the launch template some that holds an object 'rollcall'"
    TOO_LARGE = f"unpacked it is larger than {MAX_UNPACKED} bytes: make it smaller"
    TOO_WRAPPED = f"it is wrapped in gzip and base64 more than {MAX_WRAPPINGS} times: unwrap it"
    NO_FORM = f"it is neither JSON, nor base64 of JSON, nor multipart with a part {JSON_TYPE}: make it one of these"
    BAD_GZIP = "its gzip is damaged: pack it again"
    BAD_MULTIPART = "its multipart cannot be read: make it again, with cloud-init devel make-mime"
    BAD_JSON = "its JSON cannot be read: check it with jq"
    NO_OBJECT = "it holds JSON without an object 'rollcall', or none: add the object"
    TWO_OBJECTS = "two of its parts hold an object 'rollcall': leave one"
    BAD_OBJECT = "its 'rollcall' is no object with the fields 'vars' and 'groups': correct it"
    BAD_VARS = "its 'vars' is no object: correct it"
    BAD_GROUPS = "its 'groups' is no list of names: correct it"
    TOO_MANY_VARIABLES = f"its variables take more than {MAX_VARIABLES} bytes of JSON: keep what is long elsewhere"
    TOO_MANY_GROUPS = f"it asks for more than {MAX_GROUPS} groups: ask for fewer"


class UnusableUserData(Exception):
    """User data that is not followed at all."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


def read_user_data(text: str) -> UserDataParameters:
    """The parameters in user data; their warning lists what is left out. Raises UnusableUserData and nothing else.

    text: base64, as DescribeInstanceAttribute has it. In it may be JSON, base64 of JSON, or cloud-init's multipart with
    a part application/json; each of these may be packed with gzip.
    """
    if len(text) > MAX_ENCODED:
        raise UnusableUserData(Reason.TOO_LARGE)
    data = _from_base64(text.encode(errors="replace"))
    if data is None:
        raise UnusableUserData(Reason.NO_FORM)
    if not data.strip():
        raise UnusableUserData(Reason.NONE)
    objects = list(_Unpacking().objects(data, MAX_WRAPPINGS))
    if len(objects) != 1:
        raise UnusableUserData(Reason.TWO_OBJECTS if objects else Reason.NO_OBJECT)
    return _parameters_in(objects[0])


class _Unpacking:
    """Finds the objects 'rollcall' in one user data; what all its gzip unpacks to is bounded together."""

    def __init__(self) -> None:
        self._bytes_left = MAX_UNPACKED

    def objects(self, data: bytes, wrappings: int) -> Iterator[object]:
        text = data.strip()
        if data.startswith(GZIP):
            inner = self._unzipped(data)
        elif text.startswith(b"{"):
            yield from _object_in(text)
            return
        elif b"mime-version:" in text[:MIME_HEAD].lower():
            yield from self._objects_in_parts(text)
            return
        elif (decoded := _from_base64(text)) is not None:
            inner = decoded
        else:
            raise UnusableUserData(Reason.NO_FORM)
        if not wrappings:
            raise UnusableUserData(Reason.TOO_WRAPPED)
        yield from self.objects(inner, wrappings - 1)

    def _objects_in_parts(self, data: bytes) -> Iterator[object]:
        for content_type, payload in _parts(data):
            packed = payload.startswith(GZIP)
            text = (self._unzipped(payload) if packed else payload).strip()
            if content_type == JSON_TYPE or (packed and text.startswith(b"{")):
                yield from _object_in(text)

    def _unzipped(self, data: bytes) -> bytes:
        """Stops at the bound, however much the gzip would unpack to."""
        unpacker = zlib.decompressobj(GZIP_WINDOW)
        try:
            unpacked = unpacker.decompress(data, self._bytes_left + 1)
        except zlib.error:
            raise UnusableUserData(Reason.BAD_GZIP) from None
        if len(unpacked) > self._bytes_left:
            raise UnusableUserData(Reason.TOO_LARGE)
        if not unpacker.eof:
            raise UnusableUserData(Reason.BAD_GZIP)
        self._bytes_left -= len(unpacked)
        return unpacked


def _from_base64(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError:
        return None


def _parts(data: bytes) -> list[tuple[str, bytes]]:
    """Content type and content of each part of a multipart."""
    from email import message_from_bytes  # slow to import, and needed by few callers

    try:
        return [
            (part.get_content_type(), bytes(part.get_payload(decode=True) or b""))
            for part in message_from_bytes(data).walk()
            if not part.is_multipart()
        ]
    except Exception:  # noqa: BLE001 - it promises to raise nothing, and does for some headers
        raise UnusableUserData(Reason.BAD_MULTIPART) from None


def _object_in(text: bytes) -> Iterator[object]:
    """The object 'rollcall' of a JSON object, if it has one."""
    try:
        fields = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise UnusableUserData(Reason.BAD_JSON) from None
    if isinstance(fields, dict) and "rollcall" in fields:
        yield fields["rollcall"]


def _refuse(constant: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def _parameters_in(raw: object) -> UserDataParameters:
    if not isinstance(raw, dict):
        raise UnusableUserData(Reason.BAD_OBJECT)
    variables, groups = raw.get("vars", {}), raw.get("groups", [])
    if not isinstance(variables, dict):
        raise UnusableUserData(Reason.BAD_VARS)
    if not isinstance(groups, list) or not all(isinstance(each, str) for each in groups):
        raise UnusableUserData(Reason.BAD_GROUPS)
    if len(groups) > MAX_GROUPS:
        raise UnusableUserData(Reason.TOO_MANY_GROUPS)
    left_out = ["a field beside 'vars' and 'groups'"] if raw.keys() - {"vars", "groups"} else []
    kept: dict[str, object] = {}
    for name, value in variables.items():
        if refusal := _refusal_of(name, value):
            left_out.append(refusal)
        else:
            kept[name] = value
    if len(json.dumps(kept)) > MAX_VARIABLES:
        raise UnusableUserData(Reason.TOO_MANY_VARIABLES)
    refusals = {name: _refusal_of_group(name) for name in groups}
    left_out += filter(None, refusals.values())
    kept_groups = tuple(name for name, refusal in refusals.items() if not refusal)
    return UserDataParameters(kept, kept_groups, _listed(dict.fromkeys(left_out)))


def _refusal_of(name: str, value: object) -> str:
    """Why a variable is left out; nothing if it is not."""
    if not VARIABLE.fullmatch(name):
        return "a variable whose name is not up to 64 letters, digits and _"
    why = Refusal.RESERVED_BY_ANSIBLE if name in OUR_KEYS else refusal_of_variable_name(name) or refusal_of_value(value)
    return f"variable {name} ({why})" if why else ""


def _refusal_of_group(name: str) -> str:
    """Why a group is left out; nothing if it is not."""
    if name in ANSIBLE_GROUPS:
        return f"group {name} (Ansible's own)"
    if not GROUP.fullmatch(name):
        return "a group whose name is not up to 128 letters, digits and + - = . _ : / @"
    why = refusal_of_group_name(name)
    return f"a group whose name is none for a group ({why})" if why else ""


def _listed(left_out: Iterable[str]) -> str:
    """As one text, only the first of many."""
    reasons = list(left_out)
    more = [f"and {len(reasons) - NAMED_MAX} more"] if len(reasons) > NAMED_MAX else []
    return ", ".join(reasons[:NAMED_MAX] + more)
