"""What a check is: one protocol, three answers, and what the registry knows of each kind.

A check answers for each instance Pass, Fail or Inconclusive. Fail speaks against the instance: if that
lasts for as long as the group's timeout it causes ABANDON, or that the instance is held where the group wants that.
Inconclusive says that the check could not find out, for a reason that is ours or AWS's: it delays an instance, and is
never evidence against it.

A check that starts something and comes back for what came of it keeps a small state from one round to the next: it
gives it with its answer, and finds it in the subject of the next round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.groups import Group


@dataclass(frozen=True)
class Pass:
    """The check has nothing against the instance. state: for the next round; up to 256 printable ASCII characters."""

    state: str = ""


@dataclass(frozen=True)
class Fail:
    """Evidence against the instance: the reason as a sentence. state: as Pass has it."""

    reason: str
    state: str = ""


@dataclass(frozen=True)
class Inconclusive:
    """No evidence: why the check could not find out, as a sentence. state: as Pass has it."""

    reason: str
    state: str = ""


type Answer = Pass | Fail | Inconclusive
type Probe = Callable[[], Answer]


class Subject(NamedTuple):
    """An instance that is to be checked.

    address: where it is reached. held_by_hook: a hook keeps it out of service; otherwise it serves already. state: what
    this check kept of the last round, empty if nothing.
    """

    instance_id: str
    address: str
    held_by_hook: bool
    state: str = ""


class Context(NamedTuple):
    """What a check may ask beside the instances themselves: their group, and the AWS of that group."""

    fleet: Fleet
    group: Group


class Check(Protocol):
    """One check of a group's tag; str() of it is how the tag spells it."""

    def examine(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Answer | Probe]:
        """By instance id the answer of each subject, or a probe that gives it.

        Probes are for what takes time on the network: those of all instances and checks run at once, until one
        deadline, and without time for one the answer is Inconclusive. What is read from AWS for all subjects together
        is read here. Raises an error of ours where that cannot be read.
        """
        ...


class Kind(NamedTuple):
    """What the registry knows of a kind of check.

    name: the first part of its word in the tag. form: the whole word, as error texts and docs show it. pattern: a
    regular expression for the whole word; read: makes the check from the pattern's groups, and raises ValueError with
    what is allowed. connects: its probes connect to the instances' own addresses. lets_traffic_in: it may lead requests
    to an instance, and so examines only those that pass all other checks. only_reads: it reads nothing but AWS, and
    changes nothing for subjects that no hook holds, so that an operator's command may examine them from anywhere.
    permissions: the actions that the gate's role needs for it.
    """

    name: str
    form: str
    pattern: str
    read: Callable[..., Check]
    connects: bool = False
    lets_traffic_in: bool = False
    only_reads: bool = False
    permissions: tuple[str, ...] = ()
