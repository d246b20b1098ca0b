"""Fields that browsers heed."""

from __future__ import annotations

import pytest

from apigw.policy.security_headers import API, OFF, PAGES, SecurityHeaders


def test_pages_may_be_framed_by_their_own_and_answers_of_an_api_by_nobody() -> None:
    assert b"X-Frame-Options: SAMEORIGIN\r\n" in SecurityHeaders(PAGES).lines([])
    api = SecurityHeaders(API).lines([])
    assert b"X-Frame-Options: DENY\r\n" in api
    assert b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n" in api
    for lines in (api, SecurityHeaders(PAGES).lines([])):
        assert lines.startswith(b"X-Content-Type-Options: nosniff\r\n")


def test_what_a_service_says_stays() -> None:
    lines = SecurityHeaders(API).lines([(b"x-frame-options", b"SAMEORIGIN"), (b"X-Other", b"1")])
    assert b"X-Frame-Options" not in lines
    assert lines.count(b"\r\n") == 3


def test_off_adds_nothing() -> None:
    assert SecurityHeaders(OFF).lines([]) == b""
    with pytest.raises(KeyError):
        SecurityHeaders("other")
