"""reference/tags.md: the tags of a group, from the reader in domain/settings.py.

What a tag allows is what the reader says of a value that it does not take; its default is what the reader makes of a
group without the tag.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.registry import NAMES, kind_named, read_group_settings
from rollcall.domain import settings as reader
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import EMERGENCY_TAG, Group

from .markdown import NONE, REPOSITORY, code, codes, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAIN = REPOSITORY / "layers" / "common" / "rollcall" / "domain"
READ_IN = (DOMAIN / "settings.py", DOMAIN / "groups.py")
REFERENCE = "a name, `org/name`, an id, or `id:N` (always the id N)"
WRONG = "\N{REPLACEMENT CHARACTER} wrong"


class Meaning(NamedTuple):
    """What a tag is for. values: in words, where the reader takes any text; field: of GroupSettings."""

    text: str
    field: str = ""
    values: str = ""
    default: str = ""


TAGS = {
    reader.OPT_IN_TAG: Meaning("The Tower inventory. **This tag opts the group in.**", values=REFERENCE, default=NONE),
    "rollcall:groups": Meaning(
        "Inventory groups that the hosts are put into; made where missing. "
        "[What they may be called](../concepts/hosts.md#names-of-inventory-groups).",
        values="names, separated by blanks",
        default="the Auto Scaling group's name",
    ),
    reader.JOB_TAG: Meaning(
        "The provisioning job template. Without it instances are registered only.", values=REFERENCE, default=NONE
    ),
    reader.GATE_TAG: Meaning(
        "[Checks](checks.md) before CONTINUE, separated by blanks.",
        values=codes(kind_named(each).form for each in NAMES),
        default="`job` if there is a template",
    ),
    "rollcall:timeout": Meaning(
        "Seconds after which evidence against an instance is "
        "[final](../concepts/what-a-job-proves.md#when-evidence-is-final). It is also how long a job may be silent "
        "before "
        "it is [reported as stuck](../operate/jobs.md#jobs-that-hang).",
        field="timeout",
    ),
    "rollcall:on-failure": Meaning(
        "`abandon` the instance, or `hold` it so that an operator can examine it.", field="on_failure"
    ),
    "rollcall:address": Meaning("Which address becomes `ansible_host`.", field="address"),
    "rollcall:watch": Meaning(
        "Seconds after CONTINUE during which events report whether "
        "[load balancers](../guides/load-balancers.md#the-watch) find the instance serving.",
        default="not watched",
    ),
    "rollcall:user-data": Meaning(
        "Whether the user data of its instances may request [host variables and more groups](../guides/user-data.md).",
        default="`false`",
    ),
    reader.CHEF_TAG: Meaning(
        "Its instances are nodes in [Chef](../guides/chef.md), and leave it when they terminate. The value says how "
        "nodes and clients are named; an empty value means `@instance_id@`.",
        default="not in Chef",
    ),
    reader.RETIRE_TAG: Meaning(
        "A job template to run on instances [before their hosts go](../guides/retire-jobs.md).",
        values=REFERENCE,
        default=NONE,
    ),
    reader.RELEASED_TAG: Meaning(
        "Set by [`rollcall release`](../concepts/circuit-breaker.md#release-a-group). The circuit breaker holds no "
        "instance for a job that ended before this moment.",
        default="never",
    ),
    EMERGENCY_TAG: Meaning(
        "Set by [`rollcall offboard GROUP --emergency`](../operate/emergency.md): nothing holds or abandons the "
        "group's instances.",
        values="any text counts; the command writes since when, and how the hooks were",
        default="no emergency",
    ),
}
ABOUT = """\
Tags of an Auto Scaling group. A change takes effect within a minute. A value that is not allowed is an error of that
group, which names the tag and what is allowed; other groups are untouched.
"""
NAMES_IN_TOWER = """\
**Names in Tower.** Blanks within a name count; blanks around it do not. Where a value could mean two things, say a name
that is a number and an id, it is refused, and the error names all candidates with their ids. Then write `id:N`.
"""


def write() -> str:
    """The page."""
    known = {tag for path in READ_IN for tag in re.findall(r'"(rollcall:[a-z-]+)"', path.read_text())}
    if known != TAGS.keys():
        raise ValueError(f"docs/generators/tags.py: tags that only the reader or only TAGS has: {known ^ TAGS.keys()}")
    rows = table(["tag", "meaning", "allowed", "default"], _rows())
    return page("Tags of a group", "domain/settings.py", ABOUT, rows, NAMES_IN_TOWER)


def _rows() -> Iterator[tuple[str, str, str, str]]:
    bare = read_group_settings(Group("web", {reader.OPT_IN_TAG: "fleet"}, {}))
    for tag, meaning in TAGS.items():
        default = meaning.default or code(getattr(bare, meaning.field))
        yield code(tag), meaning.text, meaning.values or _allowed(tag), default


def _allowed(tag: str) -> str:
    """What the reader says that is allowed."""
    try:
        read_group_settings(Group("web", {reader.OPT_IN_TAG: "fleet", tag: WRONG}, {}))
    except BadSettings as error:
        words = str(error).partition("; allowed: ")[2]
        one_of = re.fullmatch(r"[a-z-]+(, [a-z-]+)*", words)
        return codes(words.split(", ")) if one_of else re.sub(r"@\w+@|\d{4}-\S+Z", lambda each: code(each[0]), words)
    raise ValueError(f"{tag} takes any text: say in TAGS what it is")
