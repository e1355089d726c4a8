"""The API calls that Lambda functions make: counted; refused, or their caller's last, where a test asks for it.

A call is a function's if it carries a trace header: the SDK adds one wherever it runs inside an invocation ("Use
Lambda recursive loop detection"), and nowhere else, so neither sam nor the lab's own clients count. Every try is a
call of its own, also one that is refused.
"""

import json
import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from lab.aws.recursion import last_function

TRACE_HEADER = "x-amzn-trace-id"
RATE_EXCEEDED = "Rate exceeded"
NOT_AUTHORIZED = "You are not authorized to perform this operation."


@dataclass(frozen=True)
class Refusal:
    """An error in the protocol of a service."""

    status: int
    content_type: str
    body: bytes


@dataclass
class Denials:
    """Refuses each call, or only the one of this number, as what the function may not do."""

    only: int | None
    calls: int = 0

    def refuses(self) -> bool:
        """Count a call and return whether it is one to refuse."""
        self.calls += 1
        return self.only in (None, self.calls)


@dataclass
class Throttle:
    """Refuses each `every`-th call, as one too many."""

    every: int
    calls: int = 0

    def refuses(self) -> bool:
        """Count a call and return whether it is one to refuse."""
        self.calls += 1
        return self.calls % self.every == 0


DRY_RUN = b"&DryRun=true"
"""In a request to EC2 that does nothing."""


@dataclass
class Death:
    """The calls of these numbers get no answer: they are a function's last, and are done before its end, or are not.

    function: whose process ends; empty where the answer alone is lost. after: whether the calls are done. key: the
    function's in a Lineage; empty where calls of any count.
    """

    function: str
    numbers: Collection[int]
    after: bool
    key: str = ""
    calls: int = 0

    def comes(self) -> bool:
        """Count a call and return whether it is one of them."""
        self.calls += 1
        return self.calls in self.numbers


@dataclass
class Refused:
    """The next calls get this error."""

    code: str
    words: str
    calls: int


class Calls:
    """Counts the calls of functions by API action, "autoscaling:CompleteLifecycleAction", and refuses some."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._denials: dict[str, Denials] = {}
        self._throttles: dict[str, Throttle] = {}
        self._deaths: dict[str, Death] = {}
        self._refused: dict[str, Refused] = {}

    def kill(self, function: str, action: str, numbers: Collection[int], *, after: bool, key: str = "") -> None:
        """Let a function (its name) die of its calls of these numbers of an action, counted from now on.

        key: what stands for it in a Lineage. Without a name only answers are lost, of whoever calls.
        """
        self._deaths[action] = Death(function, numbers, after, key)

    def refuse(self, action: str, code: str, words: str, calls: int) -> None:
        """Refuse the next calls of an action with an error of this code."""
        self._refused[action] = Refused(code, words, calls)

    def spare(self) -> None:
        """Let no function die of a call any more, and no call be refused that is to be once or twice."""
        self._deaths.clear()
        self._refused.clear()

    def faults(self) -> list[str]:
        """Return the actions that calls are refused of, or are a function's last or unheard, because a test says so."""
        left = [action for action, refused in self._refused.items() if refused.calls > 0]
        return sorted({*self._denials, *self._throttles, *self._deaths, *left})

    def throttle(self, action: str | None, every: int) -> None:
        """Refuse each `every`-th call of an action from now on; None refuses none of any action."""
        if action is None:
            self._throttles.clear()
        else:
            self._throttles[action] = Throttle(every)

    def deny(self, action: str | None, only: int | None) -> None:
        """Deny the calls of an action from now on, or only the one of this number; None denies none of any action."""
        if action is None:
            self._denials.clear()
        else:
            self._denials[action] = Denials(only)

    def take(self, headers: Mapping[str, str], body: bytes) -> Refusal | None:
        """Count a function's call; return what it is refused with, None if it may pass. Header names in lower case."""
        service, action = service_of(headers), action_of(headers, body)
        if not service or not action:
            return None
        name = f"{service}:{action}"
        self.counts[name] += 1
        refused = self._refused.get(name)
        if refused and refused.calls > 0:
            refused.calls -= 1
            return _refusal(service, headers, 400, (refused.code, refused.code), refused.words)
        denials, throttle = self._denials.get(name), self._throttles.get(name)
        if denials and denials.refuses():
            return denial(service, name, headers)
        if throttle and throttle.refuses():
            return _refusal(service, headers, 400, ("ThrottlingException", "Throttling"), RATE_EXCEEDED)
        return None

    def death(self, headers: Mapping[str, str], body: bytes) -> Death | None:
        """Return what a function's call that may pass is to be its end by, if it is. No dry run is."""
        if DRY_RUN in body:
            return None
        death = self._deaths.get(f"{service_of(headers)}:{action_of(headers, body)}")
        if death and death.key and death.key != last_function(headers.get(TRACE_HEADER)):
            return None
        return death if death and death.comes() else None


def service_of(headers: Mapping[str, str]) -> str:
    """Return the service that a request is signed for, "" without a signature (Signature Version 4's scope)."""
    _, _, credential = headers.get("authorization", "").partition("Credential=")
    scope = credential.partition(",")[0].split("/")  # key/date/region/service/aws4_request
    return scope[3] if len(scope) == 5 else ""


def action_of(headers: Mapping[str, str], body: bytes) -> str:
    """Return the action of a request in a JSON or query protocol, "" in any other."""
    if target := headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return ""
    (action,) = parse_qs(body.decode(errors="replace")).get("Action", [""])
    return action


def denial(service: str, action: str, headers: Mapping[str, str], resource: str = "") -> Refusal:
    """Return the error for what a caller may not do. resource: an ARN, where it is about one."""
    about = f"{action} on resource: {resource}" if resource else action
    if service == "ec2":
        words = f"{NOT_AUTHORIZED} User is not authorized to perform: {about}" if resource else NOT_AUTHORIZED
        return _refusal(service, headers, 403, ("", "UnauthorizedOperation"), words)
    words = f"User is not authorized to perform: {about}"
    return _refusal(
        service, headers, 400 if "x-amz-target" in headers else 403, ("AccessDeniedException", "AccessDenied"), words
    )


def _refusal(service: str, headers: Mapping[str, str], status: int, codes: tuple[str, str], message: str) -> Refusal:
    """An error in the service's protocol; codes: as JSON and as XML services name it."""
    if "x-amz-target" in headers:
        answer = json.dumps({"__type": codes[0], "message": message})
        return Refusal(status, headers.get("content-type", "application/x-amz-json-1.0"), answer.encode())
    error = f"<Code>{codes[1]}</Code><Message>{message}</Message>"
    request = str(uuid.uuid4())
    if service == "ec2":
        answer = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request}</RequestID></Response>"
    else:
        answer = (
            f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>{request}</RequestId></ErrorResponse>"
        )
    return Refusal(status, "text/xml", answer.encode())
