"""The query language of Tower's lists: Django-like lookups, ordering and pages.

Follows AWX 24.6.1 (recordings 080-106, 526-532, 801, 805, 806, 870) and, where those are silent, AWX's
filter backend: a repeated key means AND, `or__` and `not__` prefixes, and names that are never filters - among
them `limit`, so `?limit=x` is ignored while `?limit__contains=x` filters.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlencode

from lab.tower.world import FALSE_WORDS, TRUE_WORDS, Refusal, World

DEFAULT_PAGE_SIZE = 25  # rows
MAX_PAGE_SIZE = 200  # rows [100]
RESERVED = frozenset(
    (
        *("page", "page_size", "format", "order", "order_by", "search", "type", "host_filter", "count_disabled"),
        *("no_truncate", "limit", "validate"),
    )
)
LOOKUPS = frozenset(
    (
        *("exact", "iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith"),
        *("regex", "iregex", "gt", "gte", "lt", "lte", "in", "isnull"),
    )
)

Query = list[tuple[str, str]]
Test = Callable[[Any], bool]


class Field(NamedTuple):
    """kind: "int", "text", "bool", "time", "one" (a relation) or "many"; get: a row's value; model: a relation's."""

    kind: str
    get: Callable[[Any], Any]
    model: str = ""


class Model(NamedTuple):
    name: str  # as AWX calls it in its messages
    fields: dict[str, Field]
    order: str  # the order of an unordered list


def _attribute(kind: str, name: str, model: str = "") -> Field:
    return Field(kind, lambda row: getattr(row, name), model)


def _plain(**kinds: str) -> dict[str, Field]:
    """Fields that are attributes of the same name; `pk` is another name of the id."""
    return {name: _attribute(kind, "id" if name == "pk" else name) for name, kind in kinds.items()}


ORGANIZATION = {"organization": _attribute("one", "organization", "organization")}
INVENTORY = {
    **_plain(kind="text", variables="text", pending_deletion="bool"),
    "hosts": Field("many", lambda row: row.hosts.values(), "host"),
    "groups": Field("many", lambda row: row.groups.values(), "group"),
    "total_hosts": Field("int", lambda row: len(row.hosts)),
}
GROUP = {
    **_plain(variables="text"),
    "inventory": _attribute("one", "inventory", "inventory"),
    "hosts": Field("many", lambda row: row.hosts.values(), "host"),
}
HOST = {
    **_plain(variables="text", instance_id="text", enabled="bool"),
    "inventory": _attribute("one", "inventory", "inventory"),
    "groups": Field("many", lambda row: row.groups.values(), "group"),
    "last_job": Field("one", lambda row: row.last_summary and row.last_summary.job, "job"),
    "last_job_host_summary": _attribute("one", "last_summary", "summary"),
}
TEMPLATE = {
    **_plain(playbook="text", limit="text", job_slice_count="int", allow_simultaneous="bool"),
    **_plain(job_type="text", job_tags="text", skip_tags="text"),
    "inventory": _attribute("one", "inventory", "inventory"),
    "project": _attribute("one", "project", "project"),
}
ANY_JOB = {  # also a workflow's
    **_plain(id="int", pk="int", name="text", status="text", limit="text", extra_vars="text"),
    "inventory": _attribute("one", "inventory", "inventory"),
    "job_template": _attribute("one", "template", "template"),
    "unified_job_template": _attribute("one", "template", "template"),
}
JOB = {
    **_plain(job_type="text", job_tags="text", skip_tags="text", scm_revision="text"),
    "failed": Field("bool", lambda row: row.status in ("failed", "error", "canceled")),
    "launch_type": Field("text", lambda _: "manual"),
    "job_explanation": _attribute("text", "explanation"),
    "hosts": _attribute("many", "hosts", "host"),
    "playbook": Field("text", lambda row: row.template.playbook),
    "job_host_summaries": _attribute("many", "summaries", "summary"),
}
SUMMARY = {
    **_plain(id="int", host_name="text", failed="bool"),
    **_plain(ok="int", changed="int", dark="int", failures="int", skipped="int", ignored="int"),
    "host": Field("one", lambda row: None if row.host.deleted else row.host, "host"),
    "job": _attribute("one", "job", "job"),
}
EVENT = {
    **_plain(id="int", counter="int", event="text", host_name="text", task="text", failed="bool"),
    "host": _attribute("one", "host", "host"),
}


def models(world: World) -> dict[str, Model]:
    """The models one can list, with the fields one can filter and order by."""
    created = _times(world, "created")
    described = {**_plain(id="int", pk="int", name="text", description="text"), **_times(world, "created", "modified")}
    owned = {**described, **ORGANIZATION}
    any_job = {**ANY_JOB, **_times(world, "created", "started", "finished")}
    job = {**any_job, **JOB, **_times(world, "modified", "canceled_on"), "elapsed": _elapsed(world)}
    return {
        "organization": Model("Organization", described, "name"),
        "project": Model("Project", {**owned, **_plain(scm_type="text")}, "name"),
        "inventory": Model("Inventory", {**owned, **INVENTORY}, "name"),
        "group": Model("Group", {**described, **GROUP}, "name"),
        "host": Model("Host", {**described, **HOST}, "name"),
        "template": Model("JobTemplate", {**owned, **TEMPLATE}, "name"),
        "job": Model("Job", job, "id"),
        "workflow_job": Model("WorkflowJob", any_job, "id"),
        "summary": Model("JobHostSummary", {**SUMMARY, **created}, "-id"),
        "event": Model("JobEvent", {**EVENT, **created}, "-id"),
        "user": Model("User", _plain(id="int", username="text"), "id"),
        "role": Model("Role", {"id": Field("int", lambda row: row[0])}, "id"),
        "token": Model("OAuth2AccessToken", {**_plain(id="int", description="text"), **created}, "id"),
    }


def _times(world: World, *names: str) -> dict[str, Field]:
    """Times as Tower's own clock shows them, which may be ahead."""

    def get(name: str, row: Any) -> float | None:
        value = getattr(row, name)
        return None if value is None else round(value + world.clock_skew, 6)

    return {name: Field("time", partial(get, name)) for name in names}


