"""A small Kubernetes API server on loopback: EndpointSlices by list and by watch, with versions that expire."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.ssl import PrivateCertificate
from twisted.web.server import NOT_DONE_YET, Request

from tests.upstream.discovery.http_server import HttpServer

PATH = b"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"


def endpoint_slice(name: str, *addresses: str, port: int = 8080, family: str = "IPv4", **more: Any) -> dict[str, Any]:
    """:param addresses: of ready endpoints."""
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "user"}},
        "addressType": family,
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        **more,
    }


class ApiServer(HttpServer):
    """
    :ivar token: that requests must carry; None for none.
    :ivar page: slices in a list.
    :ivar compacted: versions up to this one are forgotten.
    :ivar watches: streams that are open.
    :ivar watched: fires when the next one opens.
    :ivar lists: how many were asked for.
    """

    def __init__(self, reactor: Any, certificate: PrivateCertificate | None = None) -> None:
        super().__init__(reactor, self.respond, certificate)
        self.token: str | None = None
        self.page = 500
        self.compacted = 0
        self.watches: list[Request] = []
        self.watched: Deferred[Request] = Deferred()
        self.lists = 0
        self._slices: dict[str, Any] = {}
        self._events: list[tuple[int, bytes]] = []
        self._version = 100

    def put(self, document: dict[str, Any]) -> None:
        """Add or replace a slice."""
        name = document["metadata"]["name"]
        kind = "MODIFIED" if name in self._slices else "ADDED"
        self._slices[name] = document
        self._happened(kind, document)

    def remove(self, name: str) -> None:
        self._happened("DELETED", self._slices.pop(name))

    def bookmark(self) -> None:
        """Tell watches the version, after changes of others."""
        self._version += 10
        self._happened("BOOKMARK", {"metadata": {}})

    def end(self) -> None:
        """End all watches in order."""
        watches, self.watches = self.watches, []
        for request in watches:
            request.finish()

    def cut(self) -> None:
        """Break all watches."""
        watches, self.watches = self.watches, []
        for request in watches:
            request.transport.abortConnection()

    def send(self, data: bytes) -> None:
        """Say whatever it be to all watches."""
        for request in self.watches:
            request.write(data)

    def _happened(self, kind: str, document: dict[str, Any]) -> None:
        self._version += 1
        metadata = {**document["metadata"], "resourceVersion": str(self._version)}
        event = json.dumps({"type": kind, "object": {**document, "metadata": metadata}}).encode() + b"\n"
        self._events.append((self._version, event))
        self.send(event)

    def respond(self, request: Request) -> bytes | int:
        if self.token is not None and request.getHeader("authorization") != f"Bearer {self.token}":
            request.setResponseCode(401)
            return b"{}"
        if request.path != PATH or request.args[b"labelSelector"] != [b"kubernetes.io/service-name=user"]:
            request.setResponseCode(404)
            return b"{}"
        if b"watch" in request.args:
            return self._watch(request)
        self.lists += 1
        begin = int(request.args.get(b"continue", [b"0"])[0])
        items = [self._slices[name] for name in sorted(self._slices)]
        end = begin + min(self.page, int(request.args[b"limit"][0]))
        metadata = {"resourceVersion": str(self._version), "continue": str(end) if end < len(items) else ""}
        return json.dumps({"kind": "EndpointSliceList", "metadata": metadata, "items": items[begin:end]}).encode()

    def _watch(self, request: Request) -> int:
        assert request.args[b"allowWatchBookmarks"] == [b"true"]
        since = int(request.args[b"resourceVersion"][0])
        if since < self.compacted:
            request.setResponseCode(410)
            request.write(b"{}")
            request.finish()
            return NOT_DONE_YET
        request.notifyFinish().addErrback(lambda _: request in self.watches and self.watches.remove(request))
        self.watches.append(request)
        request.write(b"".join(event for version, event in self._events if version > since) or b"\n")
        watched, self.watched = self.watched, Deferred()
        self._reactor.callLater(0, watched.callback, request)
        return NOT_DONE_YET

    def expire(self) -> None:
        """Forget what was."""
        self._version += 1
        self.compacted = self._version
        self._events.clear()
