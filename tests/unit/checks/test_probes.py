"""The checks of a gate, against listeners on this machine."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import create_server
from typing import TYPE_CHECKING

import pytest

from rollcall.checks.ec2 import Ec2
from rollcall.checks.evaluation import evaluate
from rollcall.checks.http import Http
from rollcall.checks.job import JobCheck
from rollcall.checks.probes import NO_TIME, PROBED_UNTIL, PROBING_TIME, Probes
from rollcall.checks.protocol import Context, Fail, Pass, Subject
from rollcall.checks.tcp import Tcp
from rollcall.domain.groups import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rollcall.checks.protocol import Answer, Check
    from unit.world import World

HERE = "127.0.0.1"
EC2 = Ec2()


class Answers(BaseHTTPRequestHandler):
    """Answers with the status in the path; remembers what it was asked."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = int(self.path.strip("/").split("/")[-1])
        self.send_response(status)
        if status in range(300, 400):
            self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class names it


@contextmanager
def serving() -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []
    server = HTTPServer((HERE, 0), type("Handler", (Answers,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def listen() -> Iterator[Callable[[], int]]:
    """Opens a port on this machine that takes connections and says nothing."""
    with ExitStack() as stack:
        yield lambda: int(stack.enter_context(create_server((HERE, 0))).getsockname()[1])


@pytest.fixture
def web(listen: object) -> Iterator[tuple[int, list[str]]]:
    """A web server on this machine: its port, and the paths it was asked for."""
    with serving() as made:
        yield made


@contextmanager
def silent() -> Iterator[int]:
    """A port on this machine that takes connections and never says anything."""
    with create_server((HERE, 0)) as server:
        yield server.getsockname()[1]


def checked(
    world: World, probes: Probes, checks: Sequence[Check], addresses: Mapping[str, str]
) -> dict[str, list[Answer]]:
    """What the checks answer of each instance, in their order."""
    subjects = [Subject(instance_id, address, held_by_hook=True) for instance_id, address in addresses.items()]
    answers = evaluate(checks, subjects, {}, Context(world.fleet, Group("web", {}, {})), probes)
    assert all(list(own) == [str(check) for check in checks] for own in answers.values())
    return {instance_id: list(own.values()) for instance_id, own in answers.items()}


def failing(world: World, *checks: Check) -> list[str]:
    """Why the checks fail that do, each with how the tag spells it; all others pass."""
    answers = checked(world, Probes(), checks, {"i-a": HERE})["i-a"]
    assert all(isinstance(each, Pass | Fail) for each in answers)
    return [f"{check}: {each.reason}" for check, each in zip(checks, answers, strict=True) if isinstance(each, Fail)]


def test_an_open_port_passes(world: World, listen: Callable[[], int]) -> None:
    assert failing(world, Tcp(listen())) == []


def test_a_closed_port_does_not_pass_and_is_named(world: World, listen: Callable[[], int]) -> None:
    with create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
    [trouble] = failing(world, Tcp(port))
    assert trouble.startswith(f"tcp:{port}: ConnectionRefusedError")


@pytest.mark.parametrize("status", [200, 204, 299])
def test_an_answer_of_success_passes(world: World, web: tuple[int, list[str]], status: int) -> None:
    port, asked = web
    assert failing(world, Http(port, f"/health/{status}")) == []
    assert asked == [f"/health/{status}"]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_any_other_answer_does_not_pass(world: World, web: tuple[int, list[str]], status: int) -> None:
    port, _ = web
    assert failing(world, Http(port, f"/{status}")) == [f"http:{port}/{status}: answered {status}"]


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_not_followed(world: World, web: tuple[int, list[str]], status: int) -> None:
    port, asked = web
    assert failing(world, Http(port, f"/{status}")) == [f"http:{port}/{status}: answered {status}"]
    assert asked == [f"/{status}"]


def test_a_server_that_hangs_up_does_not_pass(world: World, listen: Callable[[], int]) -> None:
    with create_server((HERE, 0)) as server:
        hang_up = threading.Thread(target=lambda: server.accept()[0].close())
        hang_up.start()
        [trouble] = failing(world, Http(server.getsockname()[1], "/"))
        hang_up.join()
    assert "http:" in trouble


def test_both_status_checks_of_ec2_must_have_passed(world: World) -> None:
    world.fleet.passing = {"i-a"}
    answers = checked(world, Probes(), [EC2], {"i-a": HERE, "i-b": HERE})
    assert answers == {"i-a": [Pass()], "i-b": [Fail("its status checks have not both passed")]}


def test_ec2_is_not_asked_when_nobody_wants_to_know(world: World) -> None:
    world.fleet.failing["passing_status_checks"] = AssertionError("asked")  # type: ignore[assignment]
    assert failing(world, JobCheck()) == []


def test_every_instance_is_checked_at_its_own_address(world: World, listen: Callable[[], int]) -> None:
    port = listen()
    check = Tcp(port)
    addresses = {"i-a": HERE, "i-b": "127.0.0.2"}
    answers = checked(world, Probes(), [check], addresses)
    assert answers["i-a"] == [Pass()]
    assert [type(each) for each in answers["i-b"]] == [Fail]


def test_every_check_that_does_not_pass_is_named(world: World, web: tuple[int, list[str]]) -> None:
    port, _ = web
    checks: list[Check] = [Http(port, "/500"), EC2, Http(port, "/200"), Tcp(port)]
    assert {each.split(":")[0] for each in failing(world, *checks)} == {"http", "ec2"}


def test_probes_that_there_was_no_time_for_are_no_evidence(world: World, listen: Callable[[], int]) -> None:
    check = Tcp(listen())
    assert checked(world, Probes(seconds=0), [check], {"i-a": HERE}) == {"i-a": [NO_TIME]}
    assert NO_TIME.reason == "there was no time to try it"


def test_all_probes_of_an_invocation_share_one_deadline(world: World, listen: Callable[[], int]) -> None:
    with silent() as port:  # takes connections, and never answers
        probes = Probes(seconds=0.5)
        slow = checked(world, probes, [Http(port, "/")], {"i-a": HERE})
        quick = checked(world, probes, [Tcp(listen())], {"i-b": HERE})
        probes.close()
    assert [slow["i-a"], quick["i-b"]] == [[NO_TIME], [NO_TIME]]


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The machine's clock, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr("rollcall.checks.probes.time.monotonic", lambda: now[0])
    return now


def is_tried(probes: Probes) -> bool:
    return probes.answers([Pass]) == [Pass()]


def test_their_time_begins_with_the_first_that_is_asked_for(ticks: list[float]) -> None:
    probes = Probes()
    ticks[0] += PROBING_TIME + 1  # Tower was slow
    assert probes.answers([]) == []
    ticks[0] += PROBING_TIME + 1
    assert is_tried(probes)
    ticks[0] += PROBING_TIME - 1
    assert is_tried(probes)
    ticks[0] += 1
    assert not is_tried(probes)
    probes.close()


def test_however_late_the_first_is_asked_for_the_invocation_ends_in_time(ticks: list[float]) -> None:
    probes = Probes()
    ticks[0] += PROBED_UNTIL - 1
    assert is_tried(probes)
    ticks[0] += 1
    assert not is_tried(probes)
    probes.close()


def test_an_address_that_cannot_be_encoded_does_not_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: tuple[str, int], timeout: float) -> None:
        address[0].encode("idna")

    monkeypatch.setattr("rollcall.checks.tcp.socket.create_connection", refuse)
    [answer] = checked(world, Probes(), [Tcp(22)], {"i-a": "x" * 64 + ".internal"})["i-a"]
    assert isinstance(answer, Fail)
    assert answer.reason.startswith("UnicodeEncodeError")
