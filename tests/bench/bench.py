"""`make bench`: large scale-outs of the deployed stack, measured beside the per-instance way.

    model         the course of the bench against a model of Tower, with a real server's latencies
    real          its registration part against a real server
    places        where in Tower the bench works, on the model or on a real server
    scale_outs    instances launched and terminated on the embedded AWS, and what was recorded meanwhile
    per_instance  the per-instance way, through awxkit
    polls         looks at a job of five minutes, on a simulated clock
    functions     cold starts, CPU and memory of the built functions
    own_code      CPU of our own code
    reconciling   runs of the built reconcile over drifted inventories, and the list API walked
    drifted       these inventories and their groups, as data
    prepared_aws  the AWS that these runs read
    cycling       a cycle of a group under load
    baking        a bake, and retention over many images
    counted       the calls of a run of retention, counted on their way
    price         AWS's list price
    figures       what was recorded, as figures
    table         the figures as tables, and the goals
    how_made      how they came about, in words

The figures go to build/bench.json, one flat object; the tables also to build/bench.md. With TOWER_URL and TOWER_TOKEN
in the environment (and TOWER_ADMIN_TOKEN, TOWER_CA_BUNDLE and TOWER_JOB_TEMPLATE as the contract tests take them) the
registration is measured against that server instead. The word `bakes` measures what is about bakes, and nothing else.

Exit codes: 0, or 1 if a goal was missed, a result was wrong, or the bench did not come out, or 128 + the signal that
ended it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import traceback
from subprocess import SubprocessError
from typing import TYPE_CHECKING

from lab.interrupts import until_interrupted

if TYPE_CHECKING:
    from pathlib import Path

    from bench.figures import Findings
    from bench.progress import View

DIRECTORY = "build/bench"  # the logs; the figures are beside it
TROUBLE = (AssertionError, LookupError, OSError, SubprocessError)  # those of requests are OSErrors, too
SENTENCES_MAX = 10  # about what was wrong
MODEL_MINUTES, REAL_MINUTES, BAKES_MINUTES = 20, 4, 3  # that it takes, about
BAKES = "bakes"  # the part that is measured by itself


def main() -> int:
    """The bench from beginning to end. Returns the exit code."""
    return until_interrupted(_run)


def _run() -> int:
    # Imported here so that an interrupt during these imports, which take a second, ends in a note too.
    from awxkit.exceptions import Common
    from botocore.exceptions import BotoCoreError, ClientError

    from bench import model, real
    from bench.functions import BenchError
    from bench.progress import View
    from contract.conftest import real_server, trouble_with
    from lab.cloud import REPOSITORY, SamError, keep_to_this_machine

    only_bakes = sys.argv[1:] == [BAKES]
    if sys.argv[1:] and not only_bakes:
        print(f"The bench has one part that can be measured by itself: {BAKES}")
        return 1
    server = None if only_bakes else real_server()
    keep_to_this_machine()
    directory = REPOSITORY / DIRECTORY
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    view = View()
    if server and (trouble := trouble_with(server)):
        view.say(f"TOWER_URL{server.shown}: {trouble}", "bold red")
        return 1
    view.say(_headline(server.url if server else "", only_bakes=only_bakes), "bold")
    try:
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            os.environ["TMPDIR"] = temporary  # sam leaves directories behind
            if server:
                findings = real.measure(view, directory, server)
            else:
                findings = (model.measure_bakes_alone if only_bakes else model.measure)(view, directory)
    except (*TROUBLE, SamError, BenchError, BotoCoreError, ClientError, Common) as error:
        (directory / "trouble.log").write_text(traceback.format_exc())
        view.say(f"The bench did not come out: {type(error).__name__}: {error}\nLogs: {DIRECTORY}/", "bold red")
        return 1
    return conclude(view, directory, findings)


def _headline(server: str, *, only_bakes: bool) -> str:
    """What is going to be measured, and how long it takes. server: its URL, empty for the model."""
    if only_bakes:
        return f"A bake and retention on the embedded cloud, all on this machine: about {BAKES_MINUTES} minutes"
    where = f"against {server}" if server else "all on this machine"
    minutes = REAL_MINUTES if server else MODEL_MINUTES
    return f"Large scale-outs of the deployed stack on the embedded cloud, {where}: about {minutes} minutes"


def conclude(view: View, directory: Path, findings: Findings) -> int:
    """Write the figures beside the directory of the logs, show them, and say what is not as it should be."""
    from bench.figures import rounded
    from bench.how_made import how_made
    from bench.table import drawn, markdown, missed_goals, tables

    figures = rounded({**findings.figures, "wrong_results": len(findings.wrong)})
    shown, made = tables(figures), how_made(figures)
    directory.with_suffix(".json").write_text(json.dumps(figures, indent=2) + "\n")
    directory.with_suffix(".md").write_text("\n".join([*map(markdown, shown), made, ""]))
    for table in shown:
        view.say("")
        view.console.print(drawn(table))
    view.say(f"\n{made}\n")
    missed = missed_goals(figures)
    for sentence in findings.wrong[:SENTENCES_MAX]:
        view.say(f"Wrong: {sentence}", "bold red")
    if len(findings.wrong) > SENTENCES_MAX:
        view.say(f"Wrong: {len(findings.wrong) - SENTENCES_MAX} more like these", "bold red")
    for sentence in missed:
        view.say(f"Goal missed: {sentence}", "bold red")
    if not findings.wrong and not missed:
        view.say("Every goal that was measured is met, and nothing went wrong.", "green")
    view.say(f"Figures: {DIRECTORY}.json, tables: {DIRECTORY}.md, logs: {DIRECTORY}/. Nothing is left running.")
    return 1 if findings.wrong or missed else 0


if __name__ == "__main__":
    sys.exit(main())
