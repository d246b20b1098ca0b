"""URLs of Redis servers."""

from __future__ import annotations

import pytest

from apigw.policy.redis_url import RedisUrl, parse_redis_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("redis://h", RedisUrl((("h", 6379),))),
        ("redis://:pw@h:7000/2", RedisUrl((("h", 7000),), password="pw", database=2)),
        ("rediss://u:p%40@[::1]:1", RedisUrl((("::1", 1),), tls=True, user="u", password="p@")),
        ("redis://[::1]", RedisUrl((("::1", 6379),))),
        ("unix:///run/r.sock?db=3", RedisUrl(path="/run/r.sock", database=3)),
        ("unix://u:p@/run/r.sock", RedisUrl(path="/run/r.sock", user="u", password="p")),
        (
            "rediss+sentinel://u:p@a,b:1/main/4?sentinel_password=s",
            RedisUrl((("a", 26379), ("b", 1)), "", True, "main", "u", "p", "s", 4),
        ),
    ],
)
def test_what_they_say(text: str, url: RedisUrl) -> None:
    assert parse_redis_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["h:6379", "http://h", "redis://", "redis://h:0", "redis://h:x", "redis://h/a", "redis://h/1/2", "unix://run/r",
     "redis+sentinel://h", "redis://h?x=1", "redis://a,:1"],
)  # fmt: skip
def test_what_is_none_and_no_message_tells_a_password(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_redis_url(text.replace("://", "://u:secret@", 1))
    assert "secret" not in str(caught.value)


def test_nobody_sees_passwords() -> None:
    url = parse_redis_url("rediss+sentinel://u:secret@a,b/main?sentinel_password=secret")
    assert str(url) == "rediss+sentinel://a:26379,b:26379/main"
    assert "secret" not in repr(url)
