"""Inventories and job templates by what a tag says. Against scripted answers in AWX's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.errors import BadSettings
from rollcall.domain.jobs import JobTemplate, Project
from rollcall.tower.client import Tower
from rollcall.tower.references import Listed
from unit.wire import Answer, Asked, Wire, page

from .rows import PROD, raw_inventory, raw_template

if TYPE_CHECKING:
    from collections.abc import Callable


def raw_inventories(*references: str) -> list[dict[str, Any]]:
    """Inventories as "ID ORGANIZATION|NAME" says."""
    return [
        raw_inventory(int(number), name, organization)
        for number, _, rest in (each.partition(" ") for each in references)
        for organization, _, name in [rest.partition("|")]
    ]


def filtering(*inventories: dict[str, Any]) -> Callable[[Asked], Answer]:
    """A Tower with these inventories that knows the filters or__name and or__id."""

    def answer(asked: Asked) -> Answer:
        assert set(asked.query) <= {"or__name", "or__id", "order_by", "page", "page_size"}
        names, ids = asked.query.get("or__name", []), asked.query.get("or__id", [])
        assert all(int(each) < 2**31 for each in ids), "more than PostgreSQL's integer holds"
        return Answer(200, page(*(raw for raw in inventories if raw["name"] in names or str(raw["id"]) in ids)))

    return answer


def test_an_inventory_is_found_by_its_name_and_remembered(tower: Tower, wire: Wire) -> None:
    wire.page(raw_inventory())
    assert tower.inventory("prod") == tower.inventory("prod") == PROD
    assert [each.query["or__name"] for each in wire.asked] == [["prod"]]


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        ("3", 3),
        ("id:3", 3),
        ("Default/prod", 3),
        ("eu/prod", 4),
        ("Default/eu/prod", 4),
        ("ops/eu/prod", 5),  # prod of an organization with a slash
        ("two  blanks", 6),
        ("a/b/c/d", 7),  # c/d of a/b
        ("17", 8),
        ("Default/17", 8),
        ("id:8", 8),
        ("007", 9),
        ("9999999999", 10),
        ("id:x", 11),
        ("/", 12),
        ("Default//", 12),
        ("Prod", 13),
    ],
)
def test_a_reference_that_can_mean_one_thing_only_means_that(
    tower: Tower, wire: Wire, reference: str, number: int
) -> None:
    wire.by_request = filtering(
        *raw_inventories(
            *("3 Default|prod", "4 Default|eu/prod", "5 ops/eu|prod", "6 Default|two  blanks", "7 a/b|c/d"),
            *("8 Default|17", "9 Default|007", "10 Default|9999999999", "11 Default|id:x", "12 Default|/"),
            *("13 Default|Prod", "20 d|c", "21 b/c|d/e", "22 Default|two blanks"),
        )
    )
    assert tower.inventory(reference).id == number
    assert len(wire.asked) == 1


@pytest.mark.parametrize(
    ("reference", "inventories"),
    [
        ("prod", ["3 Mine|prod", "4 Theirs|prod"]),
        ("42", ["42 Default|prod", "7 Default|42"]),
        ("org/name", ["3 org|name", "4 Default|org/name"]),
        ("a/b/c", ["3 a|b/c", "4 a/b|c"]),
        ("a/b/c", ["3 a|b/c", "4 a/b|c", "5 Default|a/b/c"]),
        ("17", ["3 Mine|17", "4 Theirs|17"]),
    ],
)
def test_a_reference_that_can_mean_several_is_refused_and_they_are_named_with_a_way_to_write_each(
    tower: Tower, wire: Wire, reference: str, inventories: list[str]
) -> None:
    made = raw_inventories(*inventories)
    wire.by_request = filtering(*made, *raw_inventories("98 org|other", "99 Default|nothing"))
    with pytest.raises(BadSettings, match=f"inventory '{reference}' is ambiguous") as caught:
        tower.inventory(reference)
    assert caught.value.candidates == {raw["id"] for raw in made}
    for raw in made:
        organization = raw["summary_fields"]["organization"]["name"]
        assert f"{organization}/{raw['name']} (id {raw['id']})" in str(caught.value)
        assert f"id:{raw['id']}" in str(caught.value)
        assert tower.inventory(f"id:{raw['id']}").id == raw["id"]


def test_an_id_is_not_taken_for_a_name(tower: Tower, wire: Wire) -> None:
    wire.by_request = filtering(*raw_inventories("3 Default|id:4", "4 Default|prod"))
    assert tower.inventory("id:4").id == 4
    assert tower.inventory("Default/id:4").id == 3


def test_a_reference_of_many_slashes_is_asked_for_in_queries_that_every_proxy_lets_through(
    tower: Tower, wire: Wire
) -> None:
    reference = "/".join("abcdefgh" for _ in range(28))
    names = [reference[place:] for place in range(0, len(reference), 9)]
    wire.by_request = filtering(*raw_inventories(f"3 {names[0][:-9]}|abcdefgh"))
    assert tower.inventory(reference).id == 3
    assert sorted(name for each in wire.asked for name in each.query["or__name"]) == sorted(names)
    assert max(len(each.url) for each in wire.asked) < 4096


@pytest.mark.parametrize("reference", ["prod", "Default/prod", "17", "id:17", "9999999999", "id:9999999999", "/", "//"])
def test_an_unknown_inventory_is_named_with_the_remedy(tower: Tower, wire: Wire, reference: str) -> None:
    wire.by_request = filtering()
    with pytest.raises(BadSettings, match=f"no inventory .*{reference.removeprefix('id:')}.*grant its role"):
        tower.inventory(reference)


def test_an_unknown_id_is_named(tower: Tower, wire: Wire) -> None:
    wire.page()
    with pytest.raises(BadSettings, match="job template with id 99"):
        tower.job_template("99")


@pytest.mark.parametrize("kind", ["smart", "constructed"])
def test_an_inventory_that_cannot_hold_hosts_is_refused(tower: Tower, wire: Wire, kind: str) -> None:
    wire.page(raw_inventory(kind=kind))
    with pytest.raises(BadSettings, match=kind):
        tower.inventory("prod")


def test_what_was_not_found_is_asked_for_again(tower: Tower, wire: Wire) -> None:
    wire.page().page(raw_inventory())
    with pytest.raises(BadSettings):
        tower.inventory("prod")
    assert tower.inventory("prod") == PROD


def test_a_template_says_whether_it_can_be_limited(tower: Tower, wire: Wire) -> None:
    wire.page(raw_template(inventory=5, ask_limit_on_launch=False, ask_inventory_on_launch=False, job_slice_count=3))
    assert tower.job_template("provision") == JobTemplate(
        10, "provision", 5, asks_limit=False, asks_inventory=False, slices=3
    )


def test_a_template_says_what_its_jobs_run_of_its_playbook(tower: Tower, wire: Wire) -> None:
    asks = {f"ask_{each}_on_launch": True for each in ("job_type", "tags", "skip_tags")}
    wire.page(raw_template(job_type="check", job_tags="base", skip_tags="reboot", **asks))
    found = tower.job_template("provision")
    assert (found.job_type, found.tags, found.skip_tags) == ("check", "base", "reboot")
    assert (found.asks_job_type, found.asks_tags, found.asks_skip_tags) == (True, True, True)


def test_what_there_is_is_listed_by_name_without_inventories_that_hold_no_hosts_of_their_own(
    tower: Tower, wire: Wire
) -> None:
    smart = raw_inventory(2, "all") | {"kind": "smart"}
    wire.page(*raw_inventories("3 Default|prod", "4 ops|edge"), smart)
    assert tower.list_inventories() == [Listed(4, "edge", "ops"), Listed(3, "prod", "Default")]
    wire.page(raw_template())
    assert [each.name for each in tower.list_job_templates()] == ["provision"]


def test_a_project_is_read_with_the_revision_of_its_last_update(tower: Tower, wire: Wire) -> None:
    row = {"id": 5, "name": "plays", "scm_revision": "c0ffee", "scm_update_on_launch": True}
    wire.then(200, row)
    assert tower.project(5) == Project(5, "plays", "c0ffee", updates_on_launch=True)
    assert wire.calls == ["GET /api/v2/projects/5/"]


def test_a_project_without_source_control_has_no_revision(tower: Tower, wire: Wire) -> None:
    row = {"id": 5, "name": "plays", "scm_revision": "", "scm_update_on_launch": False}
    wire.then(200, row)
    assert tower.project(5) == Project(5, "plays")
