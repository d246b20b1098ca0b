"""``twistd apigw``: its command line, and the only place that knows the global reactor."""

from __future__ import annotations

import os
import sys

from twisted.application.service import IService
from twisted.python import usage

from apigw import __version__
from apigw.config import ConfigErrors, load, show


class Options(usage.Options):
    """What stands behind ``twistd apigw``."""

    synopsis = "[--config FILE] [--check [--show]]"
    longdesc = "An API gateway: one entry point between client apps and the services behind it."

    optParameters = [("config", "c", None, "The INI file; without it the environment alone configures the gateway.")]
    optFlags = [
        (
            "check",
            None,
            "Load and validate everything, print every error, and exit 0 or 1 without listening.",
        ),
        ("show", None, "With --check: print each value and where it came from; secrets are masked."),
    ]

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"apigw {__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the configuration before twistd becomes a daemon, so that its errors reach the terminal."""
        if self["show"] and not self["check"]:
            raise usage.UsageError("--show goes with --check")
        try:
            self.path = None if self["config"] is None else os.path.abspath(self["config"])  # noqa: PTH100 (or links)
            self.loaded = load(self["config"], os.environ)
        except ConfigErrors as errors:
            print(errors, file=sys.stderr)
            sys.exit(1)
        if self["check"]:
            print(show(self.loaded) if self["show"] else f"{self['config'] or 'environment'}: ok")
            sys.exit(0)


def makeService(options: Options) -> IService:
    """The tree of services for ``options.loaded``."""
    from twisted.internet import reactor

    from apigw.service import CannotStart, Gateway, Source
    from apigw.sockets import Sockets

    try:
        return Gateway(options.loaded, reactor, Source(options.path, os.environ), Sockets(os.environ))
    except CannotStart as error:
        print(error, file=sys.stderr)
        sys.exit(1)
