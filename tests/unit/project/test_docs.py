"""The pages people read: every link leads somewhere, and what stands in their tables is what the code says."""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import tokenize
import tomllib
from collections import Counter
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from markdown.extensions.toc import slugify  # type: ignore[import-untyped]

from rollcall import __version__
from rollcall.reconcile.steps import DriftKind
from rollcall_cli.main import app
from unit.project.template import POLICIES, target
from unit.project.test_floors import FLOOR_OF, FLOORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REPOSITORY = Path(__file__).parents[3]
DOCS = REPOSITORY / "docs"
FRONT_PAGE = REPOSITORY / "README.md"
DECISIONS = DOCS / "decisions"
DECISIONS_INDEXES = {DECISIONS / each for each in ("README.md", "operation.md", "workflows.md")}
ARCHITECTURE = DOCS / "architecture.md"
TEXTS = DOCS / "operate" / "texts-that-changed.md"
ABOUT_CODE = [ARCHITECTURE, DOCS / "event-paths.md", DOCS / "change-one-thing.md"]
PAGES = {
    str(page.relative_to(REPOSITORY)): page
    for page in (
        FRONT_PAGE,
        REPOSITORY / "CHANGELOG.md",
        REPOSITORY / "CONTRIBUTING.md",
        *sorted(DOCS.rglob("*.md")),
    )
}
SOURCES = [
    *sorted((REPOSITORY / "layers").rglob("*.py")),
    *sorted((REPOSITORY / "functions").rglob("*.py")),
    *sorted((REPOSITORY / "cli").rglob("*.py")),
]
PACKAGE = REPOSITORY / "layers" / "common" / "rollcall"
FRONT_PAGE_LINES = 150
WORDS_MOST = 1600  # of a page: eight minutes at 200 words a minute
SITE = tomllib.loads((REPOSITORY / "zensical.toml").read_text())["project"]
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


# What programs go by, and what a name alone is: it changes only with a reason in the changelog.
PUBLIC = re.compile(r"^\w+$|^Misconfiguration Mended$|^in the way$|\btroubles:")


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


@pytest.mark.parametrize("name", PAGES)
def test_a_heading_has_the_same_anchor_on_a_repository_page_and_on_the_site(name: str) -> None:
    headings = re.findall(r"^#+ (.+)$", prose(PAGES[name]), re.MULTILINE)
    assert anchors_of(PAGES[name]) == [slugify(heading.replace("`", ""), "-") for heading in headings]


def test_the_navigation_leads_to_every_page() -> None:
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    decisions = {name for name in pages if name.startswith("decisions/")} - {"decisions/README.md"}
    assert sorted(pages_of(SITE["nav"])) == sorted(pages - decisions)


def pages_of(navigation: list[Any]) -> Iterator[str]:
    """The pages that a part of the navigation leads to."""
    for entry in navigation:
        for place in entry.values():
            yield from pages_of(place) if isinstance(place, list) else [place]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_in_eight_minutes(name: str) -> None:
    assert len(PAGES[name].read_text().split()) <= WORDS_MOST


def test_pages_that_messages_name_are_there() -> None:
    sources = [*SOURCES, REPOSITORY / "template.yaml", *(REPOSITORY / "tests").rglob("*.py")]
    assert sourced(r"docs/[\w/-]+\.md", sources) <= set(PAGES)
    assert sourced(r"README,", SOURCES) == set()


def test_the_packages_of_the_layout_are_those_that_are_there() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(named(row[0] for row in rows_of(ARCHITECTURE, "package"))) == sorted(f"{each}/" for each in packages)


def test_the_floors_of_the_picture_are_those_of_the_imports() -> None:
    picture, *_ = FENCE.findall(sections_of(ARCHITECTURE)["The floors"])
    drawn = [set(re.findall(r"\b(\w+)/", line)) & FLOOR_OF.keys() for line in picture.splitlines()]
    assert [each for each in reversed(drawn) if each] == [set(packages) for packages in FLOORS]


