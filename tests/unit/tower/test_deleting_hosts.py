"""Hosts deleted in bulk, and what becomes of those that Tower keeps. Against scripted answers in AWX's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.errors import DeleteRefused, DeleteRejected, TowerUnavailable
from rollcall.domain.inventories import Inventory
from rollcall.tower.bulk_hosts import REFUSALS_MAX
from rollcall.tower.client import Tower
from unit.wire import Answer, Asked, Wire, page

from .rows import DENIED, PROD, TOO_LARGE, host, raw_host

if TYPE_CHECKING:
    from collections.abc import Callable


def test_hosts_are_deleted_in_one_call(tower: Tower, wire: Wire) -> None:
    wire.then(201, {"hosts": {}})
    tower.delete_hosts([host(1), host(2)])
    assert wire.calls == ["POST /api/v2/bulk/host_delete/"]
    assert wire.asked[0].body == {"hosts": [1, 2]}


GONE = "Hosts do not exist or you lack permission to delete it"


def without_bulk(answer: Answer, *bad: int) -> Callable[[Asked], Answer]:
    """A server without bulk calls that answers so about these hosts, and deletes the others."""

    def respond(asked: Asked) -> Answer:
        if "/bulk/" in asked.path:
            return Answer(404, "<html/>")
        return answer if asked.body["id"] in bad else Answer(204, "")

    return respond


def keeping(answer: Answer, *bad: int) -> tuple[Callable[[Asked], Answer], list[int]]:
    """A server with bulk calls that answers so about calls with these hosts; and the ids that it deletes."""
    deleted: list[int] = []

    def respond(asked: Asked) -> Answer:
        ids = asked.body["hosts"]
        if set(ids) & set(bad):
            return answer
        deleted.extend(ids)
        return Answer(201, {"hosts": {}})

    return respond, deleted


def test_a_host_that_is_gone_already_keeps_no_other(tower: Tower, wire: Wire) -> None:
    wire.then(400, {"hosts": {"2": GONE}}).page(raw_host(1), raw_host(3)).then(201, {"hosts": {}})
    assert tower.delete_hosts([host(1), host(2), host(3)]) == {}
    assert wire.asked[1].query["id__in"] == ["1,2,3"]
    assert wire.asked[2].body == {"hosts": [1, 3]}


def test_hosts_that_are_all_gone_are_deleted_already(tower: Tower, wire: Wire) -> None:
    wire.then(400, {"hosts": {"1": GONE}}).page()
    assert tower.delete_hosts([host(1), host(1)]) == {}
    assert len(wire.asked) == 2


def test_a_host_that_is_there_although_tower_says_that_it_is_gone_is_kept(tower: Tower, wire: Wire) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(200, page(*(raw_host(int(each)) for each in asked.query["id__in"][0].split(","))))
        return Answer(400, {"hosts": {"2": GONE}}) if 2 in asked.body["hosts"] else Answer(201, {"hosts": {}})

    wire.by_request = answer
    kept = tower.delete_hosts([host(number) for number in range(5)])
    assert kept.keys() == {2}
    assert "lack permission" in str(kept[2])


def test_a_refusal_names_its_inventories(tower: Tower, wire: Wire) -> None:
    wire.then(403, {"inventories": {"prod": "Lack permissions to delete hosts from this inventory."}})
    kept = tower.delete_hosts([host(1), host(2)])
    assert kept.keys() == {1, 2}
    assert isinstance(kept[1], DeleteRefused)
    assert "Lack permissions" in str(kept[1])
    assert kept[1].inventories == {"prod"}


def test_a_refusal_for_one_inventory_keeps_no_host_of_another_of_the_same_name(tower: Tower, wire: Wire) -> None:
    other = Inventory(9, "prod")
    wire.by_request, deleted = keeping(Answer(403, {"inventories": {"prod": "Lack permissions"}}), 1, 3)
    kept = tower.delete_hosts([host(1), host(2, other), host(3), host(4, other)])
    assert (sorted(kept), sorted(deleted)) == ([1, 3], [2, 4])


def test_a_mirroring_inventory_is_asked_by_itself_and_keeps_no_host_of_another(tower: Tower, wire: Wire) -> None:
    words = {"inventories": {"all": "Hosts can only be deleted from manual inventories."}}
    wire.by_request, deleted = keeping(Answer(400, words), *range(100))
    kept = tower.delete_hosts([host(number, Inventory(9, "all") if number < 100 else PROD) for number in range(200)])
    assert (sorted(kept), sorted(deleted)) == (list(range(100)), list(range(100, 200)))
    assert {type(error) for error in kept.values()} == {DeleteRejected}
    assert len(wire.asked) == 3


def test_a_token_that_may_only_read_deletes_none(tower: Tower, wire: Wire) -> None:
    wire.then(403, DENIED)
    kept = tower.delete_hosts([host(1)])
    assert isinstance(kept[1], DeleteRefused)
    assert kept[1].inventories == {"prod"}


def test_events_that_are_still_processed_are_no_missing_role(tower: Tower, wire: Wire) -> None:
    wire.then(403, {"detail": "Related job job 37 (successful) is still processing events."})
    with pytest.raises(TowerUnavailable):
        tower.delete_hosts([host(1)])


@pytest.mark.parametrize(
    "answer",
    [
        Answer(400, {"detail": "cannot delete hosts, host deletion error"}),
        Answer(*TOO_LARGE),
        Answer(500, "<h1>Server Error (500)</h1>"),
    ],
)
@pytest.mark.parametrize("bad", [[0], [249], [17, 180]])
def test_a_host_that_tower_does_not_delete_is_kept_alone_with_the_servers_words(
    tower: Tower, wire: Wire, answer: Answer, bad: list[int]
) -> None:
    wire.by_request, deleted = keeping(answer, *bad)
    kept = tower.delete_hosts([host(number) for number in range(250)])
    assert (sorted(kept), sorted(deleted)) == (bad, [number for number in range(250) if number not in bad])
    for number, error in kept.items():
        assert isinstance(error, DeleteRejected)
        assert re.search(f"host 'i-{number}' of inventory 'prod' is not deleted: .*{answer.status}", str(error))
        assert error.inventories == {"prod"}
    assert len(wire.asked) <= 16 * len(bad) + 1


@pytest.mark.parametrize("number", [1, 100])
def test_a_tower_that_crashes_at_every_deletion_is_unavailable(tower: Tower, wire: Wire, number: int) -> None:
    wire.by_request = lambda asked: Answer(500, "<h1>Server Error (500)</h1>")
    with pytest.raises(TowerUnavailable):
        tower.delete_hosts([host(each) for each in range(number)])
    assert len(wire.asked) <= REFUSALS_MAX[500] + 1


def test_a_server_without_bulk_calls_loses_hosts_the_way_that_jobs_do_not_stop(tower: Tower, wire: Wire) -> None:
    wire.then(404, "<html/>").then(204, "").then(204, "")
    assert tower.delete_hosts([host(1), host(2, Inventory(9, "other"))]) == {}
    assert wire.calls[1:] == ["POST /api/v2/inventories/3/hosts/", "POST /api/v2/inventories/9/hosts/"]
    assert wire.asked[1].body == {"id": 1, "disassociate": True}


def test_without_bulk_calls_a_refusal_names_its_inventory_and_keeps_no_other_host(tower: Tower, wire: Wire) -> None:
    wire.by_request = without_bulk(Answer(403, {"detail": "no"}), 1)
    kept = tower.delete_hosts([host(1), host(2), host(3)])
    assert kept.keys() == {1}
    assert isinstance(kept[1], DeleteRefused)
    assert kept[1].inventories == {"prod"}
    assert [each.body["id"] for each in wire.asked[1:]] == [1, 2, 3]


@pytest.mark.parametrize(
    "answer", [Answer(404, {"detail": "Not found."}), Answer(400, {"detail": "Host matching query does not exist."})]
)
def test_without_bulk_calls_a_host_that_is_gone_is_deleted_already(tower: Tower, wire: Wire, answer: Answer) -> None:
    wire.by_request = without_bulk(answer, 1)
    assert tower.delete_hosts([host(1), host(2)]) == {}


def test_without_bulk_calls_a_host_that_tower_does_not_delete_is_kept_alone(tower: Tower, wire: Wire) -> None:
    wire.by_request = without_bulk(Answer(400, {"detail": "not this one"}), 1)
    kept = tower.delete_hosts([host(1), host(2)])
    assert kept.keys() == {1}
    assert isinstance(kept[1], DeleteRejected)
    assert "not this one" in str(kept[1])


def test_a_server_that_deletes_fewer_at_once_gets_fewer(tower: Tower, wire: Wire) -> None:
    deleted: list[int] = []

    def at_most_two(asked: Asked) -> Answer:
        if len(asked.body["hosts"]) > 2:
            words = ["Number of hosts exceeds system setting BULK_HOST_MAX_DELETE"]
            return Answer(400, {"ERROR": words, "BULK_HOST_MAX_DELETE": ["2"], "Hosts_count": ["5"]})
        deleted.extend(asked.body["hosts"])
        return Answer(201, {"hosts": {}})

    wire.by_request = at_most_two
    assert tower.delete_hosts([host(number) for number in range(5)]) == {}
    assert sorted(deleted) == [0, 1, 2, 3, 4]
