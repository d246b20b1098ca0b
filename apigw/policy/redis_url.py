"""
Where a Redis server is, as one URL.

``redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]``, ``rediss://`` for TLS, ``unix:///PATH[?db=DB]``, and for a master that
Sentinels know ``redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT],.../MASTER[/DB]`` or ``rediss+sentinel://``. Source: the
schemes ``redis`` and ``rediss`` as registered with IANA; the others as redis-py and Celery have them.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import field, frozen

PORT = 6379
SENTINEL_PORT = 26379

_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")


@frozen
class RedisUrl:
    """
    :ivar hosts: host and port of the server, or of each Sentinel.
    :ivar path: of a UNIX socket, in place of ``hosts``.
    :ivar master: name of the master that the Sentinels know; empty without any.
    :ivar user: empty for the default user.
    :ivar sentinel_password: for the Sentinels themselves.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    tls: bool = False
    master: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)
    database: int = 0

    def __str__(self) -> str:
        """Without secrets."""
        if self.path:
            return f"unix://{self.path}"
        where = ",".join(f"{host}:{port}" for host, port in self.hosts)
        scheme = f"redis{'s' * self.tls}{'+sentinel' * bool(self.master)}"
        return f"{scheme}://{where}{'/' * bool(self.master)}{self.master}"


def parse_redis_url(text: str) -> RedisUrl:
    """:raises ValueError: what is wrong, without the text, which may hold a password."""
    scheme, found, rest = text.partition("://")
    if not found or scheme not in _SCHEMES:
        raise ValueError("begins with none of redis://, rediss://, unix://, redis+sentinel:// and rediss+sentinel://")
    credentials, at, rest = rest.rpartition("@")
    user, _, password = credentials.partition(":") if at else ("", "", "")
    split = urlsplit(f"//{rest}" if scheme != "unix" else f"unix://{rest}")
    query = parse_qs(split.query, strict_parsing=True) if split.query else {}
    unknown = set(query) - {"db", "sentinel_password"}
    if unknown:
        raise ValueError(f"has {sorted(unknown)[0]!r} after the ?, where only db and sentinel_password may stand")
    steps = [step for step in split.path.split("/") if step]
    master = ""
    if scheme == "unix":
        if not split.path or split.netloc:
            raise ValueError("has no absolute path, write unix:///run/redis.sock")
        steps = []
    elif scheme.endswith("sentinel"):
        if not steps:
            raise ValueError("names no master, write redis+sentinel://HOST:26379/NAME")
        master = unquote(steps.pop(0))
    if len(steps) > 1:
        raise ValueError("has more in its path than the number of a database")
    return RedisUrl(
        () if scheme == "unix" else tuple(_hosts(split.netloc.split(","), SENTINEL_PORT if master else PORT)),
        split.path if scheme == "unix" else "",
        scheme.startswith("rediss"),
        master,
        unquote(user),
        unquote(password),
        query.get("sentinel_password", [""])[0],
        _number((steps or query.get("db", ["0"]))[0], "database", 0, 1_000_000),
    )


def _hosts(texts: Iterable[str], default: int) -> Iterable[tuple[str, int]]:
    for text in texts:
        host, found, port = text.rpartition(":")
        if not found or text.endswith("]"):
            host, port = text, ""
        host = host.strip("[]")
        if not host:
            raise ValueError("has no host")
        yield host, _number(port, "port", 1, 65535) if port else default


def _number(text: str, name: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ValueError(f"has {text!r} as its {name}, which is no number from {low} to {high}")
    return int(text)
