from __future__ import annotations

import pytest

from apigw.policy.queries import parameter_name, without

SAME = (
    *(b"by_user=x", b"by_user", b"By_User=", b"by%5Fuser=x", b"+by_user=1", b"?by_user=1", b"by.user=1"),
    *(b"by_user[]=1", b"by_user%5b0%5d=1", b"by_user%00x=1", b"a;by_user=1", b"%20by%20user=1"),
)


@pytest.mark.parametrize("part", SAME)
def test_what_some_service_takes_for_it_goes(part: bytes) -> None:
    names = {parameter_name(b"by_user")}
    assert without(b"a=1&" + part + b"&b=by_user", names) == b"a=1&b=by_user"


def test_all_else_stays_as_it_is() -> None:
    query = b"a=1&&by=2&by_users=3&%62y%255fuser=4&=by_user&;&a=%26by_user=1"
    assert without(query, {b"by-user"}) == query
    assert without(b"", {b"by-user"}) == b""
