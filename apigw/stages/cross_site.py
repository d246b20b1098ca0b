"""Refuses what other sites' pages make browsers send with a cookie that lets in (CSRF)."""

from __future__ import annotations

from collections.abc import Callable

from apigw.errors import ClientError
from apigw.messages import Exchange
from apigw.pipeline import Stage
from apigw.policy.cross_site import SAFE, cross_site, has_cookie


class CrossSiteRefused(ClientError):
    """The cookie was sent by a browser, but not for a page that may use it."""

    status = 403
    code = "cross-site-request"
    title = "The request comes from a page of another site"


class CrossSite(Stage):
    """
    Looks at methods that may change something, and at upgrades, which scripts of any origin may ask for and read.

    :param cookie: that lets in.
    :param trusted: whether pages of an origin may use it; those of the same origin always do.
    :param enforce: False to let them pass, and say so in the log.
    """

    pure = True

    def __init__(self, cookie: bytes, trusted: Callable[[bytes], bool], enforce: bool = True) -> None:
        self._cookie = cookie
        self._trusted = trusted
        self._enforce = enforce

    def request(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.method in SAFE and b"upgrade" not in request.options:
            return
        if has_cookie(request.fields, self._cookie) and cross_site(request.fields, request.authority, self._trusted):
            if self._enforce:
                raise CrossSiteRefused
            exchange.would_refuse = CrossSiteRefused.code
