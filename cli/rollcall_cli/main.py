"""The command `rollcall`: what operators run against a deployed stack. Each command has a file in commands/."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from rollcall import __version__
from rollcall.domain.shell_commands import command, options

from .running import ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .exit_codes import ExitCode

COMMANDS = {  # in the list of all commands with these words
    "bake": "make a new image for a group, and cycle the group to it",
    "cycle": "replace every instance of a group, without downtime, and verify it",
    "doctor": "what is set up wrongly, with the remedies",
    "history": "when instances came, were provisioned, and left",
    "invoke": "run one function by hand, and read its log",
    "offboard": "take a group out; or let it through in an emergency",
    "onboard": "take a group in, in the safe order",
    "reconcile": "make Tower and EC2 agree now",
    "redrive": "dead letters: show, send back, delete",
    "release": "end the provisioning circuit breaker of a group",
    "rollback": "cycle a group back to a version that bakes have kept",
    "status": "what every instance that waits is waiting for",
    "uninstall-check": "hooks to take away before the stack is deleted",
}


def command_of(name: str) -> Callable[..., ExitCode]:
    """The function of one of COMMANDS, as its file has it."""
    function = name.replace("-", "_")
    found: Callable[..., ExitCode] = getattr(import_module(f".commands.{function}", __package__), function)
    return found


class OneCommand(typer.core.TyperCommand):
    """A command that says, where a name stands without the option that it belongs to, that it takes groups by one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        if not any("--group" in each.opts for each in self.params):
            return super().parse_args(ctx, args)
        ctx.allow_extra_args = True
        super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            named = command(*options("--group", ctx.args))
            ctx.fail(f"Got unexpected extra argument(s) ({' '.join(ctx.args)}): groups are named as in {named}")
        return list(ctx.args)


class CommandFiles(Mapping[str, Any]):
    """The commands as typer runs them, by name. One is loaded once it is asked for: all take three times as long."""

    def __getitem__(self, name: str) -> Any:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name, cls=OneCommand, short_help=COMMANDS[name])(ending(command_of(name)))
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(typer.core.TyperGroup):
    """The group of all commands, which lists them without loading any."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = CommandFiles()

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands' names, as the help lists them."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands into the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    name="rollcall",
    cls=Commands,
    help="Keeps Ansible Tower true to EC2 Auto Scaling: look at a deployed stack, and act on it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"rollcall {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version of this command"),
    ] = False,
) -> None:
    pass
