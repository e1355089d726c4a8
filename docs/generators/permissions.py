"""reference/permissions.md: what each function may do, and why, from template.yaml; what the token needs, from the
contract tests' roles.

Why a role may do something stands in the role's or the policy's Metadata, by the statement's Sid.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from contract.roles import NEEDED, SOMETIMES

from .cloudformation import as_list, deployed, of_type, parameters_behind, short, statements
from .markdown import code, codes, page, sentence, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cloudformation import Json

ABOUT = """\
Each function has a role of its own, with these permissions and no others. *Only with* names the parameter without which
a permission is not there; what there is only with `Cycles`, or only with `Bakes`, is on pages of its own:
[cycles](permissions-cycles.md), [bakes](permissions-bakes.md). With `SubnetIds` every function but alert also has AWS's
own policy `AWSLambdaVPCAccessExecutionRole`.
"""
OF_CYCLES = """\
In a stack with `Cycles=true` there is a state machine and a function for [cycles](../event-paths.md#a-cycle), each with
a role of its own, and reconcile and doctor may do more. Without it nothing of this is permitted. What the functions may
do in every stack: [Permissions](permissions.md).

AWS starts an instance refresh only for a caller that may launch instances from the launch template, tag them, and pass
on the role in its instance profile. Name these roles in `PassableRoleArns`. A template whose image is a parameter of
Systems Manager also needs `ssm:GetParameters`: permitted for public ones, [not for your
own](../operate/cycle-in-detail.md#images-named-by-parameters).
"""
OF_BAKES = """\
In a stack with `Bakes=true` there is a state machine and a function for [bakes](../operate/bake.md), each with a role
of its own, and reconcile may do more. Without it nothing of this is permitted. What the functions may do in every
stack: [Permissions](permissions.md).

What a bake makes has the tag `rollcall:made-by` from the moment it is made, and only what has this tag may be
stopped, imaged, terminated, disabled, deregistered or deleted. EC2 allows no narrower permission than these:

- A subnet, security group or key is any of the account's: EC2 does not know which group a launch is for.
- A version of a launch template may hold anything: EC2 does not know what is in it. So only templates that are tagged
  `rollcall:bake=true`, or that `BakeTemplateArns` names, may get versions.
- Reading is about all resources, as it is everywhere in EC2.
"""
CYCLES, BAKES = "RunsCycles", "RunsBakes"  # the conditions of what is on pages of its own
DEPLOYING = """\
## To deploy

To deploy it takes the right to make, change and delete what the template makes, with `CAPABILITY_IAM` for the roles;
and to pass the roles on (`iam:PassRole`). `sam deploy` makes the bucket that it deploys from itself.
"""
TOWER = """\
## In Tower

The token's user needs these roles and no others: the contract tests run with these alone.
"""


def write() -> str:
    """The page."""
    parts = [ABOUT, *_roles("")]
    roles = [(f"*{each.role}*", each.objects, each.purpose) for each in NEEDED]
    roles += [(f"*{each.role}*, sometimes", each.objects, each.purpose) for each in SOMETIMES]
    parts += [DEPLOYING, table(["resource type", "how many at most", "only with"], _made())]
    parts += [TOWER, table(["role", "on", "so that"], roles)]
    return page("Permissions", "template.yaml", *parts)


def write_cycles() -> str:
    """The page about what is permitted only with cycles."""
    return page("Permissions for cycles", "template.yaml", OF_CYCLES, *_roles(CYCLES))


def write_bakes() -> str:
    """The page about what is permitted only with bakes."""
    return page("Permissions for bakes", "template.yaml", OF_BAKES, *_roles(BAKES))


def _roles(only: str) -> Iterator[str]:
    """The sections of the roles: what is permitted only under this condition; for none what is on no other page."""
    for role, own in of_type("AWS::IAM::Role").items():
        if not role.endswith("Role") or not own["Properties"].get("Policies"):
            continue
        if rows := [row for condition, row in _rows(role, own) if _page_of(condition) == only]:
            yield f"## {role.removesuffix('Role')}"
            yield table(["action", "on", "why", "only with"], rows)


def _page_of(condition: str) -> str:
    return condition if condition in (CYCLES, BAKES) else ""


def _made() -> Iterator[tuple[str, str, str]]:
    """What the template makes, by type: how many at most, and the parameters without which there is none."""
    made: defaultdict[str, list[str]] = defaultdict(list)  # the condition of each, or nothing
    for each in deployed().values():
        made[each["Type"]].append(each.get("Condition", ""))
    for kind, conditions in sorted(made.items()):
        behind = [] if "" in conditions else {name for each in conditions for name in parameters_behind(each)}
        yield code(kind), str(len(conditions)), codes(sorted(behind))


type Row = tuple[str, str, str, str]


def _rows(role: str, own: Json) -> Iterator[tuple[str, Row]]:
    """What a role permits; the condition under which the policy is there, and a row for each statement."""
    for policy in own["Properties"]["Policies"]:
        yield from _of_policy(policy["PolicyDocument"], own["Metadata"]["Why"], own.get("Condition", ""))
    for policy in of_type("AWS::IAM::Policy").values():
        if {"Ref": role} in policy["Properties"]["Roles"]:
            why = policy["Metadata"]["Why"]
            yield from _of_policy(policy["Properties"]["PolicyDocument"], why, policy["Condition"])


def _of_policy(document: Json, why: dict[str, str], condition: str) -> Iterator[tuple[str, Row]]:
    for statement, own_condition in statements(document):
        behind = {name for each in (own_condition, condition) for name in parameters_behind(each)}
        row = (
            codes(as_list(statement["Action"])),
            ", ".join(code(short(each)) if each != "*" else "all" for each in as_list(statement["Resource"])),
            sentence(why[statement["Sid"]]),
            " ".join(code(each) for each in sorted(behind)),
        )
        yield condition, row
