"""`make lab`: the embedded cloud with Rollcall deployed on it, until Ctrl-C. It takes a directory, or build/lab.

Exit codes: 0 where one is running already, 2 if it could not be set up, or 128 + the signal that ended it.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.interrupts import until_interrupted

if TYPE_CHECKING:
    from lab.by_hand.lab import Record
    from lab.cloud import Cloud

GROUP = "web"
LOOK = 1.0  # seconds between two looks whether the parent is still there
UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE")


def main() -> int:
    """The lab from beginning to end. Returns the exit code."""
    return until_interrupted(lambda: _run(Path(sys.argv[1]) if sys.argv[1:] else None))


def _run(given: Path | None) -> int:
    # Imported here so that an interrupt during these imports, which take a second, ends in a note too.
    from lab.by_hand.lab import DIRECTORY, LabBusy, running, started
    from lab.cloud import SamError, keep_to_this_machine
    from lab.demo.view import make_view

    end_with(os.getppid())
    keep_to_this_machine()
    view = make_view()
    directory = given or DIRECTORY
    try:
        if record := running(directory):
            view.say(f"A lab is running already, as process {record.process}: Ctrl-C in its terminal ends it.")
            view.say(how_to_use(record, directory))
            return 0
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            os.environ["TMPDIR"] = temporary  # sam leaves directories behind
            with started(view, directory, lasting=True) as cloud:
                with view.step(f"Making the group {GROUP}, with one instance"):
                    make_group(cloud)
                with view.step("Reconciling once"):
                    cloud.reconcile()
                record = running(directory)
                assert record
                (directory / "env.sh").write_text(shell_environment(cloud))
                view.say(how_to_use(record, directory))
                view.say("Ctrl-C ends it.")
                try:
                    while True:
                        time.sleep(LOOK)
                finally:
                    view.say("\nEnding the lab; what its functions unpacked is deleted …")
                    (directory / "env.sh").unlink(missing_ok=True)
    except (LabBusy, SamError) as error:
        view.say(str(error), "bold red")
        return 2


def end_with(parent: int) -> None:
    """End this process like a signal would, as soon as its parent is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def make_group(cloud: Cloud) -> None:
    """A group as an operator has it before Rollcall: one instance in service, no hooks, no tags.

    Bakes may give its launch template versions.
    """
    from lab.bakes import PLACED, permit
    from lab.cloud import eventually

    group = cloud.create_group(GROUP, {}, hooks=False, most=10, size=1, **PLACED)
    permit(group)
    eventually(group.in_service, "an instance serves")


def shell_environment(cloud: Cloud) -> str:
    """What a shell reads so that aws, sam and rollcall work on the lab."""
    from lab.cloud import STACK

    programs = os.pathsep.join([str(cloud.programs()), str(Path(sys.executable).parent)])
    settings = cloud.aws.environment | {
        "ROLLCALL_STACK": STACK,
        "ROLLCALL_TOWER_TOKEN": cloud.tower.token,
        "TOWER_URL": cloud.tower_url,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_PAGER": "",
    }
    lines = [f"unset {' '.join(UNSET)}", *(f"export {name}={shlex.quote(text)}" for name, text in settings.items())]
    local = 'export NO_PROXY="127.0.0.1${NO_PROXY:+,$NO_PROXY}" no_proxy="127.0.0.1${no_proxy:+,$no_proxy}"'
    return "\n".join([*lines, local, f'export PATH={shlex.quote(programs)}:"$PATH"', ""])


def how_to_use(record: Record, directory: Path) -> str:
    """What to type in another terminal, and where everything is."""
    from lab.by_hand.scenes import BAKE_TEMPLATE, BUILDERS, FAILING, INVENTORY, TEMPLATE
    from lab.cloud import ACCOUNT, REGION, REPOSITORY

    if directory.is_relative_to(REPOSITORY):
        directory = directory.relative_to(REPOSITORY)
    return f"""
The lab is up: an embedded AWS, an embedded Tower, and the stack between them.

From the first of these lines on, aws, sam and rollcall work on the lab, in another
terminal in this directory:

  . {directory / "env.sh"}
  rollcall doctor
  make invoke EVENT=events/launch-eventbridge.json

AWS     {record.endpoint_url}   account {ACCOUNT}, Region {REGION}
Tower   {record.tower_url}/api/v2/   for example its hosts:
curl -H "Authorization: Bearer $ROLLCALL_TOWER_TOKEN" $TOWER_URL/api/v2/hosts/
Group   {GROUP}: at first one instance, no hooks, no tags. In Tower, for it:
        inventory {INVENTORY}, job template {TEMPLATE}
Bakes   in inventory {BUILDERS}, by job template {BAKE_TEMPLATE}
Faults  the jobs of {" and ".join(FAILING.values())} fail
Alerts  what PagerDuty would have got:
curl {record.alerts_url}
Drift   rollcall reconcile: here it runs only when you run it
Logs    {directory / "aws.log"}
"""


if __name__ == "__main__":
    sys.exit(main())
