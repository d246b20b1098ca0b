from apigw.policy.principal import Principal
from apigw.policy.token_cache import TokenCache

A, B, C = (Principal(name) for name in "abc")


def test_an_entry_is_there_until_it_expires() -> None:
    cache = TokenCache()
    cache.put(b"a", A, 10.0)
    assert cache.get(b"a", 9.9) is A
    assert cache.get(b"b", 0.0) is None
    assert cache.get(b"a", 10.0) is None
    assert len(cache) == 0


def test_the_oldest_makes_room() -> None:
    cache = TokenCache(2)
    for digest, who in ((b"a", A), (b"b", B), (b"a", A), (b"c", C)):
        cache.put(digest, who, 10.0)
    assert [cache.get(digest, 0.0) for digest in (b"a", b"b", b"c")] == [A, None, C]
    assert len(cache) == 2


def test_a_change_of_keys_forgets_all() -> None:
    cache = TokenCache()
    cache.put(b"a", A, 10.0)
    cache.clear()
    assert cache.get(b"a", 0.0) is None
