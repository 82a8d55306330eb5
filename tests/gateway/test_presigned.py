"""Presigned URLs: only what was signed counts, for a day; the key is made once, and for its owner alone."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm_operator.gateway import presigned
from algorithm_operator.gateway.errors import ApiError

KEY = bytes(range(32))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = timedelta(seconds=presigned.VALID_SECONDS)
URL = presigned.part_url(KEY, "https://gateway.test/imaging/api/v1/", "imaging", "pk-1", "multi-1", 7, NOW)
PARTS = {"namespace": "imaging", "pk": "pk-1", "multipart_id": "multi-1", "number": "7"}
QUERY = dict(parse_qsl(urlsplit(URL).query))


def check(parts: dict[str, str], query: dict[str, str], now: datetime = NOW, key: bytes = KEY) -> None:
    presigned.check(key, **parts, query=query, now=now)


def test_the_url_says_where() -> None:
    assert URL.startswith("https://gateway.test/imaging/api/v1/uploads/pk-1/multi-1/parts/7/?expires=")


@pytest.mark.parametrize("age", [timedelta(0), DAY - timedelta(seconds=1)], ids=["new", "almost a day"])
def test_it_is_good_for_a_day(age: timedelta) -> None:
    check(PARTS, QUERY, NOW + age)


@pytest.mark.parametrize("age", [DAY, 400 * DAY], ids=["a day", "a year"])
def test_then_it_has_expired(age: timedelta) -> None:
    with pytest.raises(ApiError, match="has expired; ask for a new one") as error:
        check(PARTS, QUERY, NOW + age)
    assert error.value.status == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "others"},
        {"pk": "pk-2"},
        {"multipart_id": "multi-2"},
        {"number": "8"},
        {"number": "07"},
        {"number": "7 "},
        {"expires": str(int(QUERY["expires"]) + 1)},
        {"expires": ""},
        {"expires": "0" + QUERY["expires"]},
        {"signature": ""},
        {"signature": QUERY["signature"].upper()},
        {"signature": QUERY["signature"][:-1]},
        {"signature": "0" * 64},
        {"signature": "ü"},
        # As one text all of these would be the same.
        {"pk": "pk-1multi-1", "multipart_id": ""},
        {"namespace": 'imaging", "pk-1', "pk": "multi-1", "multipart_id": "7", "number": QUERY["expires"]},
    ],
    ids=lambda changes: " ".join(f"{key}={value[:12]}" for key, value in changes.items()),
)
def test_any_change_is_refused(changes: dict[str, str]) -> None:
    parts = {key: changes.get(key, value) for key, value in PARTS.items()}
    query = {key: changes.get(key, value) for key, value in QUERY.items()}
    with pytest.raises(ApiError, match="signature of this URL is not valid") as error:
        check(parts, query)
    assert error.value.status == 403


def test_another_key_signs_otherwise() -> None:
    with pytest.raises(ApiError, match="not valid"):
        check(PARTS, QUERY, key=bytes(32))


ANY = st.text(st.characters(codec=None), max_size=20)


@given(st.fixed_dictionaries(dict.fromkeys(PARTS, ANY)), st.dictionaries(st.sampled_from([*QUERY]), ANY))
def test_hostile_text_is_refused_in_words(parts: dict[str, str], query: dict[str, str]) -> None:
    with pytest.raises(ApiError) as error:
        check(parts, query)
    assert error.value.status == 403


def test_the_key_is_made_for_its_owner_alone_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = presigned.signing_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    presigned.signing_key.cache_clear()
    assert presigned.signing_key(path) == key


def test_gateways_that_start_together_have_one_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with ThreadPoolExecutor(16) as threads:
        keys = set(threads.map(lambda _: presigned.signing_key.__wrapped__(path), range(64)))
    assert keys == {path.read_bytes()}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("key", b"short", "has 5 bytes, 32 are needed"),
        ("key", b"", "has 0 bytes"),
        ("missing/key", None, "neither read nor made: No such file"),
    ],
    ids=["short", "empty", "no folder"],
)
def test_a_key_that_is_none_is_said(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(presigned.SigningKeyError, match=why):
        presigned.signing_key(tmp_path / name)
