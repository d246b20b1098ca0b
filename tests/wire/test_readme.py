"""The tour of the README: what it says that comes out, comes out."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.wire.gateway import TWISTD, Gateway

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (.*)$", re.MULTILINE)

CHANGING = [
    (r"[0-9a-f]{32}", r"[0-9a-f]{32}"),
    (r"apigw-[0-9a-f]{8}", r"apigw-[0-9a-f]{8}"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", r"[A-Za-z0-9:, ]{29}"),
    (r"\d+\.\d+ms", r"\d+\.\d+ms"),
    (r"127\.0\.0\.1:8080", r"127\.0\.0\.1:\d+"),
    (r"curl/[\d.]+", r"curl/[\d.]+"),
    (r"TwistedWeb/[\d.]+", r"TwistedWeb/[\d.]+"),
]
"""What differs from run to run."""


def steps(block: str) -> Iterator[tuple[str, str]]:
    """:return: commands, and what came out."""
    parts = _COMMAND.split(block)
    yield from zip(parts[1::2], parts[2::2], strict=True)


def expected(text: str) -> str:
    """A pattern; white space may be broken elsewhere, and ``...`` stands for all the rest."""
    shown, dots, _ = " ".join(text.split()).partition("...")
    pieces = re.split("|".join(f"({what})" for what, _ in CHANGING), shown)
    pattern = ""
    groups = len(CHANGING)
    for at in range(0, len(pieces), groups + 1):
        pattern += re.escape(pieces[at])
        for number, found in enumerate(pieces[at + 1 : at + 1 + groups]):
            if found is not None:
                pattern += CHANGING[number][1]
    return pattern + (".*" if dots else "")


BLOCKS = [list(steps(block)) for block in _BLOCK.findall(README)]
TOUR = [step for block in BLOCKS for step in block if not step[0].startswith("make ")]


def test_the_tour_is_there() -> None:
    assert len(TOUR) >= 8
    assert [step[0] for step in BLOCKS[0]] == [
        "make run      # sets up everything and starts the gateway, with small demo services inside",
        "make test     # sets up everything and runs the tests",
    ]


def test_the_tour(tmp_path: Path) -> None:
    text = (ROOT / "etc/gw.ini").read_text("utf-8")
    text = text.replace("endpoint = tcp:8080\n", "endpoint = tcp:0:interface=127.0.0.1\n", 1)
    text = text.replace("endpoint = tcp:9900:", "endpoint = tcp:0:", 1)
    with Gateway(tmp_path, text, listeners=2) as gateway:
        admin = f"http://127.0.0.1:{gateway.ports['admin']}"
        for command, output in TOUR:
            if command.startswith("cat "):
                (tmp_path / command.split()[1]).write_text(output.lstrip("\n"))
                continue
            found = run(command.replace("127.0.0.1:8080", f"127.0.0.1:{gateway.ports['public']}"), admin, tmp_path)
            assert re.fullmatch(expected(output), " ".join(found.split()), re.DOTALL), f"{command}\n{found}"


def run(command: str, admin: str, directory: Path) -> str:
    command = re.sub(r"\bcurl ", "curl -sS ", command)
    command = command.replace(".venv/bin/twistd", shlex.quote(str(TWISTD)))
    python = shlex.quote(str(TWISTD.with_name("python")))
    command = re.sub(r"\.venv/bin/python -m apigw (\w+)", rf"{python} -m apigw \1 --admin {admin}", command)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, shell=True, cwd=directory, env=environ, capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout + done.stderr


def test_the_line_of_the_log(tmp_path: Path) -> None:
    shown = json.loads(README.split("```json\n", 1)[1].split("```", 1)[0])
    text = (ROOT / "etc/gw.ini").read_text("utf-8").replace("tcp:8080\n", "tcp:0:interface=127.0.0.1\n", 1)
    with Gateway(tmp_path, text.replace("tcp:9900:", "tcp:0:", 1), listeners=2) as gateway:
        run(f"curl http://127.0.0.1:{gateway.ports['public']}/api/v1/users/7 -H x-request-id:the-one", "", tmp_path)
        line = gateway.line("the-one")
    assert list(line) == list(shown)
    same = (
        "method",
        "path",
        "protocol",
        "route",
        "service",
        "peer",
        "status",
        "bytes_out",
        "attempts",
        "error",
        "user",
    )
    assert {key: line[key] for key in same} == {key: shown[key] for key in same}
