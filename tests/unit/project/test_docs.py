"""The pages people read: every link leads somewhere, and what stands in their tables is what the code says."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections import Counter
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from contract.roles import NEEDED, SOMETIMES
from rollcall.checks.registry import NAMES, kind_named
from rollcall.domain import errors, event_fields
from rollcall.domain.reports import Event
from rollcall.reconcile.steps import DriftKind
from rollcall.telemetry.announcer import METRICS
from rollcall.telemetry.event_details import INSTANCE_IN_TROUBLE
from rollcall.telemetry.reconcile_details import BREAKER_TRIPPED
from rollcall_cli.main import app
from unit.project.template import POLICIES, target
from unit.project.test_floors import FLOOR_OF, FLOORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REPOSITORY = Path(__file__).parents[3]
DOCS = REPOSITORY / "docs"
FRONT_PAGE = REPOSITORY / "README.md"
DECISIONS = DOCS / "decisions"
DECISIONS_INDEX = DECISIONS / "README.md"
ARCHITECTURE = DOCS / "architecture.md"
PAGES = {
    str(page.relative_to(REPOSITORY)): page
    for page in (
        FRONT_PAGE,
        REPOSITORY / "CHANGELOG.md",
        REPOSITORY / "functions" / "README.md",
        *sorted(DOCS.rglob("*.md")),
    )
}
SOURCES = [
    *sorted((REPOSITORY / "layers").rglob("*.py")),
    *sorted((REPOSITORY / "functions").rglob("*.py")),
    *sorted((REPOSITORY / "cli").rglob("*.py")),
]
PACKAGE = REPOSITORY / "layers" / "common" / "rollcall"
TEMPLATE: dict[str, Any] = yaml_parse((REPOSITORY / "template.yaml").read_text())
FRONT_PAGE_LINES = 150
FILE = r"[\w./*-]+\.(?:py|yaml|md|json|toml)\b"
OF_OTHERS = ("ansible/", "awx/")  # files of their repositories, named as where we know something from
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
# Words that say less than they could at three in the morning. What the code prints stands between backticks.
VAGUE = re.compile(
    r"\b(struck off|str(?:ik|uck)\w* off|signs? of life|(?:is|are|was|were) told|tells? of|told of|nobody|somebody"
    r"|makes? way|awaited|dust has|in the way|finished elsewhere|the brake|mend(?:s|ed|ing)?|newcomers?|deeds?|storms?"
    r"|set aside|the breaker|mailroom|trouble[sd]?|people|persons?|whoever|anybody|everybody)\b",
    re.IGNORECASE,
)


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text())


def code_in(page: Path) -> list[str]:
    """What stands in a page as code: its blocks, and what is between backticks."""
    return [*FENCE.findall(page.read_text()), *SPAN.findall(prose(page))]


def anchors_of(page: Path) -> list[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def tables_in(page: Path, first_header: str) -> list[list[list[str]]]:
    """The rows of the tables whose first column is headed so."""
    tables: list[list[list[str]]] = []
    for block in re.findall(r"(?:^\|.*\n)+", prose(page), re.MULTILINE):
        header, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        if header[0].strip() == first_header:
            tables.append(rows)
    return tables


def rows_of(page: Path, first_header: str) -> list[list[str]]:
    """The rows of the one table whose first column is headed so."""
    [table] = tables_in(page, first_header)
    return table


def named(cells: Iterable[str]) -> list[str]:
    """What is named in cells, between backticks."""
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def sourced(pattern: str, paths: Iterable[Path] = SOURCES) -> set[str]:
    return {found for path in paths for found in re.findall(pattern, path.read_text())}


def linked_by(page: Path) -> set[Path]:
    """The files that a page's links lead to."""
    return {(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(page.read_text())}


def sections_of(page: Path) -> dict[str, str]:
    """What stands under each heading of the second level, by the heading."""
    _, *sections = re.split(r"^## (.+)\n", page.read_text(), flags=re.MULTILINE)
    return dict(zip(sections[::2], sections[1::2], strict=True))


def files_named(path: str) -> list[Path]:
    """The files that a path between backticks means, with * for any name: from the repository, or from our package."""
    return [file for root in (REPOSITORY, PACKAGE) for file in root.glob(path)]


def remarks_in(path: Path) -> list[str]:
    """The comments of a file, and a module's docstrings."""
    text = path.read_text()
    if path.suffix != ".py":
        return re.findall(r"(?:^|\s)#.*", text)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    bodies = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) for node in ast.walk(ast.parse(text)) if isinstance(node, bodies)]
    return [*(each.string for each in tokens if each.type == tokenize.COMMENT), *filter(None, docstrings)]


