"""The whole error taxonomy.

RollcallError
├─ Transient               passes by itself: tried again until the action is stale
│  ├─ TowerUnavailable     no connection, a timeout, 429 or 5xx
│  ├─ ChefUnavailable      likewise
│  ├─ ChannelUnavailable   likewise, of PagerDuty or Slack
│  ├─ AwsUnavailable       AWS cannot be reached, fails on its own side, or gives an answer that is not trusted
│  │  └─ Throttled         AWS refused a call for its rate
│  ├─ IncidentChanged      other invocations changed an incident at each try to do so here
│  ├─ HostLimitReached     no more hosts in the organization, or for the licence, until some go or it is raised
│  ├─ InstanceNotVisible   launched, and not yet known to EC2 or Auto Scaling
│  ├─ ActionNotVisible     Auto Scaling holds the instance, and finds no such lifecycle action
│  ├─ JobStillLanding      another message is at work on the host, or a job of a former stint still is
│  ├─ CycleGoesOn          the execution of a bake was stopped, and that of its cycle is not yet
│  ├─ RefreshStillActive   an instance refresh is being cancelled, and until then its group cannot be changed
│  └─ NoTimeLeft           the invocation ends before this message can be worked on
└─ Permanent               needs an operator: tried again for an hour, then moved to the dead-letter queue
   ├─ BadEvent             a message that is not a lifecycle action
   ├─ BadSettings          a tag or parameter that cannot be followed
   ├─ HostRenamed          the host of an instance is not named after it, so that no job reaches it
   ├─ TowerDenied          401 or 403: the token may not do this
   ├─ TowerRejected        any other answer Tower should not have given to a right request
   ├─ ChefDenied           401 or 403: the user or its key may not do this
   ├─ ChefRejected         any other answer a Chef server should not have given to a right request
   ├─ ChannelRefused       PagerDuty or Slack refuses a notification, and will when it is sent again
   ├─ AwsDenied            a permission is missing, or the credentials are not valid
   └─ AwsRejected          AWS calls a request wrong, or botocore does before it is sent
      └─ InstancesRefused  of a call for many instances, those that AWS calls wrong; it can be made again for the others

Each fails one action, never its neighbours. Messages name the thing and the remedy. docs/reference/errors.md is made
from the docstrings below: their first paragraph, and the one that begins with Remedy.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Scope(Enum):
    """What one and the same cause concerns: all of the installation, a group, or one instance."""

    INSTALLATION = "installation"
    GROUP = "group"
    INSTANCE = "instance"


class RollcallError(Exception):
    """Base of all errors this package raises on purpose. scope: what the cause of each kind below concerns."""

    scope: ClassVar[Scope] = Scope.INSTALLATION


class Transient(RollcallError):
    """An error that passes by itself.

    retry_in: seconds after which it will have, None where that is not known.
    """

    def __init__(self, message: str, retry_in: float | None = None) -> None:
        super().__init__(message)
        self.retry_in = retry_in


class Permanent(RollcallError):
    """An error that an operator has to fix."""


class TowerUnavailable(Transient):
    """Tower, or a proxy before it, cannot be reached right now, or answers with 429 or 5xx.

    Remedy: fix Tower. Nothing is abandoned meanwhile, and all goes on by itself.
    """


class ChefUnavailable(Transient):
    """The Chef server cannot be reached right now, or does not answer.

    Remedy: fix Chef; terminations go on without it in the end, and the node goes later.
    """


class ChannelUnavailable(Transient):
    """PagerDuty or Slack cannot be reached right now, or does not answer.

    Remedy: nothing: it is tried again every minute.
    """


class AwsUnavailable(Transient):
    """AWS cannot be reached, fails on its own side, or gives an answer that is not complete, and not trusted.

    Remedy: nothing. If it lasts, see the AWS Health Dashboard, and in a VPC whether the functions' subnets have a way
    to the AWS APIs.
    """


class Throttled(AwsUnavailable, Transient):  # Transient once more: events and incidents name it, for its own remedy
    """AWS refused the call for its rate.

    Remedy: nothing. If it lasts, have the account's quotas raised.
    """


class IncidentChanged(Transient):
    """Other invocations of alert changed an incident each time that this one was about to.

    Remedy: nothing: it is tried again.
    """


class HostLimitReached(Transient):
    """Tower takes no more hosts: the limit of an organization or of the licence is reached.

    Hosts that go make room for others, so it may pass by itself; instances are kept waiting, with one alert, until it
    does or the limit is raised.

    Remedy: remove hosts, raise the organization's Max hosts, or extend the licence.
    """


class InstanceNotVisible(Transient):
    """AWS announced the instance and does not describe it yet, or does not agree with itself about it.

    Remedy: nothing: it passes by itself, mostly within two minutes.
    """

    scope = Scope.INSTANCE


class ActionNotVisible(Transient):
    """Auto Scaling shows an instance held by a hook, and does not find the lifecycle action that is to be answered.

    Remedy: nothing: it is tried again for two minutes; then the hold is another hook's, or reconcile queues it again.
    """

    scope = Scope.INSTANCE


class JobStillLanding(Transient):
    """A host made moments ago by another invocation, whose job is not there yet; or one on which a job still runs that
    was launched before the present stint of its instance.

    Remedy: nothing: it passes within two minutes, or when that job ends; one that hangs is cancelled.
    """

    scope = Scope.INSTANCE


class CycleGoesOn(Transient):
    """The cycle of a bake that was stopped goes on: Step Functions stops it a moment later.

    Remedy: nothing: it is tried again, by reconcile at the latest.
    """


class RefreshStillActive(Transient):
    """An instance refresh whose cycle was stopped is being cancelled; AWS takes no change of its group until then.

    Remedy: nothing: it is tried again, by reconcile at the latest.
    """

    scope = Scope.GROUP


class NoTimeLeft(Transient):
    """The rest of this invocation is too short to work on a message.

    Remedy: nothing: the message comes again at once.
    """


class BadEvent(Permanent):
    """A message that cannot be read as a lifecycle action, or of another account or Region.

    Remedy: correct who sends it; `rollcall redrive` shows it.
    """


class BadSettings(Permanent):
    """A tag or parameter that cannot be followed.

    tag: the one that cannot be read; empty for anything else. candidates: the ids of what an ambiguous reference can
    mean in Tower; empty for anything else.

    Remedy: the message names the tag or parameter, and what is allowed.
    """

    def __init__(self, message: str, tag: str = "", candidates: Collection[int] = ()) -> None:
        super().__init__(message)
        self.tag = tag
        self.candidates = frozenset(candidates)

    scope = Scope.GROUP


class HostRenamed(Permanent):
    """The host of an instance has another name than its id, so that no job can be limited to it.

    Remedy: name the host after the instance again; let no inventory source rename it.
    """

    scope = Scope.INSTANCE


class TowerDenied(Permanent):
    """Tower refused the token (401), or its user lacks a role (403).

    Remedy: a valid token in the secret, or the role that the message names.
    """


class TowerRejected(Permanent):
    """Tower gave an answer that a right request would not get.

    Remedy: the message has Tower's words; `rollcall doctor` checks the URL.
    """

    scope = Scope.GROUP


class CancelRefused(TowerDenied):
    """A job of another user, which the token's may not cancel. owner: that user's name.

    Remedy: that user cancels the job, or the token's user gets the role Admin on the template.
    """

    def __init__(self, job_id: int, owner: str) -> None:
        super().__init__(
            f"job {job_id} could not be cancelled: it belongs to {owner!r}, and for another user only an administrator "
            "of its template may do that: let it be cancelled by one of them, or grant the token's user the role Admin "
            "on the template"
        )
        self.owner = owner


class DeleteRefused(TowerDenied):
    """The token may not delete from these inventories, so a host of theirs is kept.

    Remedy: the role Admin on the inventory that the message names.
    """

    def __init__(self, message: str, inventories: frozenset[str]) -> None:
        super().__init__(message)
        self.inventories = inventories


class DeleteRejected(TowerRejected):
    """Tower keeps a host for another reason than a role that is missing. inventories: the host's.

    Remedy: the message has Tower's words.
    """

    def __init__(self, message: str, inventories: frozenset[str]) -> None:
        super().__init__(message)
        self.inventories = inventories


type Kept = DeleteRefused | DeleteRejected


class ChefDenied(Permanent):
    """The Chef server refused the signature, or for lack of permission.

    Remedy: the secret, or the user's rights.
    """


class ChefRejected(Permanent):
    """The Chef server gave an answer that a right request would not get.

    Remedy: the message has Chef's words; `rollcall doctor` checks the URL.
    """


class ChannelRefused(Permanent):
    """PagerDuty or Slack refused a notification.

    Remedy: a right key or webhook in the secret; it is sent again within an hour.
    """


class AwsDenied(Permanent):
    """AWS refused the call: a permission is missing, a policy denies it, or the credentials are not valid.

    Remedy: deploy again, for the role's policy is the template's; look for policies of your organization that deny.
    """


class AwsRejected(Permanent):
    """AWS calls a request wrong: what it names is not there any more, or has a form that AWS does not take.

    Remedy: the message has AWS's words. Make again what was deleted; anything else is a mistake of Rollcall's: report
    it.
    """


class InstancesRefused(AwsRejected):
    """AWS refused a call for some of the instances that it was about, and so answered for none of them.

    by_id: why, by instance id. For the others the call can be made again without these.

    Remedy: the message names the instances, and AWS's words about each.
    """

    def __init__(self, by_id: Mapping[str, AwsRejected]) -> None:
        super().__init__(f"AWS refused {len(by_id)} of the instances of one call, so for the others it is made again")
        self.by_id = by_id
