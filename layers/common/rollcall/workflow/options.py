"""How the keys of a workflow's input are read, and the words of the tags that say what an input leaves out. Pure.

A key has one Option, whether its value comes from JSON or from a tag. Values of tags hold only letters, digits, blanks
and + - = . _ : / @.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import BadSettings
from rollcall.domain.json_input import listed_names, quoted

from .schedule import EVERY, Schedule, parse_schedule

if TYPE_CHECKING:
    from rollcall.domain.groups import Group

NEVER = "never"  # the word of a tag that forbids the workflow
GROUP_NAME_MAX = 255  # characters (Auto Scaling API reference)


class Option(NamedTuple):
    """How the value of a key is read, from JSON or from text, and what is allowed. read raises ValueError."""

    read: Callable[[object], Any]
    allowed: str


# Values


def text(value: object) -> str:
    """A text. Raises ValueError, as all that reads a value."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")  # noqa: TRY004 - as for all that cannot be read
    return value


def group_name(value: object) -> str:
    """The name of a group."""
    if not 0 < len(text(value).strip()) <= GROUP_NAME_MAX:
        raise ValueError("it is empty, or too long")
    return text(value)


def flag(value: object) -> bool:
    """True or false, as JSON or as a word."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[text(value)]


def whole_number(value: object) -> int:
    """A whole number, as JSON or in digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not re.fullmatch(r"\d{1,9}", text(value), re.ASCII):
        raise ValueError(f"{value!r} is no whole number")
    return int(text(value))


def number_within(least: int, most: int, what: str) -> Option:
    """A whole number of what, within these bounds."""

    def read(value: object) -> int:
        number = whole_number(value)
        if not least <= number <= most:
            raise ValueError(f"{number} is out of range")
        return number

    return Option(read, f"{what} from {least} to {most}")


def seconds(most: int) -> Option:
    """Whole seconds up to so many."""
    return number_within(0, most, "whole seconds")


def choice[C: StrEnum](choices: type[C]) -> Option:
    """One of these words."""
    return Option(lambda value: choices(text(value)), ", ".join(choices))


FLAG = Option(flag, "true, false")
GROUP = Option(group_name, "the name of an Auto Scaling group")


# The input


def read_input(
    what: str, raw: object, options: Mapping[str, Option], names: Mapping[str, str] = EMPTY_MAPPING
) -> dict[str, Any]:
    """What an input says: the values of its keys, without those that are null. what: it is of, as in "a cycle".

    names: of keys in errors, as the options of a command are called.

    Raises BadSettings naming each key that cannot be read, its value, and what is allowed; for an input without the key
    group, too.
    """
    if not isinstance(raw, Mapping):
        raise BadSettings(f"the input of {what} is {quoted(raw)}; allowed: an object with the key 'group'")
    if unknown := raw.keys() - options.keys():
        raise BadSettings(f"the input of {what} has {listed_names(map(str, unknown))}; allowed: {', '.join(options)}")
    given: dict[str, Any] = {}
    errors: list[BadSettings] = []
    for key, value in raw.items():
        if value is not None:
            try:
                given[key] = _of_input(what, names.get(key, repr(key)), value, options[key])
            except BadSettings as error:
                errors.append(error)
    raise_all(errors, f"the input of {what} has ")
    if "group" not in given:
        raise BadSettings(f"the input of {what} has no 'group'; allowed: {options['group'].allowed}")
    return given


def _of_input(what: str, name: str, value: object, option: Option) -> Any:
    try:
        return option.read(value)
    except (ValueError, KeyError) as error:
        words = f"the input of {what} has {quoted(value)} as {name}; allowed: {option.allowed}"
        raise BadSettings(words) from error


def raise_all(errors: Sequence[BadSettings], beginning: str) -> None:
    """Raise one error of all of these, if there is any. beginning: of each message, which is said once."""
    if errors:
        words = "; ".join(str(each).removeprefix(beginning) for each in errors)
        raise BadSettings(beginning + words, errors[0].tag)


# The tag


class TagWords(NamedTuple):
    """The words of a tag. flags: those by themselves. words: KEY=VALUE, unread. every: the schedule, None for none."""

    flags: frozenset[str]
    words: Mapping[str, str]
    every: Schedule | None


def parse_words(group: Group, tag: str, flags: Collection[str], allowed: str) -> TagWords:
    """The words of a tag that the group has, separated by blanks.

    flags: the words that may stand by themselves. allowed: which may stand there at all. Raises BadSettings naming the
    group, the tag, and each word that cannot be followed.
    """
    found: set[str] = set()
    words: dict[str, str] = {}
    errors: list[BadSettings] = []
    for word in group.tags[tag].split():
        key, is_pair, value = word.partition("=")
        if word in found or key in words:
            errors.append(bad_word(group.name, tag, word, "each word once"))
        elif is_pair and key:
            words[key] = value
        elif word in flags:
            found.add(word)
        else:
            errors.append(bad_word(group.name, tag, word, allowed))
    every, schedule = words.pop(EVERY, None), None
    if every is not None:
        try:
            schedule = _schedule(group.name, tag, every)
        except BadSettings as error:
            errors.append(error)
    raise_all(errors, _beginning(group.name))
    return TagWords(frozenset(found), words, schedule)


def read_words(
    group: str, tag: str, words: Mapping[str, str], options: Mapping[str, Option], allowed: str
) -> dict[str, Any]:
    """The values of KEY=VALUE in a tag. options: those that may stand there. Raises BadSettings as parse_words does."""
    found: dict[str, Any] = {}
    errors: list[BadSettings] = []
    for key, value in words.items():
        if key not in options:
            errors.append(bad_word(group, tag, f"{key}={value}", allowed))
            continue
        try:
            found[key] = options[key].read(value)
        except (ValueError, KeyError):
            errors.append(bad_word(group, tag, f"{key}={value}", options[key].allowed))
    raise_all(errors, _beginning(group))
    return found


def bad_word(group: str, tag: str, word: str, allowed: str) -> BadSettings:
    """The error of a word in a tag that cannot be followed."""
    return BadSettings(f"{_beginning(group)}tag {tag} has {word!r}; allowed: {allowed}", tag)


def _beginning(group: str) -> str:
    return f"group {group!r}: "


def _schedule(group: str, tag: str, value: str) -> Schedule:
    try:
        return parse_schedule(value)
    except ValueError as error:
        raise BadSettings(f"{_beginning(group)}tag {tag} has {f'{EVERY}={value}'!r}; {error}", tag) from error
