"""The demo services as a process of their own, which writes the name and port of each: `python -m benchmarks.demo`."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as twisted_reactor

from apigw.demo import DemoService


def main() -> None:
    reactor: Any = twisted_reactor
    for name in DemoService.NAMES:
        print(name, DemoService(reactor, name).listen(), flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
