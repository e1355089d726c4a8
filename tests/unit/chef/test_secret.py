"""What the secret of a Chef server may hold, and that nothing secret of it is logged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollcall.chef.client import read_chef_credentials
from rollcall.domain.errors import BadSettings

PEM = (Path(__file__).parent / "signatures" / "key.pem").read_text()


@pytest.mark.parametrize(
    "url",
    [
        "https://rollcall:hush@chef.example.com/organizations/acme",
        "https://:hush@chef.example.com/organizations/acme",
        "http://rollcall:hush@chef.example.com/organizations/acme",
        "ftp://rollcall:hush@chef.example.com",
        "rollcall:hush@chef.example.com/organizations/acme",
        "https://rollcall:hush%40chef.example.com/organizations/acme",
        "https://rollcall:hush\uff20chef.example.com/organizations/acme",
        "https://rollcall:hush/organizations/acme",
        "http://chef.example.com/hush?x/organizations/acme",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    text = json.dumps({"organization_url": url, "user": "rollcall", "key": PEM})
    with pytest.raises(BadSettings, match="organization_url in secret chef") as refused:
        read_chef_credentials(text, "chef")
    assert "hush" not in str(refused.value)
