"""The course of a look-up, and the exchange with a registry, whatever is answered. No registry is asked here."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.api.algorithm import ResolvedImage, ResolvedModel
from algorithm_operator.api.text import shown
from algorithm_operator.contract.fetching import Endpoint, FetchReport, Order, Outcome
from algorithm_operator.core.inspection import Ask, ImageError, What, first, follow, refused, subject
from algorithm_operator.core.reference import parse
from algorithm_operator.core.registry import (
    Login,
    RegistryError,
    Request,
    Response,
    digest_of,
    endpoints,
    fetch,
    unreachable,
)

DIGEST = "sha256:" + "1" * 64
KEYS = ["manifests", "config", "digest", "platform", "os", "architecture", "mediaType", "layers", "size"]
RUN = ["config", "User", "Env", "Entrypoint", "Cmd", "WorkingDir"]
values = st.recursive(
    st.none()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([DIGEST, "linux", "amd64", "LD_AUDIT=x"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS + RUN), inner, max_size=5)
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode())


def check_words(message: str, what: str) -> None:
    """Display-safe, and about the right thing."""
    assert shown(message, 10000) == message
    assert what in message.lower()


@given(what=st.sampled_from(["image", "model"]), answers=st.lists(bodies, min_size=3, max_size=3))
def test_whatever_is_answered_the_course_ends(what: What, answers: list[bytes]) -> None:
    about = subject(what, "r.example/a:1")
    step: Ask | ResolvedImage | ResolvedModel = first(about)
    try:
        for body in answers:
            if not isinstance(step, Ask):
                break
            step = follow(about, step, body)
    except ImageError as error:
        check_words(error.message, what)
    else:
        assert not isinstance(step, Ask), "index, manifest, configuration: three answers at most"


@given(config=values)
def test_whatever_a_configuration_says(config: Any) -> None:
    blob = json.dumps({"os": "linux", "architecture": "amd64", "config": config}).encode()
    about = subject("image", "r.example/a:1")
    ask = Ask(kind="blobs", version=digest_of(blob), digest=DIGEST)
    try:
        found = follow(about, ask, blob)
    except ImageError as error:
        check_words(error.message, "image")
    else:
        assert isinstance(found, ResolvedImage)
        assert ResolvedImage.model_validate(found.wire()) == found


def test_a_configuration_that_no_json_has() -> None:
    about, ask = subject("image", "a"), Ask(kind="blobs", version="x", digest=DIGEST)
    surrogate = b'{"os": "linux", "architecture": "amd64", "config": {"User": "\\ud800"}}'
    with pytest.raises(ImageError, match="not valid Unicode"):
        follow(about, ask, surrogate)
    for blob in (b"[" * 100000, b"1" * 10000, b"\xff"):
        with pytest.raises(ImageError, match="linux/amd64"):
            follow(about, ask, blob)


@given(
    report=st.builds(
        FetchReport,
        outcome=st.sampled_from(Outcome),
        why=st.text(),
        refused=st.none() | st.text(),
        missing=st.lists(st.text()),
        unusable=st.lists(st.text()),
    )
)
def test_whatever_is_reported_there_are_words(report: FetchReport) -> None:
    safe = report.model_copy(update={"why": shown(report.why)})
    check_words(refused(subject("image", "r.example/a:1"), safe, ["one"], "ns").message, "image")
    check_words(refused(subject("model", "r.example/a:1"), safe, ["one"], "ns").message, "model")


def test_where_to_ask() -> None:
    mirrors = {"docker.io": "mirror.example:5000/hub", "r.example": "m.example"}
    places = endpoints(parse("busybox"), frozenset({"mirror.example:5000"}), mirrors)
    assert places == [
        Endpoint(host="mirror.example:5000", repository="hub/library/busybox", insecure=True),
        Endpoint(host="registry-1.docker.io", repository="library/busybox"),
    ]
    assert [each.host for each in endpoints(parse("r.example/a"), frozenset(), mirrors)] == [
        "m.example",
        "r.example",
    ]
    assert endpoints(parse("other/a.b/c"), frozenset(), mirrors)[0].host == "mirror.example:5000"


responses = st.builds(
    Response,
    status=st.sampled_from([200, 301, 302, 307, 401, 403, 404, 500]),
    body=st.sampled_from([b"", b"x", b'{"token": "t"}']),
    location=st.none()
    | st.sampled_from(
        [
            "/x",
            "//evil.example/x",
            "http://r.example/y",
            "https://evil.example/z",
            "https://u:p@evil.example/",
            "http://[",
            "file:///etc/passwd",
        ]
    ),
    challenges=st.lists(
        st.sampled_from(
            [
                "Basic realm=x",
                'Bearer realm="https://auth.example/token",service="r"',
                'Bearer realm="http://auth.example/token"',
                'Bearer realm="https://u:p@auth.example/token?a=b"',
                'Bearer realm="http://["',
                "Bearer",
                "",
            ]
        ),
        max_size=2,
    ),
)


@given(
    answers=st.lists(responses, max_size=30),
    kind=st.sampled_from(["manifests", "blobs"]),
    logins=st.booleans(),
)
def test_whatever_a_registry_answers_credentials_go_where_they_may(
    answers: list[Response], kind: Any, logins: bool
) -> None:
    order = Order(
        endpoints=[
            Endpoint(host="mirror.example", repository="a"),
            Endpoint(host="r.example", repository="a"),
        ],
        kind=kind,
        version=DIGEST if kind == "blobs" else "1",
    )
    login = Login("secret", "user", "password")

    def known(place: Endpoint) -> list[Login]:
        return [login, login] if logins and place.host == "r.example" else []

    exchange, left, sent = fetch(order, known), iter(answers), 0
    body, why = None, ""
    try:
        request: Request = next(exchange)
        while True:
            sent += 1
            parts, authorization = urlsplit(request.url), request.headers.get("Authorization")
            assert parts.scheme == "https"
            assert "@" not in parts.netloc
            if authorization == login.basic:
                assert parts.netloc in ("r.example", "auth.example")
                assert parts.netloc == "auth.example" or parts.path.startswith("/v2/a/")
            elif authorization is not None:
                assert authorization == "Bearer t"
                assert parts.netloc in ("r.example", "mirror.example")
            response = next(left, None)
            request = exchange.throw(unreachable("gone")) if response is None else exchange.send(response)
    except StopIteration as end:
        body = end.value
    except RegistryError as error:
        why = error.why
    assert body is None or kind == "manifests" or digest_of(body) == DIGEST
    assert shown(why, 10000) == why
    assert "password" not in why
    assert login.basic not in why
    assert sent <= 40
