"""HTTP/2 of the real gateway with clients that others have made: nghttp, h2load and Chromium (curl: test_http2.py)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.authority import Authority, write
from tests.browser import browser
from tests.wire.gateway import BOUND, Gateway
from tests.wire.shop import Shop
from tests.wire.test_websocket import Chat

INI = """\
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = a.pem
[listener:plain]
endpoint = tcp:0:interface=127.0.0.1
http2 = yes
[service:shop]
urls = http://127.0.0.1:{port}
[route:shop]
path = /
service = shop
[service:chat]
urls = http://127.0.0.1:{chat}
[route:chat]
path = /chat
service = chat
upgrade = websocket
"""


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def chat() -> Iterator[Chat]:
    chat = Chat()
    yield chat
    chat.close()


@pytest.fixture(scope="module")
def gateway(shop: Shop, chat: Chat, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("clients")
    root = Authority("root")
    write(directory / "root.pem", root.pem)
    write(directory / "a.pem", root.issue("a.test", "localhost"))
    with Gateway(directory, INI.format(port=shop.port, chat=chat.port), listeners=2) as gateway:
        yield gateway


def url(gateway: Gateway, listener: str, path: str = "/") -> str:
    return f"{'https' if listener == 'secure' else 'http'}://localhost:{gateway.ports[listener]}{path}"


def run(name: str, *arguments: str) -> str:
    program = shutil.which(name)
    assert program is not None, "install nghttp2-client"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=3 * BOUND, check=True).stdout


@pytest.mark.parametrize("listener", ["secure", "plain"])
def test_nghttp(gateway: Gateway, listener: str, tmp_path: Path) -> None:
    told = run(
        "nghttp", "--null-out", "--verbose", "--no-dep", url(gateway, listener, "/a"), url(gateway, listener, "/b")
    )
    assert len(re.findall(r":status: 200", told)) == 2
    assert "recv (stream_id=0, last_stream_id" not in told
    (tmp_path / "sent").write_bytes(bytes(300_000))
    sent = ("--data", str(tmp_path / "sent"), "--trailer", "x-sum: 1", "--padding=64")
    told = run("nghttp", "--null-out", "--stat", "--verbose", *sent, url(gateway, listener, "/upload"))
    assert ":status: 200" in told
    assert "RST_STREAM" not in told


@pytest.mark.parametrize("listener", ["secure", "plain"])
@pytest.mark.parametrize("options", [(), ("-w", "10"), ("-d",)])
def test_h2load(gateway: Gateway, listener: str, options: tuple[str, ...], tmp_path: Path) -> None:
    if options == ("-d",):
        (tmp_path / "sent").write_bytes(bytes(50_000))
        options = ("-d", str(tmp_path / "sent"))
    told = run("h2load", "-n", "400", "-c", "4", "-m", "20", *options, url(gateway, listener))
    assert "400 total, 400 started, 400 done, 400 succeeded, 0 failed, 0 errored, 0 timeout" in told
    assert "status codes: 400 2xx" in told
    assert "Application protocol: h2" in told


PAGE = """\
Promise.all([...Array(30).keys()].map(number =>
  fetch('/page/' + number, number % 2 ? {method: 'POST', body: 'x'.repeat(100000)} : {})
    .then(async answer => [answer.status, (await answer.text()).length])
)).then(found => ({
  found,
  protocols: [...new Set(performance.getEntriesByType('resource').map(entry => entry.nextHopProtocol))],
  page: performance.getEntriesByType('navigation')[0].nextHopProtocol,
}))
"""

SOCKET = """\
new Promise(done => {
  const socket = new WebSocket("wss://" + location.host + "/chat");
  socket.onopen = () => socket.send("hello");
  socket.onmessage = event => { socket.close(); done(event.data); };
  socket.onclose = event => done(event.code);
})
"""


def test_a_browser(gateway: Gateway) -> None:
    port = gateway.ports["secure"]
    with browser("--ignore-certificate-errors", hosts={"a.test": "127.0.0.1"}) as chromium:
        page = chromium.page(f"https://a.test:{port}/page")
        told = page.run(PAGE)
        assert (told["page"], told["protocols"]) == ("h2", ["h2"])
        assert [status for status, _ in told["found"]] == [200] * 30
        assert {size for _, size in told["found"]} == {8000, 108000}
        # For which it makes a connection of HTTP/1.1 by itself.
        assert page.run(SOCKET) == "hello"
        gateway.wait(lambda: any(line["status"] == 101 for line in gateway.logged))
        [line] = [line for line in gateway.logged if line["status"] == 101]
        assert line["protocol"] == "HTTP/1.1"
