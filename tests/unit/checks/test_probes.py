"""The checks of a gate, against listeners on this machine."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import create_server
from typing import TYPE_CHECKING

import pytest

from rollcall.checks.probes import PROBED_UNTIL, PROBING_TIME, Probes, checked
from rollcall.domain.groups import Check, CheckKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unit.world import World

HERE = "127.0.0.1"
EC2 = Check(CheckKind.EC2)


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


def failing(world: World, *checks: Check) -> list[str]:
    health = checked(world.fleet, Probes(), checks, {"i-a": HERE})["i-a"]
    assert not health.blocked
    return list(health.failing)


def test_an_open_port_passes(world: World, listen: Callable[[], int]) -> None:
    assert failing(world, Check(CheckKind.TCP, listen())) == []


def test_a_closed_port_does_not_pass_and_is_named(world: World, listen: Callable[[], int]) -> None:
    with create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
    [trouble] = failing(world, Check(CheckKind.TCP, port))
    assert trouble.startswith(f"tcp:{port}: ConnectionRefusedError")


@pytest.mark.parametrize("status", [200, 204, 299])
def test_an_answer_of_success_passes(world: World, web: tuple[int, list[str]], status: int) -> None:
    port, asked = web
    assert failing(world, Check(CheckKind.HTTP, port, f"/health/{status}")) == []
    assert asked == [f"/health/{status}"]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_any_other_answer_does_not_pass(world: World, web: tuple[int, list[str]], status: int) -> None:
    port, _ = web
    assert failing(world, Check(CheckKind.HTTP, port, f"/{status}")) == [f"http:{port}/{status}: answered {status}"]


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_not_followed(world: World, web: tuple[int, list[str]], status: int) -> None:
    port, asked = web
    assert failing(world, Check(CheckKind.HTTP, port, f"/{status}")) == [f"http:{port}/{status}: answered {status}"]
    assert asked == [f"/{status}"]


def test_a_server_that_hangs_up_does_not_pass(world: World, listen: Callable[[], int]) -> None:
    with create_server((HERE, 0)) as server:
        hang_up = threading.Thread(target=lambda: server.accept()[0].close())
        hang_up.start()
        [trouble] = failing(world, Check(CheckKind.HTTP, server.getsockname()[1], "/"))
        hang_up.join()
    assert "http:" in trouble


def test_both_status_checks_of_ec2_must_have_passed(world: World) -> None:
    world.fleet.passing = {"i-a"}
    health = checked(world.fleet, Probes(), [EC2], {"i-a": HERE, "i-b": HERE})
    assert health["i-a"].failing == ()
    assert health["i-b"].failing == ("ec2: its status checks have not both passed",)


def test_ec2_is_not_asked_when_nobody_wants_to_know(world: World) -> None:
    world.fleet.failing["passing_status_checks"] = AssertionError("asked")  # type: ignore[assignment]
    assert failing(world, Check(CheckKind.JOB)) == []


def test_every_instance_is_checked_at_its_own_address(world: World, listen: Callable[[], int]) -> None:
    port = listen()
    check = Check(CheckKind.TCP, port)
    addresses = {"i-a": HERE, "i-b": "127.0.0.2"}
    health = checked(world.fleet, Probes(), [check], addresses)
    assert health["i-a"].failing == ()
    assert len(health["i-b"].failing) == 1


def test_every_check_that_does_not_pass_is_named(world: World, web: tuple[int, list[str]]) -> None:
    port, _ = web
    checks = [Check(CheckKind.HTTP, port, "/500"), EC2, Check(CheckKind.HTTP, port, "/200"), Check(CheckKind.TCP, port)]
    assert {each.split(":")[0] for each in failing(world, *checks)} == {"http", "ec2"}


def test_probes_that_there_was_no_time_for_are_no_evidence(world: World, listen: Callable[[], int]) -> None:
    check = Check(CheckKind.TCP, listen())
    health = checked(world.fleet, Probes(seconds=0), [check], {"i-a": HERE})
    assert health["i-a"].failing == ()
    assert health["i-a"].blocked == (f"{check}: there was no time to try it",)


def test_all_probes_of_an_invocation_share_one_deadline(world: World, listen: Callable[[], int]) -> None:
    with silent() as port:  # takes connections, and never answers
        probes = Probes(seconds=0.5)
        slow = checked(world.fleet, probes, [Check(CheckKind.HTTP, port, "/")], {"i-a": HERE})
        quick = checked(world.fleet, probes, [Check(CheckKind.TCP, listen())], {"i-b": HERE})
        probes.close()
    assert [len(slow["i-a"].blocked), len(quick["i-b"].blocked)] == [1, 1]


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The machine's clock, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr("rollcall.checks.probes.time.monotonic", lambda: now[0])
    return now


def is_tried(probes: Probes, port: int) -> bool:
    return probes.ask([(HERE, Check(CheckKind.TCP, port))]) == [""]


def test_their_time_begins_with_the_first_that_is_asked_for(listen: Callable[[], int], ticks: list[float]) -> None:
    port, probes = listen(), Probes()
    ticks[0] += PROBING_TIME + 1  # Tower was slow
    assert probes.ask([]) == []
    ticks[0] += PROBING_TIME + 1
    assert is_tried(probes, port)
    ticks[0] += PROBING_TIME - 1
    assert is_tried(probes, port)
    ticks[0] += 1
    assert not is_tried(probes, port)
    probes.close()


def test_however_late_the_first_is_asked_for_the_invocation_ends_in_time(
    listen: Callable[[], int], ticks: list[float]
) -> None:
    port, probes = listen(), Probes()
    ticks[0] += PROBED_UNTIL - 1
    assert is_tried(probes, port)
    ticks[0] += 1
    assert not is_tried(probes, port)
    probes.close()


def test_an_address_that_cannot_be_encoded_does_not_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: tuple[str, int], timeout: float) -> None:
        address[0].encode("idna")

    monkeypatch.setattr("rollcall.checks.probes.socket.create_connection", refuse)
    health = checked(world.fleet, Probes(), [Check(CheckKind.TCP, 22)], {"i-a": "x" * 64 + ".internal"})
    assert "tcp:22: UnicodeEncodeError" in health["i-a"].failing[0]
