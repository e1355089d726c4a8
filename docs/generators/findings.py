"""reference/doctor-findings*.md: everything that doctor finds, read from the places in the code that yield it.

… stands for a name, a number or a command that is filled in when doctor runs.
"""

from __future__ import annotations

import ast
import re
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from .markdown import REPOSITORY, code, page, sentence, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

PACKAGE = REPOSITORY / "layers" / "common" / "rollcall"
PLACES: dict[str, dict[str, tuple[str, ...]]] = {  # by page and heading, the modules that find something there
    "doctor-findings": {
        "The stack": ("doctor/stack_findings",),
        "Hosts": ("doctor/host_findings",),
        "Chef": ("doctor/chef_findings",),
        "What is not found, or could not be read": ("doctor/unread_findings",),
    },
    "doctor-findings-tower": {
        "Tower": ("doctor/connection_findings", "doctor/tower_findings"),
        "Inventories that tags name": ("doctor/inventory_findings",),
    },
    "doctor-findings-groups": {
        "Job templates that tags name": ("doctor/template_findings", "doctor/time_findings", "hosts/job_templates"),
        "Tags of groups": (
            "doctor/tag_findings",
            "domain/tag_support",
            "checks/registry",
            "checks/load_balancers",
            "doctor/group_findings",
        ),
        "Hooks and topics": ("doctor/hook_findings", "doctor/topic_findings"),
    },
    "doctor-findings-cycles": {
        "Cycles of groups": ("doctor/cycle_findings",),
        "Bakes of groups": ("doctor/bake_findings", "doctor/builder_findings"),
    },
}
TITLES = {
    "doctor-findings": "Findings of doctor",
    "doctor-findings-tower": "Findings of doctor about Tower",
    "doctor-findings-groups": "Findings of doctor about groups",
    "doctor-findings-cycles": "Findings of doctor about cycles and bakes",
}
ABOUT = """\
The finding's name is the end of its key, as in the incident `doctor: group web: no launch hook`. … stands for what
doctor fills in: a name, a number, the command to paste. **B** breaks launches, **W** is a warning; *B, W* is one or the
other, as the case is. A finding of a template that only retires instances is always a warning; so is all that is about
Chef, or about the queues and rules of alert.

Where one of several texts is printed, they stand below each other. How to run it: [Doctor](../operate/doctor.md).
"""
WHERE = {"breaks": "B", "warns": "W", "say": "B, W", "Objection": "B"}  # the call, and how bad what it yields is
# Modules whose objections keep no instance from being launched.
WARNINGS_ONLY = ("bake_findings", "builder_findings", "cycle_findings")
FIRST = {"breaks": 1, "warns": 1, "say": 1, "Finding": 1, "Objection": 0}  # the argument with the finding's name
SHORT = {"B": "B", "W": "W", "BREAKS_LAUNCHES": "B", "WARNING": "W"}
OR = "\n"  # between texts of which one is printed
AS_PRINTED = "as it prints"
WHAT_THE_ERROR_SAYS = "what the error says"
COMMAND = "paste the command that it prints"
COMMANDS = ("command", "hook_command", "set_tag_command", "_put_hook", "_retarget")  # what makes one
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


class Found(NamedTuple):
    """A finding as the code words it. severity: B, W or both."""

    what: str
    severity: str
    reason: str
    remedy: str


def writer(name: str) -> Callable[[], str]:
    """What writes one of the pages."""

    def write() -> str:
        parts = [ABOUT, "More: " + " \N{MIDDLE DOT} ".join(_link(each) for each in PLACES if each != name)]
        for heading, modules in PLACES[name].items():
            found = [each for module in modules for each in findings_in(PACKAGE / f"{module}.py")]
            rows = [
                (
                    code(each.what),
                    each.severity,
                    _words(each.reason, WHAT_THE_ERROR_SAYS),
                    _words(each.remedy, AS_PRINTED),
                )
                for each in _merged(found)
            ]
            parts += [f"## {heading}", table(["finding", "how bad", "what is wrong", "remedy"], rows)]
        return page(TITLES[name], "what doctor finds", *parts)

    return write


def _link(name: str) -> str:
    return f"[{', '.join(PLACES[name])}]({name}.md)"


def findings_in(path: Path) -> Iterator[Found]:
    """What a module finds."""
    module = ast.parse(path.read_text())
    shared = {**_texts_of_functions(PACKAGE / "doctor" / "unread_findings.py"), **_texts_of_functions(path)}
    shared |= {**_imported(module, path), **_assigned(module.body)}
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef):
            known = {**shared, **_assigned(list(ast.walk(function)))}
            for each in _found_in(function, known):
                if each.what != f"{ELLIPSIS}: {ELLIPSIS}":  # an objection, behind the tag that it is about
                    yield each._replace(severity="W") if path.stem in WARNINGS_ONLY else each


def _imported(module: ast.Module, path: Path) -> dict[str, ast.expr]:
    """The constants that a module takes from its neighbours."""
    known: dict[str, ast.expr] = {}
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            theirs = _assigned(ast.parse((path.parent / f"{node.module}.py").read_text()).body)
            known |= {each.name: theirs[each.name] for each in node.names if each.name in theirs}
    return known


def _texts_of_functions(path: Path) -> dict[str, ast.expr]:
    """What a module's functions return that return a text, by their names with brackets behind them."""
    functions = [each for each in ast.parse(path.read_text()).body if isinstance(each, ast.FunctionDef)]
    return {
        f"{each.name}()": ast.Tuple(
            [node.value for node in ast.walk(each) if isinstance(node, ast.Return) and node.value]
        )
        for each in functions
        if each.returns is not None and ast.unparse(each.returns) == "str"
    }


