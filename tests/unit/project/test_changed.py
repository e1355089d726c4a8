"""Which unit tests `make check` runs for what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from changed import TESTED_BY, UNIT, unit_tests_of

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("paths", "tests"),
    [
        (["layers/common/rollcall/tower/client.py"], ["tests/unit/tower"]),
        (["tests/unit/tower/test_client.py"], ["tests/unit/tower/test_client.py"]),
        (["layers/common/rollcall/tower/client.py", "tests/unit/tower/test_client.py"], ["tests/unit/tower"]),
        (["cli/rollcall_cli/stack.py"], ["tests/unit/cli", "tests/unit/domain/test_shell_commands.py"]),
        (["tests/lab/tower/jobs.py", "tests/bench/bench.py"], ["tests/unit/lab"]),
        (["docs/deploy.md"], []),
        (["tests/stack/test_lifecycle.py"], []),
        ([".venv", "notes.txt"], []),
        ([], []),
    ],
)
def test_a_change_is_tested_where_its_tests_are(paths: list[str], tests: list[str]) -> None:
    assert [each for each in unit_tests_of(paths) if not each.startswith(f"{UNIT}/project")] == tests


def test_what_every_package_must_keep_to_is_tested_with_each() -> None:
    assert "tests/unit/project/test_floors.py" in unit_tests_of(["layers/common/rollcall/tower/client.py"])
    assert unit_tests_of(["layers/common/rollcall/tower/client.py", "template.yaml"])[0] == "tests/unit/project"


@pytest.mark.parametrize(
    "path",
    [
        "tests/unit/fakes.py",
        "tests/unit/conftest.py",
        "tests/conftest.py",
        "pyproject.toml",
        "layers/chef/requirements.txt",
    ],
)
def test_what_all_tests_work_with_is_tested_by_all(path: str) -> None:
    assert unit_tests_of([path, "layers/common/rollcall/tower/client.py"]) == [UNIT]


def test_every_package_has_its_tests_where_they_are_looked_for() -> None:
    packages = [path.parent.name for path in (ROOT / "layers/common/rollcall").glob("*/__init__.py")]
    named = {test for each in packages for test in unit_tests_of([f"layers/common/rollcall/{each}/x.py"])}
    named |= {test for tests in TESTED_BY.values() for test in tests if "{" not in test}
    assert not [test for test in named if not (ROOT / test).exists()]
