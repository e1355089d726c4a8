"""The Chef client against a server that believes nothing unsigned: the embedded one, lab.chef."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from lab.chef import TIME_SKEW, USER, ChefServer
from rollcall.chef.client import NAMES_PER_SEARCH, Chef, ChefCredentials, read_chef_credentials
from rollcall.chef.signature import Signature, read_key
from rollcall.domain.chef_nodes import Node
from rollcall.domain.errors import BadSettings, ChefDenied, ChefRejected, ChefUnavailable

WEB = "i-0123456789abcdef0"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:chef"
INVOCATION = 110.0  # seconds
EC2 = {"instance_id": WEB, "account_id": "123456789012", "region": "us-east-1"}


@pytest.fixture
def server() -> ChefServer:
    """A server with one machine bootstrapped."""
    server = ChefServer()
    server.bootstrap(WEB, ec2=EC2, ohai_time=1_800_000_000.5)
    return server


@pytest.fixture
def url(server: ChefServer) -> Iterator[str]:
    """Where it listens: its organization's URL."""
    with server.serve() as url:
        yield url


@pytest.fixture
def chef(server: ChefServer, url: str) -> Chef:
    """The client under test; each fresh look into the secret finds the user's present key."""
    return Chef(lambda refresh: read_chef_credentials(server.secret(url), SECRET))


def asked(server: ChefServer) -> list[tuple[str, int | None]]:
    """Method and status of every request."""
    return [(each.method, each.status) for each in server.requests()]


# What is asked


def test_a_node_and_its_client_are_deleted_each_for_itself(server: ChefServer, chef: Chef) -> None:
    assert chef.delete_client(WEB)
    assert server.holds(WEB) == (True, False)
    assert chef.delete_node(WEB)
    assert server.holds(WEB) == (False, False)


def test_what_is_gone_already_is_an_answer(server: ChefServer, chef: Chef) -> None:
    assert not chef.delete_node("i-gone")
    assert not chef.delete_client("i-gone")
    assert server.holds(WEB) == (True, True)


def test_all_nodes_are_listed_in_one_call(server: ChefServer, chef: Chef) -> None:
    server.bootstrap(*(f"i-{number}" for number in range(2000)))
    assert len(chef.node_names()) == 2001
    assert asked(server) == [("GET", 200)]


def test_a_node_says_which_instance_it_is_on_and_when_it_last_reported(chef: Chef) -> None:
    assert chef.nodes([WEB]) == {WEB: Node(WEB, WEB, "123456789012", "us-east-1", 1_800_000_000.5)}


def test_a_node_on_which_nothing_ever_ran_says_nothing_and_is_there(server: ChefServer, chef: Chef) -> None:
    server.bootstrap("i-a")
    assert chef.nodes(["i-a"]) == {"i-a": Node("i-a")}


def test_a_node_that_says_something_else_than_text_says_nothing(server: ChefServer, chef: Chef) -> None:
    server.bootstrap("i-a", ec2={"instance_id": 7, "account_id": None, "region": ["x"]}, ohai_time="yesterday")
    assert chef.nodes(["i-a"]) == {"i-a": Node("i-a")}


def test_a_node_that_is_gone_or_not_known_to_the_search_is_left_out(server: ChefServer, chef: Chef) -> None:
    server.bootstrap("i-new")
    server.unindexed.add("i-new")
    assert list(chef.nodes([WEB, "i-new", "i-gone"])) == [WEB]


def test_many_nodes_are_looked_at_in_few_calls(server: ChefServer, chef: Chef) -> None:
    names = [f"i-{number:017x}" for number in range(2 * NAMES_PER_SEARCH + 1)]
    server.bootstrap(*names)
    assert chef.nodes(names).keys() == set(names)
    assert asked(server) == [("POST", 200)] * 3


def test_nobody_is_asked_about_no_node(server: ChefServer, chef: Chef) -> None:
    assert chef.nodes([]) == {}
    assert asked(server) == []


def test_a_name_stays_within_its_part_of_the_path(server: ChefServer, chef: Chef) -> None:
    server.bootstrap("x")
    with pytest.raises(ChefRejected):
        chef.delete_client("../nodes/x")
    assert server.holds("x") == (True, True)


