"""What of a client's fields a service gets."""

from apigw.policy.outgoing import Outgoing


def test_dropped_however_spelled_and_replaced() -> None:
    outgoing = Outgoing([b"x-api-key", b"authorization"], [(b"Authorization", b"Basic eA==")])
    fields = [(b"Accept", b"*/*"), (b"X_Api.KEY", b"k"), (b"AUTHORIZATION", b"Bearer t"), (b"X-Api-Keys", b"k")]
    assert outgoing(fields) == [(b"Accept", b"*/*"), (b"X-Api-Keys", b"k"), (b"Authorization", b"Basic eA==")]


def test_whether_there_is_anything_to_do() -> None:
    assert not Outgoing()
    assert Outgoing([b"a"])
    assert Outgoing(added=[(b"A", b"b")])