@pytest.mark.parametrize(
    "name", [name for name in PAGES if PAGES[name] in ABOUT_CODE or name.startswith("docs/decisions/")]
)
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
    text = "\n".join(page.read_text() for page in ABOUT_CODE)
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
    for title, text in sections_of(PAGES[name]).items() if PAGES[name] not in DECISIONS_INDEXES else ():
        about = " ".join(text.strip().partition("\n\n")[0].split())
        dated = re.fullmatch(r"\*\d{4}-\d\d-\d\d(, superseded by \[[^]]+\]\([^)]+\))?\*", about)
        reasons = re.findall(r"^- \*\*(Why|Not chosen):\*\*", text, re.MULTILINE)
        assert dated, title
        assert dated[1] or reasons == ["Why", "Not chosen"], title


def test_the_index_leads_to_every_decision_and_marks_those_that_are_superseded() -> None:
    pages = set(DECISIONS.glob("*.md"))
    assert set().union(*map(linked_by, DECISIONS_INDEXES)) >= pages
    lines = " ".join(" ".join(each.read_text().split()) for each in sorted(DECISIONS_INDEXES))
    for page in pages - DECISIONS_INDEXES:
        for title, text in sections_of(page).items():
            assert f"{title} (*superseded*)" in lines if ", superseded by " in text else title in lines, title


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_use_plain_words(name: str) -> None:
    lines = SPAN.sub("", prose(PAGES[name])).splitlines()
    assert [line for line in lines if VAGUE.search(line)] == []


@pytest.mark.parametrize(
    "path",
    [*SOURCES, *sorted((REPOSITORY / "docs" / "generators").glob("*.py"))],
    ids=lambda path: str(path.relative_to(REPOSITORY)),
)
def test_the_code_uses_plain_words(path: Path) -> None:
    with path.open("rb") as file:
        comments = [each.string for each in tokenize.tokenize(file.readline) if each.type == tokenize.COMMENT]
    texts = [PUBLIC.sub("", each) for each in (*texts_in(path), *comments)]
    assert [each for each in texts if VAGUE.search(each)] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_make_target_that_a_page_names_is_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert {target for code in code_in(PAGES[name]) for target in re.findall(r"\bmake ([a-z-]+)", code)} <= targets


@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_rollcall_that_a_page_names_is_one_that_it_takes(name: str) -> None:
    """With its options, where a page gives some. … stands for a value."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for code in code_in(PAGES[name]):
        for line in re.findall(r"(?:^|`)rollcall ([a-z][^`\n]*)", code, re.MULTILINE):
            command, *words = shlex.split(line, comments=True)
            assert command in commands, line
            if words and "[OPTIONS]" not in words:  # the usage, which the command itself gives
                commands[command].make_context(command, words)


def test_the_changelog_begins_with_the_version_that_is_next_or_released() -> None:
    newest, *_ = sections_of(REPOSITORY / "CHANGELOG.md")
    assert newest.split()[0] == __version__
    assert __version__ in [title.split()[0] for title in sections_of(TEXTS)]


# What stands in the tables


def test_the_findings_of_reconcile_are_all_there() -> None:
    assert sorted(named(row[0] for row in rows_of(DOCS / "concepts" / "reconcile.md", "finding"))) == sorted(DriftKind)


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


def test_what_a_log_is_said_to_hold_is_what_the_code_writes() -> None:
    text = "".join(path.read_text() for path in SOURCES)
    code = re.sub(r'"\s*\n\s*f?"', "", text)  # where a text goes on in the next line
    logs = [row[0] for table in tables_in(DOCS / "operate" / "logs.md", "in its log") for row in table]
    changed = [row[2] for row in rows_of(TEXTS, "where")]
    for words in named([*logs, *changed]):
        for part in re.split(r"…|: |\b[A-Z]+\b|i-…", words):  # what differs from line to line
            assert part.strip(" :,") in code, words


def test_texts_that_changed_are_written_no_more() -> None:
    written = {text for path in SOURCES for text in texts_in(path)}
    for words in named(row[1] for row in rows_of(TEXTS, "where")):
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
