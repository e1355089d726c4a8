"""What the gate decides about an instance, and what each decision means.

An instance that a lifecycle hook holds waits until the hook is answered: CONTINUE lets it into service, ABANDON has its
group replace it. One that no hook holds serves already, so that nothing can be answered, and nothing abandoned.

What a job showed of an instance (Outcome), and what is decided for it while a hook holds it:

| outcome     | the job                                              | decision                                       |
|-------------|------------------------------------------------------|------------------------------------------------|
| OK          | provisioned it; without a job: it was registered     | by its checks, below                           |
| FAILED      | failed on it                                         | evidence against it                            |
| UNREACHABLE | did not reach it: once, or not for the whole timeout | WAIT, then RELAUNCH: it may still boot         |
|             | ... in more than one job, for the timeout            | evidence against it                            |
| CUT_SHORT   | failed for other hosts before it was done with it    | RELAUNCH; WAIT for one that is to show more    |
| UNPROVEN    | shows nothing                                        | WAIT, then RELAUNCH, with an alert             |
| any         | no job can reach its host (renamed, disabled, ...)   | HOLD, with an alert                            |

| its checks                             | before the timeout | after it            |
|----------------------------------------|--------------------|---------------------|
| all Pass                               | READY              | READY               |
| one Fails                              | WAIT               | evidence against it |
| none Fails, and one is Inconclusive    | WAIT               | HOLD, with an alert |

| evidence against it, and               | decision                                                        |
|----------------------------------------|-----------------------------------------------------------------|
| the provisioning circuit breaker holds | HOLD and RELAUNCH in turn, with an alert (of a job's outcome)   |
| its group is tagged on-failure=hold    | HOLD, with an alert                                             |
| otherwise                              | ABANDON                                                         |

Of an instance that serves already: READY, WAIT and RELAUNCH as above, for as long as the timeout; LEAVE after it, and
as soon as HOLD or ABANDON would be decided for another one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Decision(StrEnum):
    """What becomes of a waiting instance now.

    |          | when                              | what is done                                      | its hook      |
    |----------|-----------------------------------|---------------------------------------------------|---------------|
    | READY    | it is provisioned, and every      | its watch begins, if its group wants one; the     | CONTINUE      |
    |          | check passes                      | event Instance Ready                              |               |
    | ABANDON  | there is evidence against it      | it leaves its target groups and every inventory;  | ABANDON       |
    |          |                                   | the event Instance Abandoned                      |               |
    | HOLD     | an operator has to fix something  | an alert; it leaves its target groups, if more    | kept open by  |
    |          | before it may serve               | than these speaks against it; evaluated again     | heartbeats    |
    | LEAVE    | it is not ready, and no hook      | an alert, and its wait is over; its host stays,   | has none      |
    |          | holds it                          | and so does it                                    |               |
    | RELAUNCH | its job proves neither that it is | another job, with all others that need one for    | kept open by  |
    |          | done nor that it is to blame      | the same reason                                   | heartbeats    |
    | WAIT     | it may become ready by itself     | evaluated again after the delay                   | kept open by  |
    |          |                                   |                                                   | heartbeats    |
    """

    READY = "ready"
    ABANDON = "abandon"
    HOLD = "hold"
    LEAVE = "leave"
    RELAUNCH = "relaunch"
    WAIT = "wait"


class Verdict(NamedTuple):
    """A decision about one instance and its reason.

    delay: seconds until it is evaluated again (WAIT, HOLD). alert: whether an operator should know. against: there is
    evidence against the instance.
    """

    decision: Decision
    reason: str
    delay: float = 0
    alert: bool = False
    against: bool = False


class Grounds(NamedTuple):
    """What a decision against an instance, ABANDON or HOLD, rests on.

    checks: those of its gate that fail, as the tag spells them; empty where its job is the evidence.
    """

    decision: Decision
    checks: tuple[str, ...] = ()
