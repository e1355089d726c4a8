"""What the deployed functions use of what their roles allow, by the functions' logical ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.aws.control import Grant, Use
    from lab.cloud import Cloud


class Rights:
    """The rights of a stack's functions: see `lab.aws.embedded_rights`, which takes names."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def watch(self, *functions: str, enforced: bool = True) -> None:
        """Judge the calls of these functions from now on. enforced: whether what is not allowed is refused, too."""
        for each in functions:
            self._cloud.aws.rights.watch(self._cloud.function_name(each), enforced=enforced)

    def leave(self) -> None:
        """Judge no calls any more, and forget what was judged."""
        self._cloud.aws.rights.leave()

    def uses(self, function: str) -> list[Use]:
        """What the calls of a function needed, each once."""
        return self._cloud.aws.rights.uses(self._cloud.function_name(function))

    def used(self, function: str) -> frozenset[str]:
        """The actions that a function needed and was allowed."""
        return self._cloud.aws.rights.used(self._cloud.function_name(function))

    def refused(self, function: str) -> list[Use]:
        """What a function needed and was not allowed."""
        return self._cloud.aws.rights.refused(self._cloud.function_name(function))

    def granted(self, function: str) -> frozenset[str]:
        """The actions that a function's role allows, without those that are for Lambda itself."""
        return self._cloud.aws.rights.granted(self._cloud.function_name(function))

    def unused(self, function: str) -> frozenset[Grant]:
        """What a function's role allows, statement by statement, and no call needed."""
        return self._cloud.aws.rights.unused(self._cloud.function_name(function))