def _elapsed(world: World) -> Field:
    return Field("int", lambda row: (row.finished or world.now()) - row.started if row.started else 0)


class Lists:
    """Filters, orders and cuts rows as a query says. Raises Refusal(400) with AWX's words."""

    def __init__(self, world: World) -> None:
        self._models = models(world)

    def select(self, model: str, rows: Iterable[Any], query: Query) -> list[Any]:
        """The rows a query asks for, in its order, all pages."""
        test = self._compile(self._models[model], query)
        found = list(rows) if test is None else [row for row in rows if test(row)]
        return self._ordered(self._models[model], found, query)

    def _compile(self, model: Model, query: Query) -> Test | None:
        every: list[Test] = []
        some: list[Test] = []
        related: defaultdict[str, list[Test]] = defaultdict(list)
        for key, value in query:
            if key == "search" and value:
                every.append(_search(value.lower()))
            if key in RESERVED:
                continue
            relation, rest = _many_relation(model, key)
            if key.startswith("or__"):
                some.append(self._condition(model, key.removeprefix("or__"), value))
            elif relation:
                related[relation].append(self._lookup(self._models[model.fields[relation].model], rest, value))
            else:
                every.append(self._condition(model, key, value))
        every += [_of_one_related(model.fields[name], tests) for name, tests in related.items()]
        if some:
            every.append(lambda row: any(test(row) for test in some))
        if len(every) > 1:
            return lambda row: all(test(row) for test in every)
        return every[0] if every else None

    def _condition(self, model: Model, key: str, value: str) -> Test:
        test = self._lookup(model, key.removeprefix("not__"), value)
        return _negation(test) if key.startswith("not__") else test

    def _path(self, model: Model, path: str) -> list[Field]:
        fields: list[Field] = []
        here: Model | None = model
        for name in path.split("__"):
            if here is None:
                raise _bad(f"No related model for field {name}.")
            if name == "password":
                raise Refusal(403, {"detail": "Filtering on password is not allowed."})
            if name not in here.fields:
                raise _bad(f"{here.name} has no field named '{name}'")
            fields.append(here.fields[name])
            here = self._models.get(fields[-1].model)
        return fields

    def _lookup(self, model: Model, key: str, value: str) -> Test:
        path, _, lookup = key.rpartition("__")
        if not path or lookup not in LOOKUPS:
            path, lookup = key, "exact"
        fields = self._path(model, path)
        return _test(fields, path.rpartition("__")[2], lookup, value)

    def _ordered(self, model: Model, rows: list[Any], query: Query) -> list[Any]:
        names = [name for key, value in query if key in ("order_by", "order") for name in value.split(",") if name]
        for name in reversed(names or [model.order]):
            last = self._path(model, name.lstrip("-"))
            down = name.startswith("-")
            rows.sort(key=_sort_key(last), reverse=down)
        return rows