# Whom the server believes


@pytest.mark.parametrize(
    "change",
    [
        {"X-Ops-Authorization-1": "A" * 60},
        {"X-Ops-Timestamp": "2026-11-21T12:00:00Z"},
        {"X-Ops-UserId": "mallory"},
        {"X-Ops-Content-Hash": "A" * 44},
        {"X-Ops-Server-API-Version": "0"},
        {"X-Ops-Sign": "algorithm=sha1;version=1.0;"},
        {"X-Ops-Timestamp": None},
    ],
    ids=lambda change: next(iter(change.items())),
)
def test_a_request_that_was_tampered_with_changes_nothing(
    server: ChefServer, url: str, change: dict[str, str | None]
) -> None:
    def tamper(request: requests.PreparedRequest) -> requests.PreparedRequest:
        Signature(USER, read_key(server.key))(request)
        for name, value in change.items():
            request.headers.pop(name)
            if value:
                request.headers[name] = value
        return request

    headers = {"Accept": "application/json", "X-Chef-Version": "18.0.0"}
    assert requests.delete(f"{url}/nodes/{WEB}", auth=tamper, headers=headers, timeout=5).status_code in (400, 401)
    assert server.holds(WEB) == (True, True)
    assert requests.delete(
        f"{url}/nodes/{WEB}", auth=Signature(USER, read_key(server.key)), headers=headers, timeout=5
    ).ok


def test_a_key_that_was_rotated_is_read_afresh(server: ChefServer, chef: Chef) -> None:
    chef.node_names()
    server.rotate_key()
    assert chef.delete_node(WEB)
    assert asked(server)[-2:] == [("DELETE", 401), ("DELETE", 200)]


def test_the_secret_is_read_once_while_the_key_is_right(server: ChefServer, url: str) -> None:
    reads: list[bool] = []

    def credentials(refresh: bool) -> ChefCredentials:
        reads.append(refresh)
        return read_chef_credentials(server.secret(url), SECRET)

    chef = Chef(credentials)
    chef.node_names()
    chef.delete_node(WEB)
    server.rotate_key()
    chef.node_names()
    assert reads == [False, True]


def test_a_key_that_is_not_the_users_is_denied_with_the_remedy_and_asked_no_more(server: ChefServer, url: str) -> None:
    stranger = read_key(ChefServer().key)
    chef = Chef(lambda refresh: ChefCredentials(url, USER, stranger))
    chef.finish_within(INVOCATION)
    for _ in range(3):
        with pytest.raises(ChefDenied, match=r"401.*Invalid signature.*secret that ChefSecretArn names"):
            chef.delete_node(WEB)
    assert asked(server) == [("DELETE", 401)] * 2
    assert server.holds(WEB) == (True, True)


def test_a_user_that_the_server_does_not_know_is_denied(server: ChefServer, url: str) -> None:
    chef = Chef(lambda refresh: ChefCredentials(url, "mallory", read_key(server.key)))
    with pytest.raises(ChefDenied, match="Failed to authenticate as 'mallory'"):
        chef.node_names()


@pytest.mark.parametrize(("skew", "believed"), [(-TIME_SKEW - 5, False), (5 - TIME_SKEW, True), (TIME_SKEW + 5, False)])
def test_a_signature_is_good_for_a_quarter_of_an_hour(skew: int, believed: bool) -> None:
    server = ChefServer(clock=lambda: time.time() + skew)
    with server.serve() as url:
        chef = Chef(lambda refresh: read_chef_credentials(server.secret(url), SECRET))
        if believed:
            assert chef.node_names() == set()
        else:
            with pytest.raises(ChefDenied, match="Synchronize the clock"):
                chef.node_names()


@pytest.mark.parametrize(("kind", "delete"), [("nodes", Chef.delete_node), ("clients", Chef.delete_client)])
def test_a_user_without_the_permission_is_denied_with_the_remedy(
    server: ChefServer, chef: Chef, kind: str, delete: Callable[[Chef, str], bool]
) -> None:
    server.denied.add(kind)
    with pytest.raises(ChefDenied, match=r"403.*missing delete permission.*; let the user"):
        delete(chef, WEB)
    assert server.holds(WEB) == (True, True)


