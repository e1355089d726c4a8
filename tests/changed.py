"""Format, lint, types and unit tests of what changed: `make check`, for between two edits. `make test` proves more.

python tests/changed.py [BASE]: what differs from where BASE (a commit; HEAD) and the checkout part, and what git does
not know yet.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import PurePath

UNIT = "tests/unit"
PROJECT = f"{UNIT}/project"
TESTED_BY = {  # by the first beginning that a path has; what has none needs no test
    "layers/common/rollcall/http/": (f"{UNIT}/tower", f"{UNIT}/chef", f"{UNIT}/alerting", f"{PROJECT}/test_floors.py"),
    "layers/common/rollcall/": (f"{UNIT}/{{part}}", f"{PROJECT}/test_floors.py", f"{PROJECT}/test_docs.py"),
    "functions/": (f"{UNIT}/runtime", PROJECT),
    "cli/rollcall_cli/": (f"{UNIT}/cli", f"{UNIT}/domain/test_shell_commands.py", PROJECT),
    "events/": (f"{UNIT}/domain", f"{UNIT}/telemetry", f"{UNIT}/lab/test_by_hand.py", PROJECT),
    "docs/": (PROJECT,),
    "zensical.toml": (PROJECT,),
    "CONTRIBUTING.md": (PROJECT,),
    "CHANGELOG.md": (PROJECT,),
    "examples/": (PROJECT,),
    "README.md": (PROJECT,),
    "template.yaml": (PROJECT,),
    "Makefile": (PROJECT,),
    "tests/lab/": (f"{UNIT}/lab",),
    "tests/bench/": (f"{UNIT}/lab/test_bench.py",),
    "tests/contract/": (),  # these take longer than one waits between two edits
    "tests/stack/": (),
    "tests/truth/": (),
    "tests/": (UNIT,),
    "layers/": (UNIT,),
    "pyproject.toml": (UNIT,),
}
TYPED = ("layers/common/rollcall", "cli/rollcall_cli", "docs/generators", "tests")
WORKERS = ("--numprocesses", "2", "--dist", "loadfile")


def unit_tests_of(paths: Iterable[str]) -> list[str]:
    """The files and directories with the unit tests of changed files, those that need no other named to cover them."""
    found = {test for path in paths for test in _of_one(path)}
    return sorted(test for test in found if not any(str(above) in found for above in PurePath(test).parents))


def _of_one(path: str) -> tuple[str, ...]:
    if path.startswith(f"{UNIT}/") and PurePath(path).name.startswith("test_"):
        return (path,)
    begins = next((each for each in TESTED_BY if path.startswith(each)), None)
    if begins is None:
        return ()
    part = path.removeprefix(begins).partition("/")[0]
    return tuple(each.format(part=part) for each in TESTED_BY[begins])


def changed_files(base: str) -> list[str]:
    """The files that are there, relative to the repository."""
    changed = ["git", "diff", "--name-only", "--diff-filter=d", "--merge-base", base]
    unknown = ["git", "ls-files", "--others", "--exclude-standard"]
    return sorted({line for each in (changed, unknown) for line in _output(each).splitlines()})


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(base: str = "HEAD") -> int:
    """The exit code: that of the first command that fails."""
    paths = changed_files(base)
    modules = [path for path in paths if path.endswith(".py")]
    tests = unit_tests_of(paths)
    commands = (
        [["ruff", "format", "--check", *modules], ["ruff", "check", *modules], ["mypy", *TYPED]] if modules else []
    )
    if tests:
        workers = WORKERS if UNIT in tests else ()
        commands.append(["pytest", "-q", "-m", "not thorough", *workers, *tests])
    return next((code for each in commands if (code := subprocess.run(each, check=False).returncode)), 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