def _bad(words: str) -> Refusal:
    return Refusal(400, {"error": words})


def _search(text: str) -> Test:
    def found(row: Any) -> bool:
        return text in row.name.lower() or text in getattr(row, "description", "").lower()

    return found


def _many_relation(model: Model, key: str) -> tuple[str, str]:
    """The relation to many rows that a key leads across, and the rest of the key; two empty texts if it does not."""
    relation, _, rest = key.partition("__")
    field = model.fields.get(relation)
    ends = not rest or rest.endswith("isnull") or rest in LOOKUPS
    return (relation, rest) if field and field.kind == "many" and not ends else ("", "")


def _of_one_related(field: Field, tests: list[Test]) -> Test:
    """All conditions on related rows are about one and the same of them (AWX's manual: else they are "chain__")."""
    return lambda row: any(all(test(one) for test in tests) for one in field.get(row))


def _negation(test: Test) -> Test:
    return lambda row: not test(row)


def _values(fields: list[Field], row: Any) -> list[Any]:
    """What a path leads to: several values across a "many" relation, none across an empty one."""
    here = [row]
    for kind, get, _ in fields:
        if kind == "many":
            here = [value for one in here for value in get(one)]
        else:
            here = [value for one in here if (value := get(one)) is not None]
    return here


def _sort_key(fields: list[Field]) -> Callable[[Any], Any]:
    """PostgreSQL's order: null is greater than everything, so first where the order is descending."""

    def key(row: Any) -> tuple[bool, Any]:
        values = _values(fields, row)
        value = values[0] if values else None
        if value is not None and fields[-1].kind in ("one", "many"):
            value = value.id
        return (value is None, 0 if value is None else value)

    return key


def _parse(field: Field, name: str, value: str) -> Any:
    """A value of the query as the field's type."""
    if field.kind == "bool":
        word = value.lower()
        if word not in TRUE_WORDS and word not in FALSE_WORDS:
            raise _bad(f'Unable to convert "{value}" to boolean')
        return word in TRUE_WORDS
    if field.kind in ("one", "many"):
        if value.lower() in ("none", "null"):
            return None
        try:
            return int(value)
        except ValueError:
            raise _bad(f"Invalid {name} id: {value}") from None
    if field.kind == "int":
        try:
            return int(value)
        except ValueError:
            raise _bad(
                _listed(
                    f"\N{LEFT DOUBLE QUOTATION MARK}{value}\N{RIGHT DOUBLE QUOTATION MARK} value must be an integer."
                )
            ) from None
    if field.kind == "time":
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            raise _bad(_listed(_not_a_time(value))) from None
        return (when if when.tzinfo else datetime.fromisoformat(f"{when.isoformat()}Z")).timestamp()
    return value


def _not_a_time(value: str) -> str:
    shape = "It must be in YYYY-MM-DD HH:MM[:ss[.uuuuuu]][TZ] format."
    return f"\N{LEFT DOUBLE QUOTATION MARK}{value}\N{RIGHT DOUBLE QUOTATION MARK} value has an invalid format. {shape}"


