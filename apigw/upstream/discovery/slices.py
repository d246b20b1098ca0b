"""EndpointSlices of Kubernetes: which addresses are in them, and what a watch does to them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from attrs import frozen

from apigw.upstream.discovery.source import Malformed, Nothing, SourceFailed

GONE = 410
"""Of a version of which the server knows no more; all has to be listed again."""


class Expired(Exception):
    """The watch can't go on from the version that is known."""


@frozen
class Slice:
    """
    Up to a hundred endpoints of a service, all with the same ports.

    :ivar family: ``IPv4``, ``IPv6`` or ``FQDN``.
    :ivar addresses: of the endpoints that are ready.
    :ivar ports: by name, which is empty for one without; TCP only.
    """

    family: str
    addresses: tuple[str, ...]
    ports: Mapping[str, int]


class Slices:
    """
    All slices of one service, by list and by watch.

    :ivar version: up to which all is known, None before the first list.

    Source: the Kubernetes API, discovery.k8s.io/v1, and "Efficient detection of changes" in its API concepts.
    """

    def __init__(self) -> None:
        self.version: str | None = None
        self._slices: dict[str, Slice] = {}

    def replace(self, documents: Iterable[object], version: str) -> None:
        """
        Take a list.

        :raises SourceFailed: some document is no slice; nothing has changed then.
        """
        self._slices = dict(map(_parsed, documents))
        self.version = version

    def apply(self, event: object) -> None:
        """
        Take an event of a watch.

        :raises Expired: all has to be listed again.
        :raises SourceFailed: the server has trouble, or it is no event.
        """
        kind, document = _get(event, "type", str), _get(event, "object", dict)
        if kind == "ERROR":
            if document.get("code") == GONE:
                raise Expired
            raise SourceFailed(f"the watch ends with {document.get('code')!r}: {str(document.get('message'))[:200]}")
        version = _get(_get(document, "metadata", dict), "resourceVersion", str)
        if kind in ("ADDED", "MODIFIED"):
            name, one = _parsed(document)
            self._slices[name] = one
        elif kind == "DELETED":
            self._slices.pop(_get(document["metadata"], "name", str), None)
        self.version = version

    def addresses(self, port: str) -> list[tuple[str, int]]:
        """
        Hosts and ports of all that is ready: IPv4, and IPv6 only where there is none of that, for both are the same
        pods.

        :param port: a number or a name of the slices, empty for the only one.
        :raises SourceFailed: the slices have no such port, or several and none is named.
        """
        for family in ("IPv4", "IPv6"):
            found: dict[tuple[str, int], None] = {}
            for one in self._slices.values():
                if one.family == family and one.addresses:
                    number = _port(one.ports, port)
                    found.update(((address, number), None) for address in one.addresses)
            if found:
                return sorted(found)
        return []


def _port(ports: Mapping[str, int], wanted: str) -> int:
    matching = [number for name, number in ports.items() if wanted in ("", name, str(number))]
    if len(set(matching)) != 1:
        there = ", ".join(f"{name}={number}" if name else str(number) for name, number in ports.items()) or "none"
        raise Nothing(f"there {'is no port ' + wanted if wanted else 'is no single port'}, but {there}")
    return matching[0]


def _parsed(document: object) -> tuple[str, Slice]:
    """:return: with its name."""
    name = _get(_get(document, "metadata", dict), "name", str)
    family = _get(document, "addressType", str)
    addresses: list[str] = []
    for endpoint in _get(document, "endpoints", list, optional=True) or ():
        conditions = _get(endpoint, "conditions", dict, optional=True) or {}
        if conditions.get("ready") is False:
            continue  # unknown counts as ready
        addresses.append(_address(_get(endpoint, "addresses", list), family))
    ports: dict[str, int] = {}
    for port in _get(document, "ports", list, optional=True) or ():
        number = _get(port, "port", int, optional=True)
        if number is not None and port.get("protocol") in (None, "TCP"):
            ports[_get(port, "name", str, optional=True) or ""] = number
    return name, Slice(family, tuple(addresses), ports)


def _address(addresses: list[object], family: str) -> str:
    """The first one, for all of an endpoint lead to the same place."""
    text = addresses[0] if addresses else None
    if not isinstance(text, str):
        raise Malformed("an endpoint has no address")
    try:
        return text if family == "FQDN" else str(ip_address(text))
    except ValueError:
        raise Malformed(f"{text[:100]!r} is no address") from None


def _get(document: object, key: str, kind: type, *, optional: bool = False) -> Any:
    """:raises SourceFailed: the document is no object, or has something else there."""
    value = document.get(key) if isinstance(document, dict) else None
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if optional and value is None and isinstance(document, dict):
        return None
    raise Malformed(f"what should be {key!r} of the Kubernetes API is not: {str(value)[:100]!r}")
