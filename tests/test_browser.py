"""The browser that other tests look through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import BrowserError, browser


def test_what_a_page_does_is_seen(tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("<p>other</p>", encoding="utf-8")
    first = tmp_path / "page.html"
    first.write_text(
        "<title>t</title><button onclick=\"setTimeout(() => document.querySelector('p').innerText = 'clicked', 50)\">"
        "</button><p>\u00fc</p><script>console.error('said'); nowhere();</script>",
        encoding="utf-8",
    )
    with browser() as chromium:
        page = chromium.page(first.as_uri())
        assert (page.text("p"), page.run("new Promise(done => setTimeout(() => done([1, null]), 10))")) == (
            "\u00fc",
            [1, None],
        )
        page.click("button")
        page.wait("document.querySelector('p').innerText == 'clicked'")
        problems = page.problems()
        assert len(problems) == 2
        assert any("nowhere is not defined" in problem for problem in problems)
        assert any("said" in problem for problem in problems)
        assert page.requests() == [first.as_uri()]
        page.picture(tmp_path / "page.png")
        assert (tmp_path / "page.png").read_bytes()[:4] == b"\x89PNG"
        page.go(other.as_uri())
        assert (page.text(), page.problems()) == ("other", [])
        for script in ("thrown()", "Promise.reject(new Error('thrown'))"):
            with pytest.raises(BrowserError, match="thrown"):
                page.run(script)
        with pytest.raises(BrowserError, match="ERR_FILE_NOT_FOUND"):
            page.go((tmp_path / "none.html").as_uri())