def _merged(found: Iterable[Found]) -> list[Found]:
    """One of each name; what differs stands one behind the other."""
    by_name: dict[str, list[Found]] = {}
    for each in found:
        by_name.setdefault(each.what, []).append(each)
    return [
        Found(
            what,
            ", ".join(sorted({letter for each in own for letter in each.severity.split(", ")})),
            OR.join(dict.fromkeys(each.reason for each in own if each.reason)),
            OR.join(dict.fromkeys(each.remedy for each in own if each.remedy)),
        )
        for what, own in by_name.items()
    ]


def _words(text: str, otherwise: str) -> str:
    """A text of the code as it reads on a page. What is filled in twice in a row is filled in once."""
    text = re.sub(rf"{ELLIPSIS}(?:[ ,]*{ELLIPSIS})+", ELLIPSIS, text.strip())
    text = re.sub(r"([{}<>*_])", r"\\\1", text)
    if not text.strip(ELLIPSIS + OR):
        return sentence(otherwise)
    return "<br>".join(sentence(each) for each in text.split(OR))


def _found_in(function: ast.FunctionDef, known: Mapping[str, ast.expr]) -> Iterator[Found]:
    causes = function.returns is not None and ast.unparse(function.returns) == "tuple[str, str]"  # and a remedy
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FIRST:
            yield from _of_call(node, node.func.id, known)
        elif causes and isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            what, remedy = node.value.elts
            severity = "W" if "chef" in ast.unparse(function).lower() else "B"
            for name in _texts(what, known):
                yield Found(name, severity, WHAT_THE_ERROR_SAYS, _either(remedy, known))


def _of_call(call: ast.Call, name: str, known: Mapping[str, ast.expr]) -> Iterator[Found]:
    named = {each.arg: each.value for each in call.keywords}
    after = [*call.args[FIRST[name] :]]
    what = named.get("what") or after[0]
    rest = after[1:] if "what" not in named else after
    if name == "Finding":
        severity = _severity(named.get("severity") or (rest.pop(0) if rest else None), known)
    else:
        severity = WHERE[name]
    reason = named.get("reason") or (rest[0] if rest else None)
    remedy = named.get("remedy") or (rest[1] if len(rest) > 1 else None)
    for each in _texts(what, known):
        yield Found(each, severity, _either(reason, known), _either(remedy, known))


def _severity(node: ast.expr | None, known: Mapping[str, ast.expr]) -> str:
    if isinstance(node, ast.Name) and node.id in known:
        node = known[node.id]
    letters = {SHORT[each] for each in re.findall(r"Severity\.(\w+)", ast.unparse(node) if node else "")}
    return ", ".join(sorted(letters)) or "B, W"


def _either(node: ast.expr | None, known: Mapping[str, ast.expr]) -> str:
    """The texts that an expression may be, one behind the other; … where that cannot be seen."""
    if node is None:
        return ""
    return OR.join(dict.fromkeys(_texts(node, known))) or ELLIPSIS


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, ast.expr]:
    """What names stand for, where that is assigned once and for all, or one after another in a loop."""
    known: dict[str, ast.expr] = {}
    for node in nodes:
        if isinstance(node, ast.For) and isinstance(node.target, ast.Tuple) and isinstance(node.iter, ast.Tuple):
            columns = zip(*(each.elts for each in node.iter.elts if isinstance(each, ast.Tuple)), strict=True)
            for name, column in zip(node.target.elts, columns, strict=True):
                known[ast.unparse(name)] = ast.Tuple(list(column), ast.Load())
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Name):
                known[target.id] = value
            elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                known |= {ast.unparse(name): each for name, each in zip(target.elts, value.elts, strict=True)}
    return known


def _texts(node: ast.AST, known: Mapping[str, ast.expr]) -> list[str]:
    """The texts that an expression may be; … stands for what it is made of; nothing where that is not to be seen."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp():
            return [*_texts(node.body, known), *_texts(node.orelse, known)]
        case ast.JoinedStr():
            return _joined(_texts(each, known) for each in node.values)
        case ast.FormattedValue():
            return _filled_in(node.value, known)
        case ast.BinOp(op=ast.Add()):
            return _joined(_texts(each, known) or [ELLIPSIS] for each in (node.left, node.right))
        case ast.Call(func=ast.Name(id=name)):
            return _returned(name, known)
        case ast.Tuple():
            return [text for each in node.elts for text in _texts(each, known)]
        case ast.Name() if node.id in known:
            return _texts(known[node.id], {})
        case _:
            return []


def _joined(parts: Iterable[list[str]]) -> list[str]:
    """What parts make together, each of which may be one of several texts."""
    return ["".join(each) for each in product(*parts)]


def _returned(function: str, known: Mapping[str, ast.expr]) -> list[str]:
    """The texts that a call of a function may return."""
    if function in COMMANDS:
        return [COMMAND]
    own = f"{function}()"
    return _texts(known[own], {key: each for key, each in known.items() if key != own}) if own in known else []


def _filled_in(node: ast.expr, known: Mapping[str, ast.expr]) -> list[str]:
    """What stands in the place of a value within a text: a constant in capitals as it is."""
    if isinstance(node, ast.IfExp):
        return _texts(node, known) or [ELLIPSIS]
    if isinstance(node, ast.Name) and node.id.isupper() and node.id in known:
        return _texts(known[node.id], {}) or [ELLIPSIS]
    return [ELLIPSIS]
