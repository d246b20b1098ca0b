"""Which hosts ask for certificates."""

import pytest

from apigw.policy.client_auth import NOTHING_ASKED, ClientAuth, ClientAuths, host_name

REQUIRED = ClientAuth("required", "/ca.pem")


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        (b"", ""),
        (b"a.test", "a.test"),
        (b"A.Test.:8443", "a.test"),
        (b"127.0.0.1:80", "127.0.0.1"),
        (b"[::1]", "[::1]"),
        (b"[FE80::1]:443", "[fe80::1]"),
    ],
)
def test_names(authority, name):
    assert host_name(authority) == name


def test_hosts_before_the_listener():
    auths = ClientAuths(NOTHING_ASKED, {"a.test": REQUIRED})
    assert auths.of("a.test") == REQUIRED
    assert auths.of("b.test") == auths.of("") == NOTHING_ASKED
    assert not NOTHING_ASKED.asks
    assert REQUIRED.asks


def test_whether_they_differ():
    assert not ClientAuths(REQUIRED).several
    assert not ClientAuths(REQUIRED, {"a.test": ClientAuth("required", "/ca.pem")}).several
    assert ClientAuths(REQUIRED, {"a.test": NOTHING_ASKED}).several
    assert ClientAuths(REQUIRED, {"a.test": ClientAuth("required", "/other.pem")}).several
