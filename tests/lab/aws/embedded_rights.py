"""What functions use of what their roles allow, from outside: watched from when a test says so.

rights = aws.rights
rights.watch("rollcall-bake")  # calls that the role does not allow are refused from now on, as AWS refuses them
...
assert rights.refused("rollcall-bake") == []
assert rights.unused("rollcall-bake") == frozenset()
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from lab.aws.control import Grant, Use

OF_LAMBDA = ("logs:*", "xray:*", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
"""What a role allows for Lambda itself: its logs, traces and event sources. No call of a function shows it."""
MANAGED = "AWSLambda"
"""Begins the Sid of a statement of AWS's own policies for Lambda itself."""


class EmbeddedRights:
    """The rights of functions, by the functions' names. control: makes one of the server's own calls."""

    def __init__(self, control: Callable[..., Any]) -> None:
        self._control = control

    def watch(self, function: str, *, enforced: bool = True) -> None:
        """Judge the calls of a function from now on. enforced: whether what is not allowed is refused, too.

        Raises ValueError where there is no such function.
        """
        self._control("PUT", "watched-rights", {"function": function, "enforced": enforced})

    def leave(self) -> None:
        """Judge no calls any more, and forget what was judged."""
        self._control("DELETE", "watched-rights")

    def uses(self, function: str) -> list[Use]:
        """Return what the calls of a function needed, each once, in the order in which it was first needed."""
        return [Use(**each) for each in self._control("GET", "used-rights").get(function, [])]

    def used(self, function: str) -> frozenset[str]:
        """Return the actions that a function needed and was allowed."""
        return frozenset(each.action for each in self.uses(function) if each.allowed)

    def refused(self, function: str) -> list[Use]:
        """Return what a function needed and was not allowed."""
        return [each for each in self.uses(function) if not each.allowed]

    def grants(self, function: str) -> list[Grant]:
        """Return what the statements of a function's role allow, action by action."""
        return [Grant(**each) for each in self._control("GET", "granted-rights").get(function, [])]

    def granted(self, function: str) -> frozenset[str]:
        """Return the actions that a function's role allows, without those that are for Lambda itself."""
        return frozenset(each.action for each in self.grants(function) if not _is_of_lambda(each))

    def unused(self, function: str) -> frozenset[Grant]:
        """Return what a function's role allows and no call needed: actions by which a statement allowed nothing."""
        uses = [each for each in self.uses(function) if each.allowed]
        return frozenset(
            grant
            for grant in self.grants(function)
            if not _is_of_lambda(grant)
            and not any(use.sid == grant.sid and _covers(grant.action, use.action) for use in uses)
        )


def _is_of_lambda(grant: Grant) -> bool:
    return grant.sid.startswith(MANAGED) or any(_covers(each, grant.action) for each in OF_LAMBDA)


def _covers(pattern: str, action: str) -> bool:
    """Whether an action, which may have wildcards, is one of a pattern; neither knows capitals."""
    return fnmatchcase(action.lower(), pattern.lower())
