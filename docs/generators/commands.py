"""reference/commands*.md: the commands of `rollcall` and their options, from the command line's own help."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import typer

from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.main import app

from .markdown import code, page, sentence, table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


ABOUT = """\
`rollcall` is what operators run against a deployed stack: `uvx --from . rollcall` in a clone brings its own Python and
needs nothing installed; `pipx install .` puts it on the path. Results go to standard output, progress to standard
error. AWS credentials and the Region come from your shell, as for `aws`. `rollcall --install-completion` sets up
completion.
"""


GROUPS = (
    "bake",
    "cycle",
    "offboard",
    "onboard",
    "release",
    "rollback",
)  # commands that act on a group; a page of their own
ABOUT_GROUPS = """\
Commands of `rollcall` that act on Auto Scaling groups. The others, the options that all have, and the exit codes:
[Commands](commands.md).
"""


def write() -> str:
    """The page of the commands about the stack, with what all commands share."""
    commands = _commands()
    common = _common(commands.values())
    others = "Commands that act on groups have [a page of their own](commands-groups.md): "
    parts = [
        ABOUT,
        others + ", ".join(f"[{code(name)}](commands-groups.md#rollcall-{name})" for name in GROUPS) + ".",
        "## Options of all commands",
        table(["option", "meaning"], [_row(each) for each in common]),
        "## Exit codes",
        table(["code", "meaning"], _exit_codes()),
        *_sections(name for name in commands if name not in GROUPS),
    ]
    return page("Commands", "the command line's own help", *parts)


def write_groups() -> str:
    """The page of the commands that act on groups."""
    return page("Commands about groups", "the command line's own help", ABOUT_GROUPS, *_sections(GROUPS))


def _commands() -> dict[str, Any]:
    """Every command by its name, in the order of the help."""
    command: Any = typer.main.get_command(app)
    commands: dict[str, Any] = command.commands
    return commands


def _sections(names: Iterable[str]) -> Iterator[str]:
    """What stands of each of these commands."""
    commands = _commands()
    common = {option.name for option in _common(commands.values())}
    for name in names:
        yield f"## {code(f'rollcall {name}')}"
        yield from _command(name, commands[name], common)


def _common(commands: Iterable[Any]) -> list[Any]:
    """The options that every command has, in the order of the first."""
    first, *others = ({tuple(each.opts): each for each in command.params} for command in commands)
    return [each for words, each in first.items() if all(words in own for own in others)]


def _command(name: str, command: Any, common: Collection[str]) -> Iterator[str]:
    arguments = [_argument(each) for each in command.params if each.param_type_name == "argument"]
    yield "\n".join(["```text", " ".join(["rollcall", name, "[OPTIONS]", *arguments]), "```"])
    yield inspect.cleandoc(command.help or "")
    if own := [each for each in command.params if each.name not in common and each.param_type_name == "option"]:
        yield table(["option", "meaning"], [_row(each) for each in own])


def _argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs == -1 else "")


def _row(option: Any) -> tuple[str, str]:
    value = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
    text = sentence(option.help or "")
    if not option.is_flag and option.default is not None:
        text += f" Default: {code(option.default)}."
    if option.envvar:
        text += f" Also from the environment variable {code(option.envvar)}."
    return code("/".join([*option.opts, *option.secondary_opts]) + value), text


def _exit_codes() -> Iterator[tuple[str, str]]:
    """The table of the docstring, by the codes' numbers."""
    meanings = dict(re.findall(r"^\| (\w+) +\| (.+?) +\|$", inspect.getdoc(ExitCode) or "", re.MULTILINE))
    for each in ExitCode:
        yield str(each.value), sentence(meanings[each.name])
