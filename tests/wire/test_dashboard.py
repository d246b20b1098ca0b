"""The dashboard in a real browser, with real traffic: what it shows is what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, Page, browser
from tests.wire.gateway import Gateway
from tests.wire.server import Server
from tests.wire.sockets import connect

TOKEN = "0123456789abcdef-board"

INI = """\
[gateway]
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:{admin}:interface=127.0.0.1
{token}
[service:shop]
urls = http://127.0.0.1:{port}
[service:gone]
urls = http://127.0.0.1:9
retry.attempts = 1
[route:shop]
path = /shop
service = shop
[route:few]
path = /few
service = shop
limit.route = 2/h
[route:gone]
path = /gone
service = gone
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    server = Server()
    server.body = b"sold"
    yield server
    server.close()


def start(directory: Path, shop: Server, admin: int = 0, token: bool = False) -> Gateway:
    line = "token_env = THE_TOKEN" if token else ""
    ini = INI.format(port=shop.port, admin=admin, token=line)
    return Gateway(directory, ini, environ={"THE_TOKEN": TOKEN}, listeners=2)


def send(gateway: Gateway, *paths: str) -> list[int]:
    """:return: statuses."""
    statuses = []
    for path in paths:
        wire = connect(gateway.port)
        wire.send(f"GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n".encode())
        statuses.append(wire.answer().status)
        wire.close()
    return statuses


def open_board(chromium: Browser, gateway: Gateway) -> Page:
    return chromium.page(f"http://127.0.0.1:{gateway.ports['admin']}/")


def cells(page: Page, selector: str) -> list[list[str]]:
    found: list[list[str]] = page.run(
        f"[...document.querySelectorAll('{selector}')].map(row => [...row.children].map(cell => cell.innerText.trim()))"
    )
    return found


def test_what_it_shows_is_what_was_sent(chromium: Browser, shop: Server, tmp_path: Path) -> None:
    with start(tmp_path, shop) as gateway:
        page = open_board(chromium, gateway)
        page.wait("document.querySelector('#link').dataset.state == 'live'")
        statuses = send(gateway, *["/shop/1?key=hunter2"] * 7, *["/few"] * 4, "/gone", "/nowhere")
        assert statuses == [200] * 7 + [200, 200, 429, 429] + [502, 404]
        page.wait("document.querySelectorAll('#tail tr.request').length == 13")
        page.wait("document.querySelectorAll('#routes tbody tr').length == 4")
        rows = {row[0]: row[1:] for row in cells(page, "#routes tbody tr")}
        totals = {name: (row[0], row[2], row[3], row[6]) for name, row in rows.items()}
        assert totals == {
            "shop": ("shop", "0", "0", "7"),
            "few": ("shop", "0", "2", "4"),
            "gone": ("gone", "1", "0", "1"),
            "no route": ("\u2013", "0", "1", "1"),
        }
        assert cells(page, "#refusals tbody tr") == [["rate-limited", "few", "2"], ["route-not-found", "no route", "1"]]
        tail = cells(page, "#tail tr.request")
        assert ["".join(row[1].split()) for row in tail].count("GET/shop/1?key=*") == 7
        assert "hunter2" not in page.run("document.documentElement.outerHTML")
        assert tail[0][2].split()[0] == "404"
        names = page.run("[...document.querySelectorAll('.service h3')].map(one => one.innerText)")
        assert names == ["shop", "gone"]
        # The whole of the figures: all in the history, and failed ones as many as there were.
        sums = page.run("[0, 1].map(index => state.history.reduce((sum, point) => sum + point[index], 0))")
        assert sums == [13, 1]
        base = f"http://127.0.0.1:{gateway.ports['admin']}/"
        assert [url for url in page.requests() if not url.startswith((base, "data:"))] == []
        assert page.problems() == []


def test_filters_and_the_waterfall_of_one_request(chromium: Browser, shop: Server, tmp_path: Path) -> None:
    with start(tmp_path, shop) as gateway:
        send(gateway, "/shop/1", "/gone", "/shop/2", "/nowhere")
        page = open_board(chromium, gateway)
        page.wait("document.querySelectorAll('#tail tr.request').length == 4")
        page.run("document.querySelector('[name=status]').value = '5xx'")
        page.run("document.querySelector('#filters').dispatchEvent(new Event('input', {bubbles: true}))")
        page.wait("document.querySelectorAll('#tail tr.request').length == 1")
        assert "502" in page.text("#tail tr.request")
        # By keyboard alone.
        page.run("document.querySelector('#tail tr.request').focus()")
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13)
        page.wait("document.querySelector('.fall')")
        fall = page.text(".fall")
        assert "gateway" in fall
        assert "127.0.0.1:9: " in fall
        total = page.run(
            "(one => phases(one).reduce((sum, phase) => sum + phase.length, 0) - one.ms)"
            "(state.tail.find(one => one.status == 502))"
        )
        assert abs(total) < 0.05
        assert page.run("document.activeElement.getAttribute('aria-expanded')") == "true"


