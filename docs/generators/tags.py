"""reference/tags.md: the tags of a group, from the reader in domain/settings.py.

What a tag allows is what the reader says of a value that it does not take; its default is what the reader makes of a
group without the tag.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.registry import NAMES, kind_named, read_group_settings
from rollcall.cycle.request import OPTIONS, TAG_KEYS, read_request
from rollcall.cycle.tag import ALLOWED_WORDS
from rollcall.domain import settings as reader
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import EMERGENCY_TAG, Group
from rollcall.workflow.schedule import SCHEDULE_FORM

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
    reader.CYCLE_TAG: Meaning(
        "How the group is [cycled](#cycles) where that is not said otherwise, and when a cycle is due, in a stack with "
        "`Cycles=true`.",
        values="words separated by blanks: " + ALLOWED_WORDS,
        default="cycled only by the command",
    ),
    reader.PINNED_TAG: Meaning(
        "Set by a cycle while the group is pinned to a number of its launch template, and removed once it is put back.",
        values="the cycle writes what the group had before, what is to become of it, and its own name",
        default="not pinned",
    ),
    EMERGENCY_TAG: Meaning(
        "Set by [`rollcall offboard GROUP --emergency`](../operate/emergency.md): nothing holds or abandons the "
        "group's instances.",
        values="any text counts; the command writes since when, and how the hooks were",
        default="no emergency",
    ),
}
OF_CYCLES = {  # the keys of a cycle's input, with what each is about
    "group": "The Auto Scaling group.",
    "launch_template_version": "The version that its instances are to run; the group's own without it.",
    "batch": "How many instances are launched before as many old ones go.",
    "checkpoints": "Percentages of replaced instances at which it waits.",
    "checkpoint_seconds": "How long it waits at each, in seconds.",
    "bake_seconds": "How long it waits at the end before it calls itself done, in seconds.",
    "skip_matching": "Whether instances that have the version already stay. Without it: yes, if another version than "
    "the group's is named.",
    "rollback": "Whether what fails is rolled back. `auto`: where AWS can, and to another version; elsewhere it is "
    "cancelled.",
    "pin": "Whether a group on `$Latest` or `$Default` may be set to the number that its instances run, so that AWS "
    "can roll it back.",
    "follow": "What a pinned group has afterwards: its alias, if that is what now runs, or the number.",
    "alarms": "CloudWatch alarms that end it.",
    "protected": "What becomes of instances that are protected from scale-in.",
    "standby": "What becomes of instances in Standby.",
    "verify_seconds": "How long after AWS calls it successful it may take until everything is as it should be.",
    "dry_run": "Whether it ends before anything is touched.",
}
CYCLES = f"""\
## Cycles

What the tag `{reader.CYCLE_TAG}` says, besides the keys below as KEY=VALUE:

- `never`: no cycle of the group begins.
- `on-new-version`: one is due for each new version of the launch template.
- `every=SCHEDULE`: one is due then, as in {SCHEDULE_FORM}.

What a group's tags say of bakes: [Tags of bakes](tags-bakes.md).

The same keys are those of a cycle's input, which overrides the tag. Tags hold no percent sign and no comma: write
`25percent`, and lists as `25:100`. The keys without *in the tag* are about one cycle alone.
"""
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
    keys = table(["key", "in the tag", "meaning", "allowed", "default"], _rows_of_cycles())
    return page("Tags of a group", "domain/settings.py", ABOUT, rows, NAMES_IN_TOWER, CYCLES, keys)


def _rows_of_cycles() -> Iterator[tuple[str, str, str, str, str]]:
    if OPTIONS.keys() != OF_CYCLES.keys():
        raise ValueError(f"docs/generators/tags.py: say what this is: {OPTIONS.keys() ^ OF_CYCLES.keys()}")
    defaults = read_request({"group": "web"}, None).to_json() | {"group": None}
    for key, option in OPTIONS.items():
        value = defaults[key]
        shown = NONE if value in (None, []) else code(json.dumps(value).strip('"'))
        words = option.allowed.split(", ")
        one_of = all(re.fullmatch(r"[a-z]+", each) for each in words)
        allowed = codes(words) if one_of else option.allowed
        yield code(key), "yes" if key in TAG_KEYS else "", OF_CYCLES[key], allowed, shown


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
