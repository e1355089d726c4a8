"""Rows of columns on terminals of several widths: nothing is cut, and what does not fit goes below."""

from __future__ import annotations

from rich.text import Text

from rollcall_cli.columns import in_columns

HEADINGS = ("group", "image", "result", "name")
ROWS = [
    [Text(each) for each in ("web", "ami-0bbbbbbbbbbbbbbbb", "rolled back by hand", "web-1f2e3d4c-20261130T030000")],
    [Text(each) for each in ("a-longer-group", "", "succeeded", "a-longer-group-0a1b2c3d-weekly")],
]
SHORT = (("image", "name", "note"), [[Text(each) for each in ("ami-0bbbbbbbbbbbbbbbb", "a", "b")]])


def lines(width: int) -> list[str]:
    return [each.plain for each in in_columns(HEADINGS, ROWS, ("name", "image"), width)]


def test_where_all_fits_each_row_is_a_line() -> None:
    heading, *rows = lines(120)
    assert heading.split() == list(HEADINGS)
    assert rows[0].split("  ")[-1] == "web-1f2e3d4c-20261130T030000"
    assert rows[0].index("rolled") == rows[1].index("succeeded") == heading.index("result")
    assert max(map(len, (heading, *rows))) <= 120


def test_columns_give_way_one_after_the_other_and_an_empty_cell_leaves_nothing() -> None:
    assert [each.split() for each in lines(60)][:3] == [
        ["group", "image", "result"],
        ["web", "ami-0bbbbbbbbbbbbbbbb", "rolled", "back", "by", "hand"],
        ["name", "web-1f2e3d4c-20261130T030000"],
    ]
    assert lines(40) == [
        "group           result",
        "web             rolled back by hand",
        "    image ami-0bbbbbbbbbbbbbbbb",
        "    name web-1f2e3d4c-20261130T030000",
        "a-longer-group  succeeded",
        "    name a-longer-group-0a1b2c3d-weekly",
    ]


def test_what_gave_way_shares_a_line_where_it_fits() -> None:
    below = ["    name a  note b"]
    assert [each.plain for each in in_columns(*SHORT, ("note", "name"), len(below[0]))][2:] == below
    assert [each.plain for each in in_columns(*SHORT, ("note", "name"), len(below[0]) - 1)][2:] == [
        "    name a",
        "    note b",
    ]


def test_what_is_never_to_give_way_is_whole_on_any_terminal() -> None:
    assert all(each.plain in "\n".join(lines(10)) for row in ROWS for each in row)
