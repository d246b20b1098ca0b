"""Which parameters of a client's query services could take for those that the gateway writes itself."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from apigw.policy.fields import FOLD


def parameter_name(part: bytes) -> bytes:
    """
    The name of a parameter, the same for all that some service reads alike: PHP takes ``user.id[]`` for ``user_id``,
    others don't look at the case, at space around it or at a second question mark.

    :param part: of a query, between two separators.
    """
    name = unquote_to_bytes(part.partition(b"=")[0].replace(b"+", b" ")).strip(b" ?")
    return name.partition(b"\0")[0].partition(b"[")[0].translate(FOLD)


def without(query: bytes, names: Collection[bytes]) -> bytes:
    """
    What is left of a query without the parameters of some names, also where a service separates by semicolons.

    :param query: without its question mark.
    :param names: as :func:`parameter_name` has them.
    """
    parts = query.split(b"&")
    return b"&".join(part for part in parts if all(parameter_name(one) not in names for one in part.split(b";")))
