"""Tower as the operators' commands reach it: by the stack's parameters, with its secret or a token of one's own."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from rollcall.domain.errors import AwsDenied, BadSettings, RollcallError, TowerDenied, TowerRejected, TowerUnavailable
from rollcall_cli import tower as cli_tower
from rollcall_cli.tower import CA_VARIABLE, TOKEN_VARIABLE, remedy_of, tower_of
from unit.wire import Wire

STACK = {"TowerUrl": "https://tower.example.com", "TowerSecretArn": "arn:secret"}


def hold(monkeypatch: pytest.MonkeyPatch, text: str | RollcallError) -> None:
    """Let the stack's secret hold this text, or let it not be read."""

    def secret_text(secret: str, *, refresh: bool) -> str:
        assert secret == "arn:secret"
        if isinstance(text, RollcallError):
            raise text
        return text

    monkeypatch.setattr(cli_tower, "secret_text", secret_text)


def test_the_stack_names_tower_and_the_secret(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    hold(monkeypatch, '{"token": "s3cret"}')
    wire.then(200, {"version": "24.6.1"})
    assert tower_of(STACK, {}).version() == "24.6.1"
    assert wire.asked[0].headers["Authorization"] == "Bearer s3cret"


def test_a_token_of_ones_own_needs_no_secret(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    hold(monkeypatch, AwsDenied("AWS refused secret arn:secret"))
    wire.then(200, {"version": "24.6.1"})
    own = {TOKEN_VARIABLE: "mine\n", CA_VARIABLE: certifi.where()}
    assert tower_of(STACK, own).version() == "24.6.1"
    assert wire.asked[0].headers["Authorization"] == "Bearer mine"
    assert Path(str(wire.asked[0].trusting)).read_text() == Path(certifi.where()).read_text()


def test_a_secret_that_may_not_be_read_is_no_error_before_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    hold(monkeypatch, AwsDenied("AWS refused secret arn:secret"))
    tower = tower_of(STACK, {})
    with pytest.raises(AwsDenied, match="refused secret") as caught:
        tower.version()
    assert TOKEN_VARIABLE in remedy_of(caught.value)
    assert "secretsmanager:GetSecretValue" in remedy_of(caught.value)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({TOKEN_VARIABLE: "two words"}, TOKEN_VARIABLE),
        ({TOKEN_VARIABLE: "mine", CA_VARIABLE: "/nowhere.pem"}, CA_VARIABLE),
        ({TOKEN_VARIABLE: "mine", CA_VARIABLE: __file__}, "ca_bundle"),
    ],
)
def test_what_of_ones_own_cannot_be_used_is_named(own: dict[str, str], words: str) -> None:
    with pytest.raises(BadSettings, match=words) as caught:
        tower_of(STACK, own).version()
    assert "two words" not in str(caught.value)


def test_who_cannot_reach_tower_learns_from_where_to_try() -> None:
    assert "VPN" in remedy_of(TowerUnavailable("no answer"))
    assert remedy_of(TowerRejected("its own words say it")) == ""


def test_a_token_of_ones_own_that_is_refused_is_not_the_secrets() -> None:
    assert remedy_of(TowerDenied("no"), {}) == ""
    assert TOKEN_VARIABLE in remedy_of(TowerDenied("no"), {TOKEN_VARIABLE: "mine"})
