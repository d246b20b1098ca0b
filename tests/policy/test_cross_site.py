"""Which requests another site's page made a browser send."""

from __future__ import annotations

import pytest

from apigw.policy.cross_site import Field, cross_site, has_cookie


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], False),
        ([(b"Origin", b"https://h")], False),
        ([(b"Origin", b"http://H".lower())], False),
        ([(b"Origin", b"https://app")], False),
        ([(b"Origin", b"https://evil")], True),
        ([(b"Origin", b"https://h.evil")], True),
        ([(b"Origin", b"https://h:8443")], True),
        ([(b"Origin", b"null")], True),
        ([(b"Origin", b"")], True),
        ([(b"Origin", b"https://h"), (b"origin", b"https://h")], True),
        ([(b"Sec-Fetch-Site", b"same-origin"), (b"Origin", b"https://inner")], False),
        ([(b"Sec-Fetch-Site", b"none")], False),
        ([(b"Sec-Fetch-Site", b"same-site")], True),
        ([(b"Sec-Fetch-Site", b"cross-site")], True),
        ([(b"Sec-Fetch-Site", b"same-site"), (b"Origin", b"https://app")], False),
        ([(b"Sec-Fetch-Site", b"cross-site"), (b"Origin", b"https://evil")], True),
        ([(b"Sec-Fetch-Site", b"none"), (b"Sec-Fetch-Site", b"none")], True),
        ([(b"Referer", b"https://h/a?b")], False),
        ([(b"Referer", b"https://app?x=/")], False),
        ([(b"Referer", b"https://evil/https://h/")], True),
        ([(b"Referer", b"rubbish")], True),
    ],
)
def test_by_what_a_browser_tells(fields: list[Field], expected: bool) -> None:
    assert cross_site(fields, b"h", lambda origin: origin == b"https://app") is expected


def test_without_a_host_nothing_is_the_same_origin() -> None:
    assert cross_site([(b"Origin", b"https://")], b"", lambda origin: False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], False),
        ([(b"Cookie", b"a=b; session=t")], True),
        ([(b"COOKIE", b"a=b"), (b"cookie", b"session=t")], True),
        ([(b"Cookie", b"mysession=t; session2=t")], False),
        ([(b"Cookie", b"session=t"), (b"Authorization", b"bearer x")], False),
        ([(b"Cookie", b"session=t"), (b"Authorization", b"Basic x")], True),
    ],
)
def test_the_cookie(fields: list[Field], expected: bool) -> None:
    assert has_cookie(fields, b"session") is expected