def texts_in(path: Path) -> Iterator[str]:
    """The texts that a module writes, … for what is filled in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values)


# The pages


def test_the_front_page_is_short_and_has_the_two_commands_to_try_it() -> None:
    text = FRONT_PAGE.read_text()
    assert len(text.splitlines()) <= FRONT_PAGE_LINES
    assert {"make demo", "make test"} <= {line.partition("#")[0].strip() for line in text.splitlines()}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(name: str) -> None:
    page = PAGES[name]
    for link in LINK.findall(SPAN.sub("", prose(page))):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name}: {link}"
        assert not anchor or anchor in anchors_of(target), f"{name}: {link}"


@pytest.mark.parametrize("name", PAGES)
def test_no_two_headings_of_a_page_have_one_anchor(name: str) -> None:
    assert [each for each, times in Counter(anchors_of(PAGES[name])).items() if times > 1] == []


def test_the_front_page_leads_to_every_page() -> None:
    assert linked_by(FRONT_PAGE) >= set(PAGES.values()) - {FRONT_PAGE, *DECISIONS.glob("*.md")} | {DECISIONS_INDEX}


def test_pages_that_messages_name_are_there() -> None:
    sources = [*SOURCES, REPOSITORY / "template.yaml"]
    assert sourced(r"docs/[\w-]+\.md", sources) <= set(PAGES)
    assert sourced(r"README,", sources) == set()


def test_the_layout_names_every_module_and_no_other() -> None:
    modules = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    rows = re.findall(r"^\| `(\w+)/` \| .*? \| (.*) \|$", ARCHITECTURE.read_text(), re.MULTILINE)
    listed = {f"{package}/{module}.py" for package, cell in rows for module in named([cell])}
    page = ARCHITECTURE.relative_to(REPOSITORY)
    assert modules - listed == set(), f"{page}, The modules: add these to the rows of their packages"
    assert listed - modules == set(), f"{page}, The modules: these are not there, remove them"


def test_the_floors_of_the_picture_are_those_of_the_imports() -> None:
    picture, *_ = FENCE.findall(sections_of(ARCHITECTURE)["The floors"])
    drawn = [set(re.findall(r"\b(\w+)/", line)) & FLOOR_OF.keys() for line in picture.splitlines()]
    assert [each for each in reversed(drawn) if each] == [set(packages) for packages in FLOORS]


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith(("docs/architecture", "docs/decisions/"))])
def test_every_file_that_is_named_is_there(name: str) -> None:
    paths = {each for code in code_in(PAGES[name]) for each in re.findall(rf"{FILE}|\b\w+(?:/[\w*-]+)+/", code)}
    named_here = {each for each in paths if "/" in each}
    assert {each for each in named_here if not files_named(each)} == set()


@pytest.mark.parametrize(
    "path", [*SOURCES, REPOSITORY / "template.yaml"], ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_every_file_that_a_docstring_or_a_comment_names_is_there(path: Path) -> None:
    """From the repository, from our package, or beside the file."""
    named_here = {each for text in remarks_in(path) for each in re.findall(FILE, text)}
    own = {each for each in named_here if not each.startswith(OF_OTHERS)}
    assert {each for each in own if not (files_named(each) or list(path.parent.glob(each)))} == set()


def test_what_is_named_of_a_file_is_in_it() -> None:
    text = ARCHITECTURE.read_text()
    pictured = r"([\w/*]+\.py)((?:,? [A-Za-z_]+(?:\.\w+)?)+)(?=  |$| ─)"
    written = r"`([\w/]+\.py)`\s\(((?:`\w+`(?:,\s)?)+)\)"
    in_pictures = [each for block in FENCE.findall(text) for each in re.findall(pictured, block, re.MULTILINE)]
    in_words = re.findall(written, text)
    assert len(in_pictures) > 40
    assert len(in_words) > 20
    for path, names in [*in_pictures, *in_words]:
        assert files_named(path), path
        for file, name in product(files_named(path), re.findall(r"\w+", names)):
            assert re.search(rf"^ *(?:class |def )?{name}\b", file.read_text(), re.MULTILINE), f"{path}: {name}"


@pytest.mark.parametrize("name", [name for name in PAGES if PAGES[name].parent == DECISIONS])
def test_every_decision_has_a_date_a_why_and_what_was_not_chosen(name: str) -> None:
    for title, text in sections_of(PAGES[name]).items() if PAGES[name] != DECISIONS_INDEX else ():
        about = " ".join(text.strip().partition("\n\n")[0].split())
        dated = re.fullmatch(r"\*\d{4}-\d\d-\d\d(, superseded by \[[^]]+\]\([^)]+\))?\*", about)
        reasons = re.findall(r"^- \*\*(Why|Not chosen):\*\*", text, re.MULTILINE)
        assert dated, title
        assert dated[1] or reasons == ["Why", "Not chosen"], title


def test_the_index_leads_to_every_decision_and_marks_those_that_are_superseded() -> None:
    assert linked_by(DECISIONS_INDEX) >= set(DECISIONS.glob("*.md")) - {DECISIONS_INDEX}
    lines = " ".join(DECISIONS_INDEX.read_text().split())
    for page in set(DECISIONS.glob("*.md")) - {DECISIONS_INDEX}:
        for title, text in sections_of(page).items():
            assert f"{title} (*superseded*)" in lines if ", superseded by " in text else title in lines, title


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_use_plain_words(name: str) -> None:
    lines = SPAN.sub("", prose(PAGES[name])).splitlines()
    assert [line for line in lines if VAGUE.search(line)] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_make_target_that_a_page_names_is_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert {target for code in code_in(PAGES[name]) for target in re.findall(r"\bmake ([a-z-]+)", code)} <= targets


# What stands in the tables


def test_the_parameters_are_those_of_the_template_with_their_defaults() -> None:
    documented = {named([row[0]])[0]: row[-1] for row in rows_of(DOCS / "install.md", "parameter")}
    words = {None: "\N{EN DASH}", "": "none"}
    defaults = {name: each.get("Default") for name, each in TEMPLATE["Parameters"].items()}
    assert documented == {name: words.get(default, f"`{default}`") for name, default in defaults.items()}


def test_the_tags_are_those_that_are_read() -> None:
    documented = named(row[0] for row in rows_of(DOCS / "groups.md", "tag"))
    assert sorted(documented) == sorted(sourced(r'"(rollcall:[a-z-]+)"', [PACKAGE / "domain" / "settings.py"]))


def test_the_checks_are_those_that_can_be_asked_for() -> None:
    [gate] = [row for row in rows_of(DOCS / "groups.md", "tag") if row[0] == "`rollcall:gate`"]
    assert named([gate[1]]) == [kind_named(each).form for each in NAMES]
    explained = re.findall(r"^\*\*Checks\.\*\* .*?\n\n", (DOCS / "groups.md").read_text(), re.MULTILINE | re.DOTALL)
    assert re.findall(r"`(\w+)`: ", "".join(explained)) == list(NAMES)


def test_the_roles_are_those_that_the_contract_tests_prove_to_be_enough() -> None:
    documented = [[cell.replace("`", "") for cell in row] for row in rows_of(DOCS / "install.md", "role")]
    needed = [[f"*{each.role}*", each.objects, each.purpose] for each in NEEDED]
    assert documented == needed + [[f"*{each.role}*, sometimes", each.objects, each.purpose] for each in SOMETIMES]


def test_the_errors_are_those_of_the_taxonomy_and_those_that_stand_in_their_place() -> None:
    taxonomy = {each.__name__ for kind in (errors.Transient, errors.Permanent) for each in kind.__subclasses__()}
    own = {name for name in taxonomy if hasattr(errors, name)}
    documented = named(row[0] for row in rows_of(DOCS / "troubleshooting.md", "name"))
    assert sorted(documented) == sorted({*own, INSTANCE_IN_TROUBLE, BREAKER_TRIPPED})


def test_the_findings_of_reconcile_are_all_there() -> None:
    assert sorted(named(row[0] for row in rows_of(DOCS / "reconcile.md", "finding"))) == sorted(DriftKind)


def test_the_findings_of_doctor_are_all_there() -> None:
    tables = tables_in(DOCS / "doctor.md", "finding")
    bulk = {"BULK_HOST_MAX_CREATE", "BULK_HOST_MAX_DELETE"}  # made in a loop
    assert set(named(row[0] for table in tables for row in table)) == findings_of_doctor() | bulk


def test_the_alarms_are_those_of_the_template() -> None:
    kind = "AWS::CloudWatch::Alarm"
    alarms = {name.removesuffix("Alarm") for name, each in TEMPLATE["Resources"].items() if each["Type"] == kind}
    assert sorted(named(row[0] for row in rows_of(DOCS / "operating.md", "alarm"))) == sorted(alarms)


def test_the_metrics_are_those_that_are_written() -> None:
    written = {name for pair in METRICS.values() for name in pair if name} | set(metrics_written())
    assert sorted(named(row[0] for row in rows_of(DOCS / "events-and-metrics.md", "metric"))) == sorted(written)


def test_the_events_are_those_that_are_published() -> None:
    kind = re.compile(r"[A-Z]\w+( [A-Z]\w+){1,2}")
    others = {text for text in vars(event_fields).values() if isinstance(text, str) and kind.fullmatch(text)}
    documented = named(row[0] for row in tables_in(DOCS / "events-and-metrics.md", "detail type")[0])
    assert sorted(documented) == sorted({*Event, *others})


@pytest.mark.parametrize("name", PAGES)
def test_a_sample_of_an_event_has_the_fields_of_the_whole_one(name: str) -> None:
    samples = [json.loads(path.read_text()) for path in (REPOSITORY / "events" / "announced").glob("*.json")]
    fields = {each["detail-type"]: set(each["detail"]) for each in samples}
    for block in FENCE.findall(PAGES[name].read_text()):
        if '"detail":' in block:
            for event in _objects(block.partition("\n")[2].removesuffix("```")):
                assert set(event["detail"]) == fields[event["detail-type"]], event


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that stand one behind the other."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        event, end = decoder.raw_decode(text)
        yield event
        text = text[end:]


@pytest.mark.parametrize(
    ("page", "command", "elsewhere"),
    [("reconcile.md", "reconcile", set()), ("operating.md", "redrive", {"--send"})],
)
def test_the_options_of_a_command_are_all_there(page: str, command: str, elsewhere: set[str]) -> None:
    commands: Any = typer.main.get_command(app)
    known = {option for each in commands.commands[command].params for option in each.opts if option.startswith("--")}
    documented = {name.partition(" ")[0] for name in named(row[0] for row in rows_of(DOCS / page, "option"))}
    assert documented == known - elsewhere - {"--stack", "--region", "--profile"}


def test_what_a_log_is_said_to_hold_is_what_the_code_writes() -> None:
    text = "".join(path.read_text() for path in SOURCES)
    code = re.sub(r'"\s*\n\s*f?"', "", text)  # where a text goes on in the next line
    logs = [row[0] for table in tables_in(REPOSITORY / "functions" / "README.md", "in its log") for row in table]
    changed = [row[2] for row in rows_of(REPOSITORY / "CHANGELOG.md", "where")]
    for words in named([*logs, *changed]):
        for part in re.split(r"…|: |\b[A-Z]+\b|i-…", words):  # what differs from line to line
            assert part.strip(" :,") in code, words


def test_texts_that_changed_are_written_no_more() -> None:
    written = {text for path in SOURCES for text in texts_in(path)}
    for words in named(row[1] for row in rows_of(REPOSITORY / "CHANGELOG.md", "where")):
        parts = [re.escape(part) for part in words.strip("…; ").split("…")]
        until_now = re.compile(r"(?<!\w)" + ".+".join(parts), re.DOTALL)
        assert [text for text in written if until_now.search(text)] == [], words


def test_a_role_names_the_policies_that_are_attached_to_it() -> None:
    text = (REPOSITORY / "template.yaml").read_text()
    attached = {
        role: {name for name, each in POLICIES.items() if role in map(target, each["Roles"])}
        for role in re.findall(r"^  (\w+Role):", text, re.MULTILINE)
    }
    remarks = dict(re.findall(r"^  (\w+Role):  # also: (.*)$", text, re.MULTILINE))
    assert {role: set(names.split(", ")) for role, names in remarks.items()} == {
        role: names for role, names in attached.items() if names
    }


# Read from the code


def metrics_written() -> Iterator[str]:
    """The names of the metrics that are counted or timed by themselves."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-2:-1] == ["metrics"] and node.args:
                yield from _texts(node.args[0], {})


