"""Which credentials of a pull secret are for which registry: as the kubelet has it, and never for another host."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.contract.fetching import Endpoint
from algorithm_operator.core.registry import Login
from algorithm_operator.steps.dockerconfig import Keyring, read


def mounted(folder: Path, document: object, name: str = ".dockerconfigjson") -> Keyring:
    folder.mkdir(parents=True, exist_ok=True)
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    (folder / name).write_bytes(text)
    return read({"s": str(folder)})


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "u", "password": "p"}, ("u", "p")),
        ({"auth": basic("u", "p:q")}, ("u", "p:q")),
        ({"auth": basic("u", "p"), "username": "x", "password": "y"}, ("u", "p")),
        ({"auth": "%"}, None),
        ({"username": "u"}, None),
        ({"username": 5, "password": "p"}, None),
        ({"identitytoken": "t"}, None),
        ("text", None),
    ],
)
def test_the_forms_of_an_entry(tmp_path: Path, entry: Any, expected: tuple[str, str] | None) -> None:
    keyring = mounted(tmp_path, {"auths": {"r.example": entry}})
    found = [
        (login.user, login.password) for login in keyring.logins(Endpoint(host="r.example", repository="a"))
    ]
    assert found == ([expected] if expected else [])
    assert keyring.unusable == ([] if expected else ["s"])


def test_the_old_form_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "opaque").mkdir()
    (tmp_path / "opaque" / "password").write_text("x")
    (tmp_path / "opaque" / "..data").mkdir()
    mounted(tmp_path / "old", {"r.example": {"username": "u", "password": "p"}}, ".dockercfg")
    folders = {name: str(tmp_path / name) for name in ("old", "empty", "opaque", "gone")}
    keyring = read(folders)
    assert [login.secret for login in keyring.logins(Endpoint(host="r.example", repository="a"))] == ["old"]
    assert (keyring.missing, keyring.unusable) == (["empty", "gone"], ["opaque"])


HUB = "registry-1.docker.io"


@pytest.mark.parametrize(
    ("key", "host", "repository", "matches"),
    [
        ("r.example", "r.example", "a/b", True),
        ("https://r.example/v2/", "r.example", "a", True),
        ("r.example", "r.example.evil", "a", False),
        ("r.example", "evil-r.example", "a", False),
        ("r.example", "sub.r.example", "a", False),
        ("r.example", "r.example:5000", "a", False),
        ("r.example:5000", "r.example:5000", "a", True),
        ("*.example", "r.example", "a", True),
        ("*.example", "a.r.example", "a", False),
        ("r.example/team", "r.example", "team/algo", True),
        ("r.example/team", "r.example", "teams/algo", False),
        ("https://index.docker.io/v1/", HUB, "library/busybox", True),
        ("docker.io", HUB, "library/busybox", True),
        ("docker.io", "r.example", "library/busybox", False),
        ("", "r.example", "a", False),
    ],
)
def test_whom_a_key_is_for(tmp_path: Path, key: str, host: str, repository: str, matches: bool) -> None:
    keyring = mounted(tmp_path, {"auths": {key: {"username": "u", "password": "p"}}})
    assert bool(keyring.logins(Endpoint(host=host, repository=repository))) is matches


def test_the_most_specific_comes_first(tmp_path: Path) -> None:
    keys = ["r.example", "r.example/team/algo", "r.example/team"]
    auths = {key: {"username": key, "password": "p"} for key in keys}
    found = mounted(tmp_path, {"auths": auths}).logins(Endpoint(host="r.example", repository="team/algo"))
    assert [login.user for login in found] == ["r.example/team/algo", "r.example/team", "r.example"]


def test_credentials_are_not_printed(tmp_path: Path) -> None:
    keyring = mounted(tmp_path, {"auths": {"r.example": {"username": "me", "password": "hunter2"}}})
    (login,) = keyring.logins(Endpoint(host="r.example", repository="a"))
    assert isinstance(login, Login)
    assert "hunter2" not in repr(keyring) + repr(login)
    assert login.basic not in repr(login)


@given(
    data=st.one_of(
        st.binary(max_size=100),
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda x: (
                st.lists(x)
                | st.dictionaries(st.sampled_from(["auths", "r.example", "auth", "username", "password"]), x)
            ),
            max_leaves=6,
        ),
    )
)
def test_whatever_a_secret_holds(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    keyring = mounted(tmp_path_factory.mktemp("secret"), data)
    keyring.logins(Endpoint(host="r.example", repository="a"))
    assert keyring.missing == []
