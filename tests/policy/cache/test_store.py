"""The store: bytes, variants and what goes first."""

from __future__ import annotations

from apigw.policy.cache.store import OVERHEAD, VARIANTS, Entry, Store
from apigw.policy.cache.terms import Terms


def entry(path: bytes = b"/", body: bytes = b"", language: bytes | None = None, space: str = "r") -> Entry:
    vary = () if language is None else ((b"accept-language",), (language,))
    return Entry((b"h", path), (space,), 200, b"OK", [], body, Terms(60.0), 0.0, 0.0, *vary)


def find(store: Store, path: bytes = b"/", language: bytes | None = None, space: str = "r") -> Entry | None:
    return store.find((b"h", path), (space,), {b"accept-language": language}.get)


def test_what_was_put_is_found() -> None:
    store = Store(10**6)
    one = entry()
    assert store.put(one)
    assert find(store) is one
    assert find(store, space="other") is None
    assert find(store, b"/other") is None
    assert (len(store), store.size) == (1, one.size)


def test_the_same_request_has_one_answer() -> None:
    store = Store(10**6)
    store.put(entry(body=b"x" * 1000))
    new = entry()
    store.put(new)
    assert find(store) is new
    assert (len(store), store.size) == (1, new.size)


def test_variants_stand_side_by_side() -> None:
    store = Store(10**6)
    german, english = entry(language=b"de"), entry(language=b"en")
    store.put(german)
    store.put(english)
    assert find(store, language=b"de") is german
    assert find(store, language=b"en") is english
    assert find(store, language=b"fr") is None
    assert store.vary((b"h", b"/"), ("r",)) == (b"accept-language",)
    assert store.vary((b"h", b"/"), ("other",)) is None


def test_one_uri_has_so_many_variants_and_no_more() -> None:
    store = Store(10**8)
    for number in range(VARIANTS + 10):
        store.put(entry(language=b"%d" % number))
    assert len(store) == VARIANTS
    assert find(store, language=b"0") is None
    assert find(store, language=b"10") is not None


def test_what_was_not_used_for_the_longest_goes_first() -> None:
    store = Store(3 * (OVERHEAD + 100))
    for path in (b"/a", b"/b", b"/c"):
        store.put(entry(path, b"x" * 100))
    find(store, b"/a")
    store.put(entry(b"/d", b"x" * 100))
    assert find(store, b"/b") is None
    assert find(store, b"/a") is not None
    assert (len(store), store.evicted) == (3, 1)
    assert store.size <= store.capacity


def test_what_is_too_large_drives_nothing_out() -> None:
    store = Store(OVERHEAD + 100)
    store.put(entry())
    assert not store.put(entry(b"/large", b"x" * 101))
    assert find(store) is not None


def test_what_changes_is_weighed_again() -> None:
    store = Store(10**6)
    one = entry()
    store.put(one)
    one.fields.append((b"X", b"y" * 500))
    store.changed(one)
    assert store.size == one.size > OVERHEAD + 500
    store.drop(one)
    store.drop(one)
    store.changed(one)
    assert (len(store), store.size) == (0, 0)


def test_a_uri_is_forgotten_with_all_its_variants() -> None:
    store = Store(10**6)
    for language in (b"de", b"en"):
        store.put(entry(language=language))
        store.put(entry(language=language, space="other"))
    store.put(entry(b"/else"))
    assert store.forget((b"h", b"/")) == 4
    assert store.forget((b"h", b"/")) == 0
    assert [one.uri for one in store] == [(b"h", b"/else")]
