"""The command `rollcall`: what operators run against a deployed stack. Each command has a file in commands/."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rollcall import __version__

from .commands.bake import bake
from .commands.cycle import cycle
from .commands.doctor import doctor
from .commands.history import history
from .commands.invoke import invoke
from .commands.offboard import offboard
from .commands.onboard import onboard
from .commands.reconcile import reconcile
from .commands.redrive import redrive
from .commands.release import release
from .commands.rollback import rollback
from .commands.status import status
from .commands.uninstall_check import uninstall_check
from .running import ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from .exit_codes import ExitCode

COMMANDS: dict[str, tuple[Callable[..., ExitCode], str]] = {  # in the list of all commands with these words
    "bake": (bake, "make a new image for a group, and cycle the group to it"),
    "cycle": (cycle, "replace every instance of a group, without downtime, and verify it"),
    "doctor": (doctor, "what is set up wrongly, with the remedies"),
    "history": (history, "when instances came, were provisioned, and left"),
    "invoke": (invoke, "run one function by hand, and read its log"),
    "offboard": (offboard, "take a group out; or let it through in an emergency"),
    "onboard": (onboard, "take a group in, in the safe order"),
    "reconcile": (reconcile, "make Tower and EC2 agree now"),
    "redrive": (redrive, "dead letters: show, send back, delete"),
    "release": (release, "end the provisioning circuit breaker of a group"),
    "rollback": (rollback, "cycle a group back to a version that bakes have kept"),
    "status": (status, "what every instance that waits is waiting for"),
    "uninstall-check": (uninstall_check, "hooks to take away before the stack is deleted"),
}

app = typer.Typer(
    name="rollcall",
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


for name, (command, words) in COMMANDS.items():
    app.command(name, short_help=words)(ending(command))
