"""``twistd apigw``: its command line, and the only place that knows the global reactor."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from twisted.application.reactors import getReactorTypes
from twisted.application.service import IService
from twisted.python import usage

from apigw import __version__
from apigw.config import ConfigErrors, show
from apigw.config.loader import loads
from apigw.notify import VARIABLES, Notify
from apigw.reload import Source
from apigw.sockets import PASSED as SOCKETS
from apigw.sockets import Sockets
from apigw.starting import Start
from apigw.upgrade import HANDED, Upgrade, followed, handed
from apigw.upgrade import PASSED as UPGRADE
from apigw.workers.passing import started, text_of

if TYPE_CHECKING:
    from apigw.service import Gateway
    from apigw.workers.supervisor import Supervisor

PASSED_ON = (SOCKETS, UPGRADE, HANDED, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", *VARIABLES)


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
            self.start = started(os.environ)
            self.followed = followed(os.environ)
            self.text = Source(self["config"], os.environ).text() if self.start is None else text_of(self.start.text)
            self.loaded = loads(self.text, self["config"] or "", os.environ)
        except ConfigErrors as errors:
            print(errors, file=sys.stderr)
            sys.exit(1)
        if self["check"]:
            print(show(self.loaded) if self["show"] else f"{self['config'] or 'environment'}: ok")
            sys.exit(0)

    def successor(self, reactor: object, notify: Notify) -> Upgrade:
        """What starts a process that follows this one, and logs where this one does."""
        twistd = self.parent
        assert twistd is not None
        log = [f"--{name}={twistd[name]}" for name in ("logfile", "logger", "prefix") if twistd[name]]
        if twistd["syslog"]:
            log.append("--syslog")
        elif not twistd["nodaemon"] and not twistd["logfile"]:
            log.append("--logfile=twistd.log")
        pid_file = os.path.abspath(twistd["pidfile"]) if twistd["pidfile"] else ""  # noqa: PTH100 (or links)
        if self.followed is not None:
            pid_file = self.followed.pid_file
        return Upgrade(["--nodaemon", "--pidfile=", *log, *self._reactor_and_rest(reactor)], pid_file, reactor, notify)

    def _reactor_and_rest(self, reactor: object) -> list[str]:
        module = type(reactor).__module__
        kind = [f"--reactor={one.shortName}" for one in getReactorTypes() if getattr(one, "moduleName", "") == module]
        config = [] if self.path is None else ["--config", self.path]
        return [*kind[:1], "apigw", *config]

    def again(self, reactor: object) -> list[str]:
        """The arguments of twistd for a worker of the same configuration."""
        return ["--nodaemon", "--pidfile=", "--logger=apigw.workers.log.observer", *self._reactor_and_rest(reactor)]


def makeService(options: Options) -> IService:
    """The tree of services for ``options.loaded``."""
    from twisted.internet import reactor

    from apigw.loop import steady
    from apigw.reload import CannotStart

    steady(reactor)
    try:
        service = _service(options, reactor)
    except CannotStart as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    twistd = options.parent
    try:
        start = Start(None if twistd is None else service.error_log.observer(twistd))
    except OSError as failed:
        print(f"--logfile: can't open {failed.filename}: {failed.strerror}", file=sys.stderr)
        sys.exit(1)
    service.setServiceParent(start)
    return start


def _service(options: Options, reactor: Any) -> Gateway | Supervisor:
    """A gateway, one of several workers, or who supervises these."""
    from apigw.service import Gateway

    source, sockets = Source(options.path, os.environ), Sockets(os.environ)
    if options.start is not None:
        from apigw.workers.worker import Worker

        return Worker(options.loaded, reactor, source, sockets, options.start)
    notify = Notify(os.environ, reactor)
    told = handed(os.environ)
    for name in PASSED_ON:
        os.environ.pop(name, None)  # it was for this process, not for those that it starts
    upgrade = options.successor(reactor, notify)
    if options.loaded.gateway.workers > 1:
        from apigw.workers.supervisor import Supervisor

        arguments = options.again(reactor)
        text = options.text
        supervisor = Supervisor(options.loaded, reactor, source, sockets, text, arguments, upgrade, notify, told)
        if options.followed is not None:
            before = options.followed
            supervisor.all_ready.addCallback(lambda _: before.tell(reactor))
        return supervisor
    if options.followed is not None:
        reactor.callWhenRunning(options.followed.tell, reactor)
    return Gateway(options.loaded, reactor, source, sockets, upgrade, notify, told)