# Trouble


@pytest.mark.parametrize("away", [0, 500, 502, 503])
def test_a_server_that_is_away_is_unavailable_until_it_is_back(server: ChefServer, chef: Chef, away: int) -> None:
    server.away = away
    with pytest.raises(ChefUnavailable):
        chef.delete_node(WEB)
    server.away = None
    assert chef.delete_node(WEB)


def test_what_keeps_turning_us_away_is_asked_no_more_in_this_invocation(server: ChefServer, chef: Chef) -> None:
    chef.finish_within(INVOCATION)
    server.away = 503
    with pytest.raises(ChefUnavailable):
        chef.delete_node(WEB)
    tries = len(server.requests())
    with pytest.raises(ChefUnavailable, match="keeps turning us away"):
        chef.delete_client(WEB)
    assert len(server.requests()) == tries
    server.away = None
    chef.finish_within(INVOCATION)
    assert chef.delete_client(WEB)


def test_without_time_left_nobody_is_asked(server: ChefServer, chef: Chef) -> None:
    chef.finish_within(0)
    with pytest.raises(ChefUnavailable, match="no time left"):
        chef.node_names()
    assert asked(server) == []


@pytest.mark.parametrize("path", ["/organizations/another", "/somewhere/organizations/acme"])
def test_a_url_that_is_not_the_organizations_own_is_told_from_a_node_that_is_gone(
    server: ChefServer, url: str, path: str
) -> None:
    wrong = url.replace("/organizations/acme", path)
    chef = Chef(lambda refresh: ChefCredentials(wrong, USER, read_key(server.key)))
    for ask in (lambda: chef.delete_node(WEB), lambda: chef.nodes([WEB]), chef.node_names):
        with pytest.raises(ChefRejected, match=r"404.*organization_url"):
            ask()


# The secret


@pytest.mark.parametrize("ending", ["", "/", "//"])
def test_a_secret_holds_the_organization_the_user_and_the_key(server: ChefServer, ending: str) -> None:
    read = read_chef_credentials(server.secret(f"https://chef.example.com/organizations/acme{ending}"), SECRET)
    assert (read.organization_url, read.user, read.ca_bundle) == (
        "https://chef.example.com/organizations/acme",
        USER,
        None,
    )
    assert read.key.private_numbers() == read_key(server.key).private_numbers()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"organization_url": None}, "organization_url"),
        ({"organization_url": "https://chef.example.com"}, "HOST/organizations/NAME"),
        ({"organization_url": "https://chef.example.com/organizations/"}, "HOST/organizations/NAME"),
        ({"organization_url": "http://chef.example.com/organizations/acme"}, "use https://"),
        ({"organization_url": "https://[::1"}, "HOST/organizations/NAME"),
        ({"user": ""}, "the user in secret"),
        ({"user": "roll\ncall"}, "the user in secret"),
        ({"key": "s3cret"}, "the key in secret .* is not a private key"),
        ({"ca_bundle": "s3cret"}, "ca_bundle in secret .* is no PEM"),
        ({"ca_bundle": 7}, "ca_bundle in secret .* is no PEM"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_with_what_is_wrong_and_not_shown(
    server: ChefServer, change: dict[str, object], words: str
) -> None:
    held = json.loads(server.secret("https://chef.example.com/organizations/acme")) | change
    with pytest.raises(BadSettings, match=words) as caught:
        read_chef_credentials(json.dumps(held), SECRET)
    assert "s3cret" not in str(caught.value)
    assert SECRET in str(caught.value)


@pytest.mark.parametrize("text", ["", "s3cret", '{"user": "s3cret"}', '["s3cret"]', "7", "null"])
def test_a_secret_of_another_form_is_told_the_right_one(text: str) -> None:
    with pytest.raises(BadSettings, match="is not JSON like") as caught:
        read_chef_credentials(text, SECRET)
    assert "s3cret" not in str(caught.value)


def test_no_credentials_show_their_key(server: ChefServer, url: str) -> None:
    assert "key" not in repr(read_chef_credentials(server.secret(url), SECRET))
