"""What is wrong between sections, each of them being right in itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from attrs import frozen

from apigw.config.model import DemoSection, GatewayConfig, ListenerSection, RouteSection, ServiceSection
from apigw.config.option import section_kinds
from apigw.config.problems import DEFAULT, ConfigError, Origin, did_you_mean

S = TypeVar("S")


@frozen
class Found:
    """
    What there is to check.

    :ivar sections: by header, those that are right in themselves.
    :ivar names: of all sections of a kind, also of those with errors.
    :ivar origins: of sections (with an empty key) and of values.
    """

    sections: Mapping[str, object]
    names: Mapping[str, Iterable[str]]
    origins: Mapping[tuple[str, str], Origin]

    def of(self, cls: type[S]) -> Iterator[tuple[str, S]]:
        """Headers and sections of one class."""
        for header, section in self.sections.items():
            if isinstance(section, cls):
                yield header, section

    def error(self, header: str, key: str, message: str) -> ConfigError:
        origin = self.origins.get((header, key)) or self.origins.get((header, ""), DEFAULT)
        return ConfigError(origin, header, key, message)

    def place(self, header: str, key: str) -> str:
        """For the text of another's error."""
        origin = self.origins.get((header, key))
        return f"[{header}]" if origin is None else f"[{header}] ({origin})"


def check(found: Found) -> Iterator[ConfigError]:
    """All that is wrong."""
    yield from _references(found)
    yield from _demo(found)
    yield from _listeners(found)
    yield from _routes(found)


def _references(found: Found) -> Iterator[ConfigError]:
    for kind in section_kinds(GatewayConfig).values():
        for key, option in kind.options.items():
            if option.refers_to:
                known = found.names[option.refers_to]
                for header, section in found.of(kind.cls):
                    name = option.of(section)
                    if name is not None and name not in known:
                        hint = did_you_mean(name, known) or f", add [{option.refers_to}:{name}]"
                        yield found.error(header, key, f"there is no [{option.refers_to}:{name}]{hint}")


def _demo(found: Found) -> Iterator[ConfigError]:
    if any(demo.enabled for _, demo in found.of(DemoSection)):
        return
    for header, service in found.of(ServiceSection):
        for peer in service.urls:
            if peer.scheme == "demo":
                yield found.error(header, "urls", f"{peer.url!r} needs enabled = yes in [demo]")


def _listeners(found: Found) -> Iterator[ConfigError]:
    earlier: list[tuple[str, ListenerSection]] = []
    for header, listener in found.of(ListenerSection):
        for other, before in earlier:
            if listener.endpoint.overlaps(before.endpoint):
                place = found.place(other, "endpoint")
                message = f"{str(listener.endpoint)!r} is taken by {place}, write another port or address"
                yield found.error(header, "endpoint", message)
                break
        earlier.append((header, listener))


def _routes(found: Found) -> Iterator[ConfigError]:
    """Two routes that match the same requests with nothing that makes one of them more specific."""
    alike: dict[object, list[tuple[str, RouteSection]]] = {}
    for header, route in found.of(RouteSection):
        same = alike.setdefault((route.path.shape, route.headers), [])
        for other, before in same:
            if _overlap(route.host, before.host) and _overlap(route.methods, before.methods):
                place = found.place(other, "path")
                message = (
                    f"{str(route.path)!r} matches the same requests as {place}, change one of them or leave it out"
                )
                yield found.error(header, "path", message)
                break
        same.append((header, route))


def _overlap(these: tuple[str, ...], those: tuple[str, ...]) -> bool:
    return these == those or not set(these).isdisjoint(those)
