"""Which tokens count no more, for how long, and who is told."""

from __future__ import annotations

import pytest

from apigw.policy.principal import Principal
from apigw.policy.revocations import Revocation, Revocations, RevocationsFull


class Told:
    def __init__(self) -> None:
        self.changes: list[object] = []

    def added(self, entry: Revocation) -> None:
        self.changes.append(entry)

    def removed(self, kind: str, value: str) -> None:
        self.changes.append((kind, value))


def who(user: str = "u1", **claims: object) -> Principal:
    return Principal(user, claims={"sub": user} | claims)


def test_by_token_and_by_subject() -> None:
    revocations = Revocations(lambda: 0.0)
    revocations.add(Revocation("jti", "t1", 10.0))
    assert revocations.revoked(who(jti="t1"))
    assert not revocations.revoked(who(jti="t2"))
    assert not revocations.revoked(who("t1"))
    assert not revocations.revoked(who(jti=["t1"]))
    revocations.add(Revocation("sub", "u2", 10.0))
    assert revocations.revoked(who("u2", jti="t2"))
    assert revocations.revoked(Principal("mail@example.com", claims={"sub": "u2"}))
    assert revocations.revoked(Principal("u2", claims={"sub": 7}))
    assert not revocations.revoked(who("u3", jti="u2"))


def test_issued_before() -> None:
    revocations = Revocations(lambda: 0.0)
    revocations.add(Revocation("sub", "u1", 10.0, 5.0))
    assert revocations.revoked(who(iat=4))
    assert not revocations.revoked(who(iat=5))
    assert revocations.revoked(who())
    assert revocations.revoked(who(iat="9"))


def test_what_has_expired_is_forgotten() -> None:
    now = [0.0]
    revocations = Revocations(lambda: now[0], size=2)
    revocations.add(Revocation("jti", "a", 1.0))
    revocations.add(Revocation("jti", "b", 2.0))
    with pytest.raises(RevocationsFull, match="2 revocations"):
        revocations.add(Revocation("jti", "c", 3.0))
    assert not revocations.revoked(who(jti="c"))
    revocations.add(Revocation("jti", "a", 3.0))
    now[0] = 2.0
    assert [entry.value for entry in revocations.entries()] == ["a"]
    assert revocations.revoked(who(jti="a"))
    revocations.add(Revocation("jti", "c", 4.0))
    now[0] = 3.0
    assert not revocations.revoked(who(jti="a"))
    assert (revocations.get("jti", "a"), len(revocations)) == (None, 1)
    revocations.add(Revocation("jti", "late", 3.0))
    assert len(revocations) == 1
    now[0] = 4.0
    assert not list(revocations.entries())
    assert not revocations.listed


def test_hooks_hear_of_all_and_others_of_what_is_from_here() -> None:
    revocations = Revocations(lambda: 0.0)
    told = Told()
    heard: list[Revocation] = []
    revocations.sharing = told
    revocations.on_add(heard.append)
    here, there = Revocation("jti", "here", 1.0), Revocation("jti", "there", 1.0)
    revocations.add(here)
    revocations.take(there)
    assert heard == [here, there]
    assert told.changes == [here]
    assert revocations.remove("jti", "here")
    assert not revocations.remove("jti", "here")
    assert revocations.drop("jti", "there")
    assert told.changes == [here, ("jti", "here"), ("jti", "here")]


def test_little_of_the_removed_is_left() -> None:
    now = [0.0]
    revocations = Revocations(lambda: now[0], size=10)
    for number in range(1000):
        revocations.add(Revocation("jti", f"a{number}", 10.0 + number))
        revocations.remove("jti", f"a{number}")
    revocations.add(Revocation("jti", "b", 20.0))
    assert len(revocations._due) <= 21
    now[0] = 20.0
    assert not list(revocations.entries())
