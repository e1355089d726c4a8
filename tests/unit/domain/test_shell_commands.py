"""Commands that operators paste: run by a real bash."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from rollcall.doctor.diagnosis import diagnose
from rollcall.doctor.observations import ObservedInventory
from rollcall.domain.shell_commands import (
    command,
    in_single_quotes,
    options,
    remove_tag_command,
    set_tag_command,
)
from rollcall.reconcile.steps import Removal
from rollcall.telemetry.reconcile_details import removal_limit_words
from rollcall_cli.commands import doctor, reconcile, redrive, uninstall_check
from rollcall_cli.dead_letters.redrive import delete_command
from unit import observed
from unit.cli.commands import parsed, run
from unit.fakes import REGION
from unit.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[3]
NASTY = (
    "two words",
    "it's",
    'say "x"',
    'it\'s "both"',
    "$HOME",
    "$(touch was-here)",
    "${ARGS}",
    "$$",
    "$(shell touch was-here)",
    "`id`",
    "#comment",
    "a #b",
    "\\",
    "\\\\n\\$x",
    "a\\",
    "*",
    "~",
    "=web",
    "!!",
    "a;b|c&d<e>f(g)h",
    "{a,b}",
    "-x",
    "--force",
    "",
    " ",
    "größe 🎉",
    "%s",
    "a=b",
    "@web",
    ":",
    "[red]web[/red]",
)
# As Auto Scaling has them: no control characters.
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12) | st.text("'\"$`\\#!-=() x", max_size=12)
FEW = settings(max_examples=settings().max_examples // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with programs that print their arguments."""
    folder = tmp_path_factory.mktemp("programs") / "bin"
    folder.mkdir()
    for name in ("aws", "rollcall"):
        program = folder / name
        program.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
        program.chmod(0o700)
    return folder