def findings_of_doctor() -> set[str]:
    """The last part of the key of everything that doctor finds; … stands for a name."""
    modules = (
        "domain/tag_support",
        "hosts/job_templates",
        "checks/load_balancers",
        "checks/registry",
    )
    paths = [*PACKAGE.glob("doctor/*_findings.py"), *(PACKAGE / f"{each}.py" for each in modules)]
    found: set[str] = set()
    for path in paths:
        module = ast.parse(path.read_text())
        shared = _assigned(module.body)
        for function in ast.walk(module):
            if isinstance(function, ast.FunctionDef):
                found |= set(_found_in(function, {**shared, **_assigned(list(ast.walk(function)))}))
    return found - {"…: …"}  # an objection, behind the tag that it is about


def _found_in(function: ast.FunctionDef, known: dict[str, ast.expr]) -> Iterator[str]:
    causes = function.returns is not None and ast.unparse(function.returns) == "tuple[str, str]"  # and a remedy
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = {"breaks": 1, "warns": 1, "say": 1, "Finding": 1, "Objection": 0}.get(node.func.id)
            given = [each.value for each in node.keywords if each.arg == "what"]
            if place is not None:
                yield from _texts([*given, *node.args[place : place + 1]][0], known)
        elif causes and isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            yield from _texts(node.value.elts[0], known)


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, ast.expr]:
    """What names stand for, where that is assigned once and for all."""
    known: dict[str, ast.expr] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Name):
                known[target.id] = value
            elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                known |= {ast.unparse(name): each for name, each in zip(target.elts, value.elts, strict=True)}
    return known


def _texts(node: ast.AST, known: dict[str, ast.expr]) -> list[str]:
    """The texts that an expression may be; … stands for what it is made of; nothing where that is not to be seen."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp():
            return [*_texts(node.body, known), *_texts(node.orelse, known)]
        case ast.JoinedStr():
            parts = [_texts(each, known) for each in node.values]
            return ["".join(each) for each in product(*parts)]
        case ast.FormattedValue():
            return (_texts(node.value, known) if isinstance(node.value, ast.IfExp) else []) or ["…"]
        case ast.Name() if node.id in known:
            return _texts(known[node.id], {})
        case _:
            return []
