"""GatewayRoutes: the Resource tree with the gateway's own places, and the proxy for all the rest."""

from __future__ import annotations

from typing import cast

from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from apigw.core import GatewayCore
from apigw.messages import Exchange
from apigw.pipeline import Route
from apigw.policy.paths import is_plain


class Place(Resource):
    """
    A leaf whose requests all take one route.

    :param route: None lets the core look it up: that is the proxy.
    """

    isLeaf = True

    def __init__(self, core: GatewayCore, route: Route | None = None) -> None:
        super().__init__()
        self._core = core
        self._route = route

    def render(self, request: Exchange) -> int:
        self._core.handle(request, self._route)
        return NOT_DONE_YET


class GatewayRoutes(Resource):
    """
    The root. A place is found by whole segments of the path. A path that services could read in several ways goes to
    the proxy: the routes of the places are in its table too, and there it is decided what the path means.
    """

    def __init__(self, proxy: Place) -> None:
        super().__init__()
        self.proxy = proxy

    def add(self, path: bytes, place: Place) -> None:
        """
        Put a place into the tree.

        :param path: absolute, such as ``/api/v1/auth``; what lies below it is the place's too, up to another place.
        """
        node: Resource = self
        *parents, name = path.strip(b"/").split(b"/")
        for parent in parents:
            child = node.children.get(parent)
            if child is None:
                child = Resource()
                node.putChild(parent, child)
            node = cast(Resource, child)
        node.putChild(name, place)

    def locate(self, path: bytes) -> IResource:
        """The leaf that answers for a raw path; costs one look-up unless the first segment is that of a place."""
        node = self.children.get(path[1:].partition(b"/")[0])
        if node is None:
            return self.proxy
        found = node if node.isLeaf else self.proxy
        for segment in path.split(b"/")[2:]:
            node = node.children.get(segment)
            if node is None:
                break
            if node.isLeaf:
                found = node
        return cast(IResource, found) if is_plain(path) else self.proxy
