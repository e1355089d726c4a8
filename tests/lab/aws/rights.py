"""What functions use of what their roles allow: each call is judged as AWS would, and refused where AWS would.

A function is watched from the moment that a test says so. Whose call it is says the last entry of its trace header's
Lineage. Resource policies (of queues, keys) are not asked: what a role's policies do not allow is refused.

Source: IAM user guide ("Policy evaluation logic") and Amazon EC2 user guide ("Unauthorized operation": the error and
that its words are encoded, which the lab leaves plain).
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from lab.aws import ministack as cloud
from lab.aws import ministack_images as kept
from lab.aws.authorizations import ANY, LEVELLESS, Need, ec2_arn, needs, scope_of
from lab.aws.calls import Refusal, action_of, denial, service_of
from lab.aws.control import Grant, Use
from lab.aws.images import Images
from lab.aws.ministack import Scope
from lab.aws.recursion import function_key, last_function

TRACE_HEADER = "x-amzn-trace-id"


class Answer(NamedTuple):
    """What a call is answered with."""

    status: int
    content_type: str
    body: bytes


@dataclass
class Watched:
    """A function whose calls are judged. enforced: whether those that are not allowed are refused."""

    name: str
    role: str
    enforced: bool
    uses: dict[Use, None] = field(default_factory=dict)


class Rights:
    """Judges the calls of functions that are watched."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._watched: dict[str, Watched] = {}  # by what stands for a function in a Lineage
        self._caller: ContextVar[tuple[Watched, Scope] | None] = ContextVar("caller", default=None)

    def watch(self, name: str, *, enforced: bool) -> bool:
        """Judge a function's calls from now on; whether there is such a function in the lab's own account."""
        found = kept.functions().get(name)
        if found is None:
            return False
        arn, role = found
        self._watched[function_key(arn)] = Watched(name, role, enforced)
        return True

    def leave(self) -> None:
        """Judge no calls any more."""
        self._watched.clear()

    def watched(self) -> list[str]:
        """Return the names of the functions whose calls are judged."""
        return [each.name for each in self._watched.values()]

    def uses(self) -> dict[str, list[Use]]:
        """Return what functions that are watched have used, or would have, by their names."""
        return {each.name: list(each.uses) for each in self._watched.values()}

    def grants(self) -> dict[str, list[Grant]]:
        """Return what the roles of functions that are watched allow, by the functions' names."""
        scope = cloud.current_scope()
        return {
            each.name: [
                Grant(statement.sid, action)
                for policy in kept.role_statements(each.role, scope)
                for statement in policy
                if statement.effect == "Allow"
                for action in statement.actions
            ]
            for each in self._watched.values()
        }

    def take(self, headers: Mapping[str, str], body: bytes, path: str) -> Refusal | None:
        """Judge a call; return what it is refused with, None if it may pass. Header names in lower case."""
        watched = self._watched.get(last_function(headers.get(TRACE_HEADER)))
        service, action = service_of(headers), action_of(headers, body)
        if service == "lambda" and path.endswith("/invocations"):
            action = "Invoke"
        if watched is None or not service or not action:
            return None
        scope = scope_of(headers)
        self._caller.set((watched, scope))
        with cloud.within(scope):
            judged = [self._judge(watched, scope, each) for each in needs(service, action, body, path, self._images)]
        refused = next((each for each in judged if not each.allowed), None)
        if refused is None or not watched.enforced:
            return None
        return denial(service, refused.action, headers, refused.resource)

    def identity(self, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """Return what a function hears that asks who it is: a session of its role's; None for any other call."""
        if service_of(headers) != "sts" or action_of(headers, body) != "GetCallerIdentity":
            return None
        key, scope = last_function(headers.get(TRACE_HEADER)), scope_of(headers)
        with cloud.within(scope):
            names = {function_key(arn): (name, role) for name, (arn, role) in kept.functions().items()}
        if key not in names:
            return None
        name, role = names[key]
        result = f"<Arn>arn:aws:sts::{scope.account}:assumed-role/{role}/{name}</Arn><Account>{scope.account}</Account>"
        answer = f"<GetCallerIdentityResult>{result}<UserId>{role}:{name}</UserId></GetCallerIdentityResult>"
        return Answer(200, "text/xml", f"<GetCallerIdentityResponse>{answer}</GetCallerIdentityResponse>".encode())

    def may_delete_snapshot(self, snapshot_id: str) -> bool:
        """Whether the caller of now may delete a snapshot; one whose calls are not judged may."""
        caller = self._caller.get()
        if caller is None:
            return True
        watched, scope = caller
        tags = {f"{key}/{name}".lower(): value for name, value in kept.tags(snapshot_id).items() for key in TAG_KEYS}
        need = Need("ec2:DeleteSnapshot", ec2_arn("snapshot", snapshot_id), {}, tags)
        return self._judge(watched, scope, need).allowed or not watched.enforced

    def _judge(self, watched: Watched, scope: Scope, need: Need) -> Use:
        statements = kept.role_statements(watched.role, scope)
        if need.resource == LEVELLESS:
            allowed, sid = _names(statements, need.action)
        else:
            context = {name.lower(): value for name, value in need.context.items()}
            asked: dict[str, Any] = {
                "action": need.action,
                "resource": need.resource,
                "request_tags": dict(need.request_tags),
                "context": context,
            }
            allowed, sid = kept.judge(statements, asked, scope)
        use = Use(need.action, need.resource or ANY, allowed, sid)
        watched.uses[use] = None
        return use


TAG_KEYS = ("aws:ResourceTag", "ec2:ResourceTag")


def _names(statements: list[list[Any]], action: str) -> tuple[bool, str]:
    """Whether an action is allowed on anything, and by which statement."""
    for statement in (each for policy in statements for each in policy):
        if statement.effect == "Allow" and any(fnmatchcase(action.lower(), each.lower()) for each in statement.actions):
            return True, statement.sid
    return False, ""