def _listed(words: str) -> str:
    return json.dumps([words], ensure_ascii=False)


def _test(fields: list[Field], name: str, lookup: str, value: str) -> Test:
    last = fields[-1]
    if lookup == "isnull":
        empty = _parse(Field("bool", last.get), name, value)
        return lambda row: (not _values(fields, row)) is empty
    matches = _comparison(last, name, lookup, value)
    if len(fields) == 1 and last.kind not in ("one", "many"):
        get = last.get
        return lambda row: (found := get(row)) is not None and matches(found)
    if last.kind in ("one", "many"):
        if lookup == "exact" and _parse(last, name, value) is None:
            return lambda row: not _values(fields, row)
        return lambda row: any(matches(found.id) for found in _values(fields, row))
    return lambda row: any(matches(found) for found in _values(fields, row))


_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda found, wanted: found > wanted,
    "gte": lambda found, wanted: found >= wanted,
    "lt": lambda found, wanted: found < wanted,
    "lte": lambda found, wanted: found <= wanted,
}
_TEXTUAL: dict[str, Callable[[str, str], bool]] = {
    "exact": lambda found, wanted: found == wanted,
    "contains": lambda found, wanted: wanted in found,
    "startswith": lambda found, wanted: found.startswith(wanted),
    "endswith": lambda found, wanted: found.endswith(wanted),
}


def _comparison(field: Field, name: str, lookup: str, value: str) -> Test:
    if lookup == "in":
        if not value:
            raise _bad("cannot provide empty value for __in")
        wanted_any = frozenset(_parse(field, name, item) for item in value.split(","))
        return lambda found: found in wanted_any
    if lookup in ("regex", "iregex"):
        try:
            pattern = re.compile(value, re.IGNORECASE if lookup == "iregex" else 0)
        except re.error as error:
            raise _bad(str(error.args[0])) from None
        return lambda found: pattern.search(str(found)) is not None
    if lookup in _ORDERED:
        compare, wanted = _ORDERED[lookup], _parse(field, name, value)
        return lambda found: compare(found, wanted)
    if lookup == "exact":
        wanted = _parse(field, name, value)
        return lambda found: bool(found == wanted)
    if lookup in _TEXTUAL:
        compare = _TEXTUAL[lookup]
        return lambda found: compare(str(found), value)
    compare, lowered = _TEXTUAL[lookup[1:]], value.lower()
    return lambda found: compare(str(found).lower(), lowered)


class Page(NamedTuple):
    """One page: the rows, the count of all, the paths of its neighbours; `counted` is false for count_disabled=1."""

    rows: list[Any]
    total: int
    next: str | None
    previous: str | None
    counted: bool


def paginate(rows: list[Any], path: str, query: Query) -> Page:
    """The page a query asks for. A page past the end is 400 [102]; a page size of zero means the default [103]."""
    asked = dict(query)
    try:
        size = min(int(asked.get("page_size", DEFAULT_PAGE_SIZE)), MAX_PAGE_SIZE)
    except ValueError:
        size = DEFAULT_PAGE_SIZE
    if size < 1:
        size = DEFAULT_PAGE_SIZE
    try:
        number = int(asked.get("page", "1"))
    except ValueError:
        raise _bad("Invalid page.") from None
    pages = max(1, -(-len(rows) // size))
    if not 1 <= number <= pages:
        raise _bad("Invalid page.")
    first = (number - 1) * size

    def neighbour(other: int) -> str | None:
        if not 1 <= other <= pages:
            return None
        rest = [(key, value) for key, value in query if key not in ("page", "page_size")]
        given = [("page_size", str(size))] if "page_size" in asked else []
        return f"{path}?{urlencode(sorted([*rest, *given, ('page', str(other))]))}"

    return Page(
        rows[first : first + size],
        len(rows),
        neighbour(number + 1),
        neighbour(number - 1),
        asked.get("count_disabled") not in ("1", "true", "True"),
    )
