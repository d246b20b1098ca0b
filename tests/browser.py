"""
A headless Chromium, driven over a pipe in the DevTools protocol: each step waits for its answer, none for a time.

The protocol: https://chromedevtools.github.io/devtools-protocol/, one JSON message after the other, each with a NUL.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

START = 60.0
"""Seconds until it must speak: its first start on a busy machine reads a lot."""

BOUND = 20.0
"""Seconds that any step may take."""

FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
)


PIPES = """\
import fcntl, os, sys
read, write = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.closerange(5, 1000)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Gives the descriptors the numbers that Chromium looks for: it reads commands from 3 and answers to 4."""


class BrowserError(AssertionError):
    """What Chromium says it can't do, or what a script threw."""


class Browser:
    """Made by :func:`browser`."""

    def __init__(self, process: subprocess.Popen[bytes], write: int, read: int) -> None:
        self._process = process
        self._write = write
        self._read = read
        self._received = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", bound: float = BOUND, **parameters: Any) -> dict[str, Any]:
        """
        Have a command done.

        :raises BrowserError: it can't be, or takes too long.
        """
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = monotonic() + bound
        while True:
            answer = self._message(until)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error'].get('message')}")
                result: dict[str, Any] = answer["result"]
                return result
            self._events.append(answer)

    def event(self, method: str, session: str) -> dict[str, Any]:
        """The parameters of the next event of that kind; waits for it."""
        until = monotonic() + BOUND
        while True:
            for event in self._events:
                if event.get("method") == method and event.get("sessionId") == session:
                    self._events.remove(event)
                    parameters: dict[str, Any] = event["params"]
                    return parameters
            self._events.append(self._message(until))

    def events(self, method: str, session: str) -> list[dict[str, Any]]:
        """The parameters of all events of that kind that came so far; they stay."""
        return [
            event["params"]
            for event in self._events
            if event.get("method") == method and event.get("sessionId") == session
        ]

    def forget(self, session: str) -> None:
        """Drop the events of a page."""
        self._events = [event for event in self._events if event.get("sessionId") != session]

    def page(self, url: str = "about:blank") -> Page:
        """A new tab, in which ``url`` is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        if url != "about:blank":
            page.go(url)
        return page

    def _message(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - monotonic()))
            if not ready:
                raise BrowserError("Chromium doesn't answer")
            data = os.read(self._read, 1 << 20)
            if not data:
                raise BrowserError(f"Chromium has ended with the status {self._process.wait(BOUND)}")
            self._received += data
        first, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """As :meth:`Browser.call`, of this tab."""
        return self._browser.call(method, self._session, **parameters)

    def go(self, url: str) -> None:
        """Load ``url``; returns after its ``load`` event."""
        self._browser.forget(self._session)
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise BrowserError(f"{url}: {failed}")
        self._browser.event("Page.loadEventFired", self._session)

    def run(self, script: str) -> Any:
        """
        The value of an expression, or of the promise that it is, by way of JSON.

        :raises BrowserError: it threw, or the promise was rejected.
        """
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        thrown = answer.get("exceptionDetails")
        if thrown is not None:
            text = thrown.get("exception", {}).get("description") or thrown.get("text")
            raise BrowserError(f"{script}: {text}")
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a JavaScript expression is true, looked at with each frame's timer, up to :data:`BOUND`."""
        limit = int(BOUND * 900)
        self.run(
            f"new Promise((done, fail) => {{ const end = Date.now() + {limit}; const look = () => {{"
            f" if ({condition}) done(); else if (Date.now() > end) fail(new Error('in vain'));"
            " else setTimeout(look, 20); }; look(); })"
        )

    def text(self, selector: str = "body") -> str:
        """What is to be read in the first element that a CSS selector fits."""
        found: str = self.run(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def problems(self) -> list[str]:
        """What scripts threw, and what the console has of errors, since the page was loaded."""
        self.run("0")  # events that came before its answer are here with it
        thrown = self._browser.events("Runtime.exceptionThrown", self._session)
        logged = self._browser.events("Log.entryAdded", self._session)
        called = self._browser.events("Runtime.consoleAPICalled", self._session)
        return [
            *(one["exceptionDetails"].get("exception", {}).get("description", "?") for one in thrown),
            *(one["entry"]["text"] for one in logged if one["entry"]["level"] == "error"),
            *(str(one["args"]) for one in called if one["type"] == "error"),
        ]

    def requests(self) -> list[str]:
        """URLs that the page has asked for since it was loaded."""
        self.run("0")
        return [one["request"]["url"] for one in self._browser.events("Network.requestWillBeSent", self._session)]

    def picture(self, path: Path) -> None:
        """Write a PNG of what is to be seen."""
        path.write_bytes(b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(*flags: str, hosts: Mapping[str, str] | None = None) -> Iterator[Browser]:
    """
    A Chromium of its own, with a new profile, that ends with the block.

    :param hosts: names and the addresses that they shall have; ``*.example.test`` goes, too.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program is not None, "install chromium"
    rules = ", ".join(f"MAP {name} {address}" for name, address in (hosts or {}).items())
    their_read, write = os.pipe()
    read, their_write = os.pipe()
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
        if rules:
            command.insert(1, f"--host-resolver-rules={rules}")
        process = subprocess.Popen(
            [sys.executable, "-c", PIPES, str(their_read), str(their_write), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(their_read, their_write),
            start_new_session=True,
        )
        os.close(their_read)
        os.close(their_write)
        found = Browser(process, write, read)
        try:
            found.call("Browser.getVersion", bound=START)
            yield found
        finally:
            os.close(write)
            os.close(read)
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended, and all of its own
            process.wait(BOUND)
