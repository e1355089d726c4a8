"""Tags that cannot be read: kept as their error, or passed over."""

from __future__ import annotations

from rollcall.cycle.request import require_readable_tag
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group
from rollcall.workflow.group_tags import read_or_error, readable_settings

GOOD = {"rollcall:inventory": "prod", "rollcall:cycle": "batch=2"}


def test_what_can_be_read_is() -> None:
    group = Group("web", GOOD, {})
    assert read_or_error(require_readable_tag, group) == require_readable_tag(group)
    settings = readable_settings(group)
    assert settings
    assert settings.inventory == "prod"


def test_what_cannot_be_read_is_its_error_or_none() -> None:
    group = Group("web", {**GOOD, "rollcall:cycle": "weekly", "rollcall:gate": "none of these"}, {})
    error = read_or_error(require_readable_tag, group)
    assert isinstance(error, BadSettings)
    assert "weekly" in str(error)
    assert readable_settings(group) is None
