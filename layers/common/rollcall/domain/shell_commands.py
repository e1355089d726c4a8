"""Commands that an operator pastes into a shell, with names in them that may hold anything. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BARE = re.compile(r"[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+:,./=-]*")  # what no shell reads more into; zsh does into =name
ALIVE = re.compile(r'["$`\\!]')  # within double quotes
GROUP = "auto-scaling-group"  # as the type of what has a tag
SHORTHAND = re.compile(r"[A-Za-z0-9_./+-]+")  # what the AWS command line reads nothing more into


def command(*words: str) -> str:
    """A command line of exactly these words."""
    return " ".join(map(_quoted, words))


def options(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """An option repeated for each value; a value that looks like an option itself stands behind an equals sign."""
    return tuple(word for value in values for word in ([f"{name}={value}"] if value.startswith("-") else [name, value]))


def operand(value: str) -> tuple[str, ...]:
    """A value that is no option's; one that looks like an option stands behind two dashes, and so comes last."""
    return ("--", value) if value.startswith("-") else (value,)


def set_tag_command(group: str, key: str, value: str) -> str:
    """The command that gives an Auto Scaling group a tag; in JSON where the AWS command line's shorthand won't do."""
    given: dict[str, str | bool] = {
        "ResourceType": GROUP,
        "PropagateAtLaunch": False,
        "ResourceId": group,
        "Key": key,
        "Value": value,
    }
    return _tags_command("create-or-update-tags", group, given)


def remove_tag_command(group: str, key: str) -> str:
    """The command that takes a tag from an Auto Scaling group."""
    return _tags_command("delete-tags", group, {"ResourceType": GROUP, "ResourceId": group, "Key": key})


def _tags_command(action: str, group: str, tag: Mapping[str, str | bool]) -> str:
    shorthand = ",".join(f"{name}={'false' if each is False else each}" for name, each in tag.items())
    text = shorthand if SHORTHAND.fullmatch(group) else json.dumps([tag])
    return command("aws", "autoscaling", action, "--tags", text)


def _quoted(word: str) -> str:
    if BARE.fullmatch(word):
        return word
    return in_single_quotes(word) if ALIVE.search(word) else f'"{word}"'


def in_single_quotes(text: str) -> str:
    """A word as it is, whatever it holds."""
    return "'" + text.replace("'", "'\"'\"'") + "'"
