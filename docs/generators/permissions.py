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
a permission is not there. With `SubnetIds` every function but alert also has AWS's own policy
`AWSLambdaVPCAccessExecutionRole`.
"""
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
    parts = [ABOUT]
    for role, own in of_type("AWS::IAM::Role").items():
        if role.endswith("Role") and own["Properties"].get("Policies"):
            rows = list(_rows(role, own))
            parts += [f"## {role.removesuffix('Role')}", table(["action", "on", "why", "only with"], rows)]
    roles = [(f"*{each.role}*", each.objects, each.purpose) for each in NEEDED]
    roles += [(f"*{each.role}*, sometimes", each.objects, each.purpose) for each in SOMETIMES]
    parts += [DEPLOYING, table(["resource type", "how many at most", "only with"], _made())]
    parts += [TOWER, table(["role", "on", "so that"], roles)]
    return page("Permissions", "template.yaml", *parts)


def _made() -> Iterator[tuple[str, str, str]]:
    """What the template makes, by type: how many at most, and the parameters without which there is none."""
    made: defaultdict[str, list[str]] = defaultdict(list)  # the condition of each, or nothing
    for each in deployed().values():
        made[each["Type"]].append(each.get("Condition", ""))
    for kind, conditions in sorted(made.items()):
        behind = [] if "" in conditions else {name for each in conditions for name in parameters_behind(each)}
        yield code(kind), str(len(conditions)), codes(sorted(behind))


def _rows(role: str, own: Json) -> Iterator[tuple[str, str, str, str]]:
    for policy in own["Properties"]["Policies"]:
        yield from _of_policy(policy["PolicyDocument"], own["Metadata"]["Why"], "")
    for policy in of_type("AWS::IAM::Policy").values():
        if {"Ref": role} in policy["Properties"]["Roles"]:
            why = policy["Metadata"]["Why"]
            yield from _of_policy(policy["Properties"]["PolicyDocument"], why, policy["Condition"])


def _of_policy(document: Json, why: dict[str, str], condition: str) -> Iterator[tuple[str, str, str, str]]:
    for statement, own_condition in statements(document):
        behind = parameters_behind(own_condition or condition)
        yield (
            codes(as_list(statement["Action"])),
            ", ".join(code(short(each)) if each != "*" else "all" for each in as_list(statement["Resource"])),
            sentence(why[statement["Sid"]]),
            " ".join(code(each) for each in behind),
        )
