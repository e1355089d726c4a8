"""Retention done: in its order, whatever dies in between or is refused, and a report of all of it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.aws.image_uses import Uses
from rollcall.aws.images import DISABLED
from rollcall.bake.moments import moment_text
from rollcall.bake.news import BakeEvent
from rollcall.bake.retiring import RetentionReport, RetentionRequest, Retiring
from rollcall.domain.bake_tags import DISABLED_AT, KEEP_TAG
from rollcall.domain.errors import AwsDenied
from unit.bake.baked import DAY, NOW, TEMPLATE, FakeBakeAws, FunctionDiedError, image, images, state, versions

if TYPE_CHECKING:
    from collections.abc import Callable


def retire(aws: FakeBakeAws, *, now: float = NOW, seconds_left: float = 300.0, **changes: Any) -> RetentionReport:
    fields: dict[str, Any] = {"group": "web", "template": {"LaunchTemplateId": TEMPLATE}, "keep": 5, "share": 1.0}
    at_work = changes.pop("at_work", None)
    return Retiring(aws, lambda: now, lambda: seconds_left, at_work).retire(RetentionRequest(**(fields | changes)))


def eight() -> FakeBakeAws:
    """Eight images with a version each, the newest on the group."""
    return FakeBakeAws(*images(8), versions=versions(8, default=8))


def test_versions_go_first_then_images_are_disabled_and_a_day_later_deregistered() -> None:
    aws = eight()
    first = retire(aws)
    tag = f"tag ami-3 ami-2 ami-1 {{'rollcall:disabled-at': '{moment_text(NOW)}'}}"
    assert aws.changes == ["delete versions 3 2 1", "disable ami-3", "disable ami-2", "disable ami-1", tag]
    assert [each for each, _ in first.retired] == ["ami-3", "ami-2", "ami-1"]
    assert retire(aws, now=NOW + DAY - 1).removed == ()
    last = retire(aws, now=NOW + DAY)
    assert aws.changes[5:] == ["deregister ami-3", "deregister ami-2", "deregister ami-1"]
    assert last.removed[0] == ("deregistered ami-3, with snap-3: it is not among the newest 5 of group web")
    assert sorted(aws.known) == ["ami-4", "ami-5", "ami-6", "ami-7", "ami-8"]
    assert retire(aws, now=NOW + 2 * DAY) == RetentionReport()


def test_a_dry_run_says_what_would_go_and_why_the_rest_stays() -> None:
    aws = eight()
    aws.found_uses = Uses({"ami-1": "the instance i-1"}, {})
    report = retire(aws, dry_run=True)
    assert aws.changes == []
    assert report.removed[0] == "would delete version 3: its image ami-3 is not among the newest"
    assert [line.partition(":")[0] for line in report.removed[3:]] == [
        "would disable ami-3",
        "would disable ami-2",
    ]
    assert report.kept == ("ami-1 stays: it is in use: the instance i-1",)


def test_uses_are_read_of_what_may_go_and_of_nothing_else() -> None:
    aws = eight()
    retire(aws, dry_run=True)
    assert aws.asked_uses == ["ami-3", "ami-2", "ami-1"]
    few = FakeBakeAws(*images(5))
    assert retire(few) == RetentionReport()
    assert few.asked_uses == []


def test_the_image_of_a_version_that_cannot_be_deleted_stays() -> None:
    aws = eight()
    aws.refuses = ("delete 2",)
    report = retire(aws)
    assert "disable ami-2" not in aws.changes
    assert report.failed == ("version 2 could not be deleted: unexpectedError: no",)
    assert report.warnings == report.failed


def test_a_disabled_image_of_a_version_that_cannot_be_deleted_is_not_set_to_go_either() -> None:
    aws = FakeBakeAws(*images(6, 2), image(1, state=DISABLED), versions=versions(6, default=6))
    aws.refuses = ("delete 1",)
    retire(aws)
    assert DISABLED_AT not in aws.known["ami-1"].tags
    aws.refuses = ()
    retire(aws)
    assert aws.known["ami-1"].tags[DISABLED_AT] == moment_text(NOW)


def test_where_no_version_can_be_deleted_no_image_goes() -> None:
    aws = eight()
    aws.refuses = ("delete versions",)
    report = retire(aws)
    assert aws.changes == []
    assert len(report.failed) == 3


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(1, 6))
def test_a_function_that_dies_anywhere_leaves_nothing_that_the_next_run_does_not_see_to(call: int, after: bool) -> None:
    aws = eight()
    aws.dies_at, aws.dies_after = call, after
    with pytest.raises(FunctionDiedError):
        retire(aws)
    retire(aws)
    assert sorted(aws.made_versions) == ["4", "5", "6", "7", "8"]
    gone = [aws.known[f"ami-{number}"] for number in (1, 2, 3)]
    assert [each.state for each in gone] == [DISABLED] * 3
    assert [each.tags[DISABLED_AT] for each in gone] == [moment_text(NOW)] * 3


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ("disable ami-2", "ami-2 could not be disabled: AWS refused disable ami-2"),
        ("tag", "3 images could not be tagged with when they were disabled: AWS refused tag"),
    ],
)
def test_what_aws_refuses_is_reported_and_the_rest_is_done(refused: str, words: str) -> None:
    aws = eight()
    aws.refuses = (refused,)
    report = retire(aws)
    assert report.failed[0].startswith(words)
    assert "disable ami-1" in aws.changes


def test_a_snapshot_that_stays_is_reported() -> None:
    aws = FakeBakeAws(*images(6, 2), image(1, state=DISABLED, tags={DISABLED_AT: moment_text(NOW - DAY)}))
    kept = FakeBakeAws.deregister_image(aws, "ami-1")[0]._replace(code="missing-permissions")
    aws.known["ami-1"] = image(1, state=DISABLED, tags={DISABLED_AT: moment_text(NOW - DAY)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws, "deregister_image", lambda _: (kept,))
        report = retire(aws)
    assert report.failed == ("snapshot snap-1 of ami-1 stays: AWS answers missing-permissions",)
    assert report.removed == ("deregistered ami-1: it is not among the newest 5 of group web",)


def test_what_there_is_no_time_for_is_left_to_the_next_run() -> None:
    aws = eight()
    report = retire(aws, seconds_left=10.0)
    assert aws.changes == ["delete versions 3 2 1"]
    assert report.failed == ("3 images are left for the next run: there was no time",)
    assert len(retire(aws).retired) == 3


def day_old() -> FakeBakeAws:
    """Of five images that stay a sixth that was disabled a day ago."""
    return FakeBakeAws(*images(6, 2), image(1, state=DISABLED, tags={DISABLED_AT: moment_text(NOW - DAY)}))


def test_an_image_that_an_operator_enables_again_while_it_is_decided_on_is_not_deregistered() -> None:
    aws = day_old()
    aws.change_meanwhile = lambda: aws.known.update({"ami-1": aws.known["ami-1"]._replace(state="available")})
    report = retire(aws)
    assert aws.changes == []
    assert report.kept == ("ami-1 stays: it was changed while this run decided on it",)


@pytest.mark.parametrize("change", [{"protection": "enabled-with-cooldown"}, {"public": True}, {"state": DISABLED}])
def test_one_that_is_kept_from_going_meanwhile_is_not_disabled_either(change: dict[str, Any]) -> None:
    aws = FakeBakeAws(*images(6))
    aws.change_meanwhile = lambda: aws.known.update({"ami-1": image(1, **change)})
    assert retire(aws).kept == ("ami-1 stays: it was changed while this run decided on it",)
    assert aws.changes == []


def test_one_whose_tag_says_meanwhile_that_it_was_enabled_again_is_not_deregistered() -> None:
    aws = day_old()
    aws.change_meanwhile = lambda: aws.tag_resources(["ami-1"], {DISABLED_AT: "enabled again"})
    assert retire(aws).kept == ("ami-1 stays: it was changed while this run decided on it",)


def test_one_that_is_gone_by_then_is_left_alone() -> None:
    aws = day_old()
    aws.change_meanwhile = lambda: aws.known.pop("ami-1", None)
    assert retire(aws).removed == ()


def test_what_cannot_be_read_again_stays() -> None:
    class Denied(FakeBakeAws):
        def own_images(self, image_ids: Any) -> list[Any]:
            raise AwsDenied("AWS refused DescribeImages")

    aws = Denied(*images(6))
    report = retire(aws)
    assert report.failed == ("ami-1 stays: it could not be read again: AWS refused DescribeImages",)
    assert aws.changes == []


def test_a_version_that_the_group_goes_back_to_meanwhile_stays_with_its_image() -> None:
    aws = eight()
    aws.uses_by_now = Uses({}, {"1": "the group web"})
    report = retire(aws)
    assert aws.changes[:3] == ["delete versions 3 2", "disable ami-3", "disable ami-2"]
    assert report.kept == (
        "version 1 stays: it is in use: the group web",
        "ami-1 stays: version 1 of the group's launch template names it",
    )


@pytest.mark.parametrize(
    ("tags", "as_baked", "gone"),
    [
        pytest.param({KEEP_TAG: "7"}, True, ["ami-1"], id="what the newest was baked with"),
        pytest.param({KEEP_TAG: "7"}, False, ["ami-3", "ami-2", "ami-1"], id="the group's tag goes before that"),
        pytest.param({}, True, ["ami-3", "ami-2", "ami-1"], id="an image that does not say"),
        pytest.param({KEEP_TAG: "many"}, True, ["ami-3", "ami-2", "ami-1"], id="a tag that an operator has changed"),
    ],
)
def test_how_many_stay_where_the_tags_of_the_group_do_not_say(
    tags: dict[str, str], as_baked: bool, gone: list[str]
) -> None:
    report = retire(FakeBakeAws(image(8, tags=tags), *images(7)), as_baked=as_baked)
    assert [each for each, _ in report.retired] == gone


def begins(at: int) -> Callable[[str], list[str]]:
    """What is at work on the group: a roll-back that has begun by the call of this number."""
    asked = count(1)
    return lambda group: [f"{group}-rollback"] if next(asked) == at else []


@pytest.mark.parametrize(
    ("at", "changed"),
    [
        pytest.param(2, [], id="while what uses images is read"),
        pytest.param(3, ["delete versions 3 2 1"], id="once versions are deleted"),
    ],
)
def test_what_begins_while_a_run_decides_keeps_what_is_there_by_then(at: int, changed: list[str]) -> None:
    aws = eight()
    report = retire(aws, at_work=begins(at))
    assert aws.changes == changed
    assert report.kept == ("the rest of it stays for now: web-rollback is at work on group web",)


def test_what_begins_keeps_images_that_were_to_be_deregistered() -> None:
    aws = day_old()
    assert retire(aws, at_work=begins(2)).removed == ()
    assert aws.changes == []


def test_that_what_is_at_work_cannot_be_read_again_keeps_the_rest() -> None:
    asked = count(1)

    def at_work(_: str) -> list[str]:
        if next(asked) > 1:
            raise AwsDenied("AWS refused ListExecutions")
        return []

    report = retire(eight(), at_work=at_work)
    assert report.kept == (
        "the rest of it stays for now: what is at work on group web could not be read: AWS refused ListExecutions",
    )


def test_images_are_read_again_a_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = FakeBakeAws(*images(60))
    read: list[int] = []
    own_images = aws.own_images

    def counted(image_ids: Any) -> list[Any]:
        read.append(len(image_ids))
        return own_images(image_ids)

    monkeypatch.setattr(aws, "own_images", counted)
    retire(aws)
    assert read == [25, 25, 5]


def test_what_uses_versions_and_cannot_be_read_by_then_keeps_all_of_them() -> None:
    aws = eight()
    aws.uses_by_now = Uses({}, {}, "fleets could not be read")
    assert retire(aws).removed == ()


def test_the_tag_of_an_image_that_was_taken_back_is_renewed_also_where_too_many_would_go() -> None:
    taken_back = image(21, tags={DISABLED_AT: moment_text(NOW - 2 * DAY)})
    aws = FakeBakeAws(taken_back, *images(20), versions=versions(20, default=20))
    report = retire(aws, share=0.25)
    assert aws.changes == ["tag ami-21 {'rollcall:disabled-at': 'enabled again'}"]
    assert report.stopped
    aws.refuses = ("tag",)
    aws.known["ami-21"] = taken_back
    assert retire(aws, share=0.25).failed[0].startswith("1 images could not be tagged as enabled again")


def test_too_many_at_once_are_reported_and_none_is_touched() -> None:
    aws = FakeBakeAws(*images(20), versions=versions(20, default=20))
    report = retire(aws, share=0.25)
    assert aws.changes == []
    assert report.warnings[0].startswith("15 of 20 images would go at once")
    assert len(retire(aws, share=0.25, force=True).retired) == 15


def test_that_the_images_cannot_be_read_at_all_is_an_error() -> None:
    class Denied(FakeBakeAws):
        def images_made_for(self, group: str) -> list[Any]:
            raise AwsDenied("AWS refused DescribeImages")

    with pytest.raises(AwsDenied):
        retire(Denied())


def test_each_image_that_was_retired_is_published() -> None:
    news = retire(eight()).news(state())
    assert [(each.kind, each.image) for each in news] == [
        (BakeEvent.RETIRED, "ami-3"),
        (BakeEvent.RETIRED, "ami-2"),
        (BakeEvent.RETIRED, "ami-1"),
    ]
    assert news[0].words == "was disabled; a run at least a day later deregisters it"
