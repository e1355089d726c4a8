"""The package's floors: what may import what, held to every import that stands in the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = {"rollcall": ROOT / "layers" / "common", "rollcall_cli": ROOT / "cli"}
PACKAGE = SOURCES["rollcall"] / "rollcall"
FLOORS = (  # from the ground up; a package imports from those below it and from itself, not from its neighbours
    ("domain",),
    ("aws", "http"),
    ("alerting", "tower"),
    ("hosts",),
    ("chef",),
    ("checks", "evidence"),
    ("lifecycle", "reconcile"),
    ("doctor",),
    ("workflow",),
    ("bake", "cycle"),
    ("telemetry",),
    ("runtime",),
)
VERSION = "rollcall.__version__"  # stands on no floor, and imports nothing
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}


def imported(module: str, source: str) -> set[str]:
    """The modules of its own tree that a module imports, those for types and within functions included, by name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            within = module.split(".")[: -node.level] if node.level else []
            named = ".".join([*within, *([node.module] if node.module else [])])
            found |= {f"{named}.{each.name}" if is_package(named) else named for each in node.names}
    return {each for each in found if each.split(".")[0] == module.split(".")[0]} - {module}


def is_package(name: str) -> bool:
    return any((source / name.replace(".", "/")).is_dir() for source in SOURCES.values())


def wrong_way(module: str, imports: str) -> str | None:
    """Why a module may not import another one; None if it may."""
    if imports == VERSION:
        return None
    if imports.count(".") < 2:
        return f"{module} imports {imports}, which is no module of a package"
    own, other = module.split(".")[1], imports.split(".")[1]
    if own == other or FLOOR_OF[other] < FLOOR_OF[own]:
        return None
    direction = "its neighbour" if FLOOR_OF[other] == FLOOR_OF[own] else "upwards"
    return f"{module} imports {imports}: {direction}"


def arrows(tree: str = "rollcall") -> dict[str, set[str]]:
    """For each module of a tree what it imports of it."""
    modules = {}
    for path in sorted((SOURCES[tree] / tree).rglob("*.py")):
        if path.name != "__init__.py":
            name = ".".join(path.relative_to(SOURCES[tree]).with_suffix("").parts)
            modules[name] = imported(name, path.read_text())
    return modules


def test_imports_run_downwards() -> None:
    assert [
        words for module, others in arrows().items() for each in sorted(others) if (words := wrong_way(module, each))
    ] == []


@pytest.mark.parametrize("tree", SOURCES)
def test_there_is_no_circle(tree: str) -> None:
    left = arrows(tree)
    assert left
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    assert not left, f"these import each other in a circle, or import those that do: {', '.join(left)}"


def test_every_package_has_a_floor_and_an_empty_init() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == FLOOR_OF.keys()
    for package in FLOOR_OF:
        assert (PACKAGE / package / "__init__.py").read_text() == ""


@pytest.mark.parametrize(
    ("module", "source", "words"),
    [
        (
            "rollcall.domain.actions",
            "from rollcall.hosts.jobs import launch",
            "rollcall.domain.actions imports rollcall.hosts.jobs: upwards",
        ),
        (
            "rollcall.aws.fleet",
            "def late():\n    from rollcall.http import transport",
            "rollcall.aws.fleet imports rollcall.http.transport: its neighbour",
        ),
        (
            "rollcall.lifecycle.gate",
            "if TYPE_CHECKING:\n    import rollcall.runtime.batch",
            "rollcall.lifecycle.gate imports rollcall.runtime.batch: upwards",
        ),
        ("rollcall.lifecycle.gate", "from rollcall.hosts.jobs import launch\nfrom .retire import Retire", None),
    ],
)
def test_a_planted_arrow_is_found_and_named(module: str, source: str, words: str | None) -> None:
    found = [why for each in sorted(imported(module, source)) if (why := wrong_way(module, each))]
    assert found == ([words] if words else [])


def test_the_operators_command_imports_nothing_of_what_only_functions_need() -> None:
    found = {
        f"{path.relative_to(ROOT)} imports {each}"
        for path in (ROOT / "cli").rglob("*.py")
        for each in imported("rollcall_cli", path.read_text())
        if each.split(".")[1] in ("runtime", "telemetry")
    }
    assert found == set()
