"""The dashboard: three files as they are. They hold nothing secret, and ask for the token where there is one."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

from apigw.admin.health import read_only
from apigw.dates import HttpDate
from apigw.errors import RouteNotFound
from apigw.messages import Exchange, Response, field_value

PATH = "/dashboard"

TYPES = {
    "index.html": b"text/html; charset=utf-8",
    "dashboard.css": b"text/css; charset=utf-8",
    "dashboard.js": b"text/javascript; charset=utf-8",
}

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Content-Security-Policy: nothing of elsewhere, nothing inline, and no text that becomes markup."""


class Dashboard:
    def __init__(self, date: HttpDate) -> None:
        self._date = date
        self._files: dict[bytes, tuple[bytes, bytes, bytes]] = {}
        there = files("apigw.admin") / "dashboard"
        for name, media in TYPES.items():
            body = (there / name).read_bytes()
            tag = b'"%b"' % sha256(body).hexdigest()[:16].encode()
            self._files[b"" if name == "index.html" else name.encode()] = (body, media, tag)

    def __call__(self, exchange: Exchange) -> Response:
        """:raises RouteNotFound: there is no such file. :raises MethodNotAllowed: anything but GET and HEAD."""
        read_only(exchange)
        request = exchange.request
        path = request.path
        if path in (b"/", PATH.encode()):
            fields = [(b"Date", self._date.now()), (b"Location", b"/dashboard/"), (b"Content-Length", b"0")]
            return Response(302, b"Found", fields, b"")
        found = self._files.get(path.removeprefix(b"/dashboard/"))
        if found is None:
            raise RouteNotFound("There is no such file.")
        body, media, tag = found
        fields = [
            (b"Date", self._date.now()),
            (b"ETag", tag),
            (b"Cache-Control", b"no-cache"),
            (b"Content-Security-Policy", POLICY),
            (b"X-Content-Type-Options", b"nosniff"),
            (b"Referrer-Policy", b"no-referrer"),
            (b"Cross-Origin-Opener-Policy", b"same-origin"),
        ]
        if field_value(request.fields, b"if-none-match") == tag:
            return Response(304, b"Not Modified", fields, b"", bodyless=True)
        fields += [(b"Content-Type", media), (b"Content-Length", b"%d" % len(body))]
        return Response(200, b"OK", fields, body)