def pasted(line: str, bin_folder: Path) -> list[str]:
    """The arguments that the program gets which a pasted line starts."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=ROOT,
        env={"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), line
    return done.stdout.removesuffix("\0").split("\0")


@pytest.mark.parametrize("name", NASTY)
def test_a_pasted_word_is_what_it_was(name: str, bin_folder: Path) -> None:
    assert pasted(command("aws", name, "after"), bin_folder) == [name, "after"]
    assert pasted(f"aws {in_single_quotes(name)}", bin_folder) == [name]
    assert not (ROOT / "was-here").exists()


@FEW
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_whatever_words_hold_a_shell_takes_them_as_they_are(bin_folder: Path, words: list[str]) -> None:
    assert pasted(command("aws", *words), bin_folder) == words


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_no_name_is_taken_for_an_option(names: list[str]) -> None:
    read = parsed("reconcile", "--force", *options("--group", names), *options("--forget", names))
    assert (read["group"], read["forget"]) == (names, names)


def test_what_needs_no_quotes_has_none() -> None:
    assert (
        command("aws", "arn:aws:sqs:us-east-1:1:q", "a=b", "two words")
        == 'aws arn:aws:sqs:us-east-1:1:q a=b "two words"'
    )
    assert command("rollcall", "reconcile", "--force", *options("--group", ["api", "web"])) == (
        "rollcall reconcile --force --group api --group web"
    )
    assert delete_command("id") == "rollcall redrive --delete id"
    assert delete_command("id", ("--stack", "other")) == "rollcall redrive --stack other --delete id"


# Every place


def reconcile_says(groups: Sequence[str]) -> str:
    """What the command prints where the removal limit stopped hosts of these groups."""
    return reconcile._force([{"group": each} for each in groups])


def removal_limit_says(groups: Sequence[str]) -> str:
    """What the event says, up to what programs send."""
    world = World()
    hosts = [world.host_of(f"i-{number}", "10.0.0.1", each) for number, each in enumerate(groups)]
    dumped = {host.name: host for host in world.tower.dump(world.inventory).hosts}
    removals = [Removal(world.inventory, dumped[host.name], host.name, "gone") for host in hosts]
    words = removal_limit_words(removals, 9, "fleet")
    event = json.loads(words.rpartition("(event ")[2].removesuffix(")"))
    assert event == {"force": True, "groups": sorted(groups)}
    return re.search(r"rollcall reconcile .*(?= \(event )", words, re.DOTALL)[0]  # type: ignore[index]


@pytest.mark.parametrize("say", [reconcile_says, removal_limit_says])
@pytest.mark.parametrize("name", [each for each in NASTY if each])
def test_what_forces_a_run_past_the_removal_limit_names_the_group(say: Any, name: str, bin_folder: Path) -> None:
    read = parsed(*pasted(say([name]), bin_folder))
    assert (read["force"], read["group"]) == (True, [name])


@pytest.mark.parametrize("name", [each for each in NASTY if each.strip()])
def test_what_forgets_a_group_names_it(name: str, bin_folder: Path) -> None:
    world = World()
    world.serving("i-a", "10.0.0.1", "another")
    world.host_of("i-a", "10.0.0.1", name)
    [finding] = world.reconcile().plan.findings
    line, _, event = finding.reason.partition(": rollcall ")[2].rpartition(" (event ")
    assert parsed(*pasted(f"rollcall {line}", bin_folder))["forget"] == [name]
    assert json.loads(event.removesuffix(")")) == {"forget": [name]}


FAULTS: dict[str, dict[str, Any]] = {
    "hooks of a group that did not opt in": {"inventory": None},
    "a group that did not opt in": {"inventory": None, "hooks": ()},
    "no hooks": {"hooks": ()},
    "two hooks": {"hooks": (*observed.HOOKS, observed.hook(name="rollcall-again"))},
    "an odd hook": {"hooks": (observed.hook(default_result="CONTINUE"), observed.HOOKS[1])},
    "a tag that cannot be read": {"timeout": "soon"},
    "an instance without a host": {"members": ["i-a", "i-b"]},
    "a host that was renamed": {"members": ["i-renamed"]},
    "an emergency": {"emergency": "2026-11-21T10:00:00Z rollcall-launching=600/ABANDON"},
    "a release to come": {"released": "2200-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("name", [each for each in NASTY if each.strip()])
def test_doctors_remedies_name_the_group(name: str, bin_folder: Path) -> None:
    for what, fault in FAULTS.items():
        hosts = (observed.host("i-a"), observed.host("web-1", instance_id="i-renamed"))
        inventories = {"prod": ObservedInventory(observed.INVENTORY, True, hosts)}
        group = observed.group(name=name, groups="web", **fault)
        tower = observed.tower(inventories=inventories)
        diagnosis = diagnose(observed.everything(group, wanted=frozenset({name}), tower=tower), observed.HERE)
        lines = [line for each in diagnosis.findings for line in lines_in(each.remedy)]
        assert lines, what
        for line in lines:
            if line.startswith(("rollcall offboard", "rollcall onboard")):
                assert parsed(*pasted(line, bin_folder))["group"] == name
            elif line.startswith("rollcall"):
                assert parsed(*pasted(line, bin_folder))["group"] == [name]
            else:
                assert [*tagged(words := pasted(line, bin_folder)), *named(words)] == [name]


def lines_in(remedy: str) -> list[str]:
    """The commands in a remedy, which are its last words."""
    found = re.search(r"(?:aws autoscaling|rollcall (?:reconcile|release|offboard|onboard)) .*", remedy, re.DOTALL)
    return re.split("; (?=aws autoscaling )", found[0]) if found else []


def tagged(words: list[str]) -> list[str]:
    """The group whose tag a command of AWS sets."""
    if words[1] != "create-or-update-tags":
        return []
    [tag] = (
        json.loads(words[3]) if words[3].startswith("[") else [dict(each.split("=", 1) for each in words[3].split(","))]
    )
    assert tag.keys() == {"ResourceType", "PropagateAtLaunch", "ResourceId", "Key", "Value"}
    return [tag["ResourceId"]]


def named(words: list[str]) -> list[str]:
    """The group that a command of AWS names."""
    option = "--auto-scaling-group-name"
    return [
        *(each.removeprefix(f"{option}=") for each in words if each.startswith(f"{option}=")),
        *(words[at + 1] for at, each in enumerate(words) if each == option),
    ]


@pytest.mark.parametrize("name", [each for each in NASTY if each])
def test_what_uninstall_check_prints_names_group_and_hook(
    name: str, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uninstall_check, "hooks_of", lambda *_: iter([uninstall_check.HeldBy(name, "-rollcall")]))
    done = run("uninstall-check", "--prefix", "rollcall", "--region", REGION)
    assert done.exit_code == 1
    words = pasted(done.stdout.partition(":\n")[2].strip(), bin_folder)
    assert named(words) == [name]
    assert words[-3:] == ["--lifecycle-hook-name=-rollcall", "--region", REGION]


def test_a_group_with_a_plain_name_is_tagged_in_the_short_way() -> None:
    assert set_tag_command("web-1.x/y", "rollcall:gate", "VALUE") == (
        "aws autoscaling create-or-update-tags --tags ResourceType=auto-scaling-group,PropagateAtLaunch=false,"
        "ResourceId=web-1.x/y,Key=rollcall:gate,Value=VALUE"
    )
    assert remove_tag_command("web-1.x/y", "rollcall:gate") == (
        "aws autoscaling delete-tags --tags ResourceType=auto-scaling-group,ResourceId=web-1.x/y,Key=rollcall:gate"
    )


def test_a_tag_is_taken_from_a_group_whose_name_the_shorthand_would_not_keep() -> None:
    words = shlex.split(remove_tag_command("web, $(touch x)", "rollcall:gate"))
    assert json.loads(words[-1]) == [
        {"ResourceType": "auto-scaling-group", "ResourceId": "web, $(touch x)", "Key": "rollcall:gate"}
    ]


# Printed


def narrow() -> Console:
    """A terminal that is narrower than every command."""
    return Console(file=io.StringIO(), highlight=False, markup=False, width=30, force_terminal=True, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


LONG = command("rollcall", "reconcile", "--force", "--group", "a group with a name of many words")


def test_no_command_is_broken_into_lines_by_a_narrow_terminal() -> None:
    console = narrow()
    finding = {"severity": "warning", "subject": "group web", "reason": "why", "remedy": f"do this: {LONG}"}
    doctor.show(console, {"findings": [finding], "left_out": 0, "checked": [], "seconds": 1.0})
    assert LONG in printed(console)
    console = narrow()
    described = [{"inventory": "fleet", "kind": "not opted in", "subject": "i-a", "reason": f"do this: {LONG}"}]
    reconcile._list(console, {"findings": described, "left_out": {}}, "findings", f"to know: {LONG}", 9, as_found)
    assert printed(console).count(LONG) == 2
    console = narrow()
    redrive._print(console, f"-> stays: {LONG}", redrive.DEEPER)
    assert LONG in printed(console)


def as_found(each: dict[str, Any]) -> tuple[str, str, str]:
    return each["kind"], each["subject"], each["reason"]