def test_an_action_is_confirmed_and_done(chromium: Browser, shop: Server, tmp_path: Path) -> None:
    with start(tmp_path, shop) as gateway:
        page = open_board(chromium, gateway)
        page.wait("document.querySelector('.peers button')")
        page.click(".peers button")
        page.click("#ask-no")
        page.wait("!document.querySelector('#ask').open")
        assert send(gateway, "/shop") == [200]
        page.click(".peers button")
        page.click("#ask input[value=drain]")
        page.click("#ask-yes")
        page.wait("!document.querySelector('#ask').open")
        page.wait("document.querySelector('.peers .state').innerText == 'drained'")
        assert send(gateway, "/shop") == [503]
        page.click("#do-maintenance")
        page.wait("document.querySelector('#ask').open")
        page.run("document.querySelector('#ask [name=lasts]').value = 'soon'")
        page.click("#ask-yes")
        page.wait("document.querySelector('#ask-trouble').innerText.includes('must be a duration')")
        page.run("document.querySelector('#ask [name=lasts]').value = '5m'")
        page.click("#ask-yes")
        page.wait("!document.querySelector('#banner').hidden")
        assert send(gateway, "/few") == [503]


def test_it_outlives_a_restart_and_says_when_it_is_stale(chromium: Browser, shop: Server, tmp_path: Path) -> None:
    with start(tmp_path, shop) as gateway:
        send(gateway, "/shop/before")
        page = open_board(chromium, gateway)
        page.wait("document.querySelectorAll('#tail tr.request').length == 1")
        port = gateway.ports["admin"]
    page.wait("document.body.classList.contains('stale')")
    assert page.text("#link-text").startswith("stale for")
    with start(tmp_path, shop, admin=port) as gateway:
        page.wait("document.querySelector('#link').dataset.state == 'live'")
        assert not page.run("document.body.classList.contains('stale')")
        send(gateway, "/shop/after")
        page.wait("document.querySelectorAll('#tail tr.request').length == 2")
        assert ["/shop/after" in row[1] for row in cells(page, "#tail tr.request")] == [True, False]


def test_the_token_is_asked_for(chromium: Browser, shop: Server, tmp_path: Path) -> None:
    with start(tmp_path, shop, token=True) as gateway:
        page = open_board(chromium, gateway)
        for wrong in (True, False):
            page.wait("document.querySelector('#ask [name=token]') && document.querySelector('#ask').open")
            page.run(f"document.querySelector('#ask [name=token]').value = '{'x' if wrong else TOKEN}'")
            page.click("#ask-yes")
            if wrong:
                page.wait("document.querySelector('#ask-text').innerText == 'That token is not the right one.'")
        page.wait("document.querySelector('#link').dataset.state == 'live'")


def test_nothing_of_elsewhere_could_be_loaded(chromium: Browser, shop: Server, tmp_path: Path) -> None:
    with start(tmp_path, shop) as gateway:
        page = open_board(chromium, gateway)
        failed = page.run("fetch('http://localhost:9/').then(() => 'sent', error => String(error))")
        assert "TypeError" in failed
        assert any("Content Security Policy" in problem for problem in page.problems())
        with pytest.raises(AssertionError, match="TrustedHTML"):
            page.run("document.body.innerHTML = '<b>x</b>'")


@pytest.mark.parametrize(("width", "height", "phone"), [(1440, 900, False), (390, 844, True)])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_and_can_be_read(
    chromium: Browser, shop: Server, tmp_path: Path, width: int, height: int, phone: bool, theme: str
) -> None:
    with start(tmp_path, shop) as gateway:
        send(gateway, "/shop", "/gone", "/nowhere")
        page = open_board(chromium, gateway)
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        page.wait("document.querySelectorAll('#tail tr.request').length == 3")
        assert page.run("document.documentElement.scrollWidth") <= width
        # WCAG 2.1, 1.4.3: text against what is behind it.
        poor = page.run(
            """(() => {
            const light = rgb => rgb.map(c => c / 255).map(c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
                .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
            const numbers = text => text.match(/[\\d.]+/g).map(Number);
            const behind = node => {
                for (; node; node = node.parentElement) {
                    const found = numbers(getComputedStyle(node).backgroundColor);
                    if (found.length < 4 || found[3] > 0) return found.slice(0, 3);
                }
                return [255, 255, 255];
            };
            const poor = [];
            for (const node of document.querySelectorAll('dt, dd *, h1, h2, h3, td, th, button, label, p, span')) {
                if (!node.innerText || !node.offsetParent || node.closest('.zero')) continue;
                const a = light(numbers(getComputedStyle(node).color).slice(0, 3)), b = light(behind(node));
                const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
                if (ratio < 4.5) poor.push(`${node.tagName} ${node.className} ${node.innerText}: ${ratio}`);
            }
            return poor;
            })()"""
        )
        assert poor == []
        picture = tmp_path / "board.png"
        page.picture(picture)
        assert picture.stat().st_size > 10_000
