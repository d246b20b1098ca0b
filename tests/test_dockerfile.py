"""
The Dockerfile, as far as it can be held without an engine: the rules of good images, the files it copies, what it runs.

The rules are those of hadolint (DL....) that matter here, and a few of our own; each is shown to find its fault.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from attrs import frozen

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PATIENCE = 25.0
"""Seconds for one step of another process."""

KNOWN = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL", "USER",
    "WORKDIR",
}  # fmt: skip


@frozen
class Step:
    """
    One instruction.

    :ivar stage: which ``FROM`` it is under, from 0.
    :ivar name: in capitals.
    :ivar rest: without options, its lines joined.
    :ivar options: such as ``{"from": "build"}``.
    """

    stage: int
    name: str
    rest: str
    options: dict[str, str]

    def words(self) -> list[str]:
        """The exec form's words, or none if it is a shell's."""
        try:
            words = json.loads(self.rest.removeprefix("CMD "))
        except ValueError:
            return []
        return words if isinstance(words, list) else []


def parse(text: str) -> list[Step]:
    """The instructions of a Dockerfile, in order; comments are left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    steps: list[Step] = []
    stage = -1
    for line in filter(str.strip, joined.splitlines()):
        name, _, rest = line.strip().partition(" ")
        stage += name.upper() == "FROM"
        options = {}
        rest = re.sub(r"\s+", " ", rest.strip())
        while found := re.match(r"--([\w-]+)=(\S+) ", rest):
            options[found[1]] = found[2]
            rest = rest[found.end() :]
        steps.append(Step(stage, name.upper(), rest, options))
    return steps


def faults(text: str) -> Iterator[str]:
    """What is wrong with a Dockerfile, as ``RULE: what``."""
    steps = parse(text)
    last = max(step.stage for step in steps)
    final = [step for step in steps if step.stage == last]
    yield from _of_images(steps)
    yield from _of_commands(steps)
    yield from _of_the_user(final)
    if last == 0:
        yield "stages: the tools of the build would be in the image"
    for name in ("ENTRYPOINT", "HEALTHCHECK", "STOPSIGNAL"):
        if sum(step.name == name for step in final) != 1:
            yield f"DL4004: the image needs one {name}"
    if any(step.name == "RUN" for step in final):
        yield "stages: what is installed belongs into a stage before"
    if not any(step.name == "LABEL" and "org.opencontainers.image.title" in step.rest for step in final):
        yield "label: the image has no title"


def _of_images(steps: list[Step]) -> Iterator[str]:
    """Where stages and files come from."""
    names: list[str] = []
    for step in steps:
        if step.name == "FROM":
            image, _, name = step.rest.partition(" AS ")
            if image not in names and not re.fullmatch(r"python:3\.\d+-slim(-\w+)?", image):
                yield f"DL3006, DL3007: {image} is not a slim Python of one minor version"
            names.append(name)
        source = step.options.get("from")
        if source is not None and source not in names[:-1]:
            yield f"DL3022: no stage before is named {source}"


def _of_commands(steps: list[Step]) -> Iterator[str]:
    """What single instructions do wrong."""
    environment = " ".join(step.rest for step in steps if step.name == "ENV")
    for step in steps:
        if step.name not in KNOWN:
            yield f"DL3020, DL4000: {step.name} is not to be used, or isn't known"
        if step.name == "WORKDIR" and not step.rest.startswith("/"):
            yield f"DL3000: {step.rest} depends on what was before"
        if step.name in ("CMD", "ENTRYPOINT", "HEALTHCHECK") and not step.words():
            yield f"DL3025: {step.name} would be a shell, which passes no signals on"
        if step.name == "EXPOSE" and not 1024 <= int(step.rest.partition("/")[0]) <= 65535:
            yield f"DL3011: {step.rest} is no port that a user without rights can listen on"
        if step.name in ("ENV", "ARG") and re.search(r"(?i)token|secret|passw|_key\b", step.rest):
            yield f"secrets: whoever has the image reads {step.rest.partition('=')[0]}"
        if step.name == "HEALTHCHECK" and re.search(r"\b(curl|wget)\b", step.rest):
            yield "health: slim images have neither curl nor wget"
        if step.name != "RUN":
            continue
        if re.search(r"\b(sudo|ssh|vim|service|shutdown|top|kill|mount)\b", step.rest):
            yield f"DL3001, DL3004: that has no place in an image: {step.rest}"
        if re.search(r"(^|&& *|; *)cd ", step.rest):
            yield "DL3003: WORKDIR says it for all that follows"
        if "apt-get install" in step.rest and (
            "--no-install-recommends" not in step.rest or "rm -rf /var/lib/apt/lists" not in step.rest
        ):
            yield "DL3009, DL3015: apt-get leaves behind what nobody needs"
        if re.search(r"\bpip3?\b.* install", step.rest) and "PIP_NO_CACHE_DIR=1" not in environment:
            yield "DL3042: pip would leave its cache in the layer"
        if "|" in step.rest.replace("||", ""):
            yield "DL4006: a pipe hides that its first command failed"


def _of_the_user(final: list[Step]) -> Iterator[str]:
    """Who runs it, and who owns what is run."""
    users = [step.rest for step in final if step.name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1]):
        yield "DL3002: the last USER must be a number that isn't root's, or Kubernetes' runAsNonRoot refuses it"
    if any("chown" in step.options for step in final):
        yield "owner: who runs the code must not be able to change it"
    names = [step.name for step in final]
    if "USER" in names and "COPY" in names[names.index("USER") :]:
        yield "owner: files are copied for the user that runs them"


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore keeps ``path`` out: the last pattern counts that matches it or a directory above it."""
    out = False
    parts = path.split("/")
    above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    for pattern in patterns:
        form = re.escape(pattern.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(form, place) for place in above):
            out = not pattern.startswith("!")
    return out


def context() -> list[str]:
    """The files of the checkout that a build sees; no pattern lets hidden directories in."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    shallow = list(ROOT.iterdir())
    deep = [path for top in shallow if not top.name.startswith(".") for path in top.rglob("*")]
    names = [path.relative_to(ROOT).as_posix() for path in (*shallow, *deep) if path.is_file()]
    return [name for name in names if not ignored(name, patterns)]


def copied(step: Step) -> list[str]:
    """The files that a ``COPY`` brings from the context."""
    sources = step.rest.split()[:-1]
    return [name for name in context() if any(name == one or name.startswith(f"{one}/") for one in sources)]


STEPS = parse(DOCKERFILE)
FINAL = {step.name: step for step in STEPS if step.stage == STEPS[-1].stage}
COPIES = [step for step in STEPS if step.name == "COPY" and "from" not in step.options]


def test_it_keeps_the_rules() -> None:
    assert list(faults(DOCKERFILE)) == []


GOOD = """
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1
RUN pip install .
FROM python:3.13-slim
LABEL org.opencontainers.image.title="x"
COPY --from=build /a /a
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s \\
    CMD ["true"]
ENTRYPOINT ["true"]
"""


@pytest.mark.parametrize(
    ("found", "there", "instead"),
    [
        ("DL3002", "USER 10001:10001", "USER nobody"),
        ("DL3002", "USER 10001:10001", "USER 0"),
        ("DL3002", "USER 10001:10001", "USER 10001:0"),
        ("DL3002", "USER 10001:10001", "USER 10001\nUSER root"),
        ("DL3002", "USER 10001:10001\n", ""),
        ("DL3006", "FROM python:3.13-slim\n", "FROM python\n"),
        ("DL3006", "FROM python:3.13-slim\n", "FROM python:latest\n"),
        ("DL3006", "FROM python:3.13-slim\n", "FROM python:3-slim\n"),
        ("DL3006", "FROM python:3.13-slim\n", "FROM python:3.13\n"),
        ("DL3022", "--from=build", "--from=bulid"),
        ("DL3020", "COPY --from=build", "ADD"),
        ("DL4000", "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGTERM\nMAINTAINER me"),
        ("DL4004", "STOPSIGNAL SIGTERM", ""),
        ("DL4004", 'ENTRYPOINT ["true"]', 'ENTRYPOINT ["true"]\nENTRYPOINT ["false"]'),
        ("DL3000", "USER", "WORKDIR srv\nUSER"),
        ("DL3025", 'ENTRYPOINT ["true"]', "ENTRYPOINT true"),
        ("DL3025", 'CMD ["true"]', "CMD true"),
        ("DL3011", "USER", "EXPOSE 80\nUSER"),
        ("secrets", "PIP_NO_CACHE_DIR=1", "PIP_NO_CACHE_DIR=1 JWT_SECRET=x"),
        ("health", 'CMD ["true"]', 'CMD ["curl", "-f", "localhost"]'),
        ("DL3004", "RUN pip", "RUN sudo pip"),
        ("DL3003", "RUN pip", "RUN cd /srv && pip"),
        ("DL3009", "RUN pip", "RUN apt-get install gcc && pip"),
        ("DL3042", "ENV PIP_NO_CACHE_DIR=1\n", ""),
        ("DL4006", "install .", "install . | tail"),
        ("owner", "COPY --from=build", "COPY --from=build --chown=10001"),
        ("owner", "STOPSIGNAL", "COPY --from=build /b /b\nSTOPSIGNAL"),
        ("label", 'LABEL org.opencontainers.image.title="x"\n', ""),
        ("stages", "USER", "RUN true\nUSER"),
        ("stages", "FROM python:3.13-slim\nLABEL", "LABEL"),
    ],
)
def test_each_rule_finds_its_fault(found: str, there: str, instead: str) -> None:
    assert list(faults(GOOD)) == []
    assert there in GOOD
    assert any(found in fault for fault in faults(GOOD.replace(there, instead)))


def test_what_stops_a_container_stops_the_gateway_in_order() -> None:
    assert FINAL["STOPSIGNAL"].rest == "SIGTERM"


def test_a_build_sees_what_the_image_is_made_of_and_nothing_else() -> None:
    seen = set(context())
    used = {name for step in COPIES for name in copied(step)}
    assert used == seen
    assert not any(re.search(r"__pycache__|\.pyc$|dropin\.cache$|^tests/|^\.", name) for name in seen)


@pytest.mark.parametrize("source", sorted({source for step in COPIES for source in step.rest.split()[:-1]}))
def test_what_it_copies_is_there(source: str) -> None:
    assert any(name == source or name.startswith(f"{source}/") for name in context())


def test_the_patterns_of_what_is_ignored_mean_what_docker_says() -> None:
    patterns = ["*", "!apigw", "!etc/gw.ini", "**/*.pyc"]
    assert ignored(".git/config", patterns)
    assert ignored("etc/other.ini", patterns)
    assert ignored("apigw/web/x.pyc", patterns)
    assert not ignored("apigw/web/x.py", patterns)
    assert not ignored("etc/gw.ini", patterns)


def test_what_the_build_stage_copies_makes_the_whole_wheel(tmp_path: Path) -> None:
    source, built = tmp_path / "source", tmp_path / "built"
    for step in COPIES:
        for name in copied(step) if step.stage == 0 else ():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    offline = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", built, source]
    subprocess.run(command, cwd=tmp_path, timeout=PATIENCE, check=True)
    assert [wheel.name.startswith("apigw-") for wheel in built.iterdir()] == [True]


def test_the_entry_point_is_the_gateway(tmp_path: Path) -> None:
    program, *words = FINAL["ENTRYPOINT"].words()
    assert program == "twistd"
    assert {"-n", "--pidfile="} <= set(words)  # the root file system may be read-only
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", *words, "--version"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, timeout=PATIENCE, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("apigw ")


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_the_health_check_asks_the_gateway(status: int, healthy: bool) -> None:
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.timeout = PATIENCE
        thread = Thread(target=server.handle_request)
        thread.start()
        assert (_health_check(server.server_port) == 0) is healthy
        thread.join()
    assert asked == ["/health/live"]


def test_the_health_check_fails_where_nothing_listens() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler, bind_and_activate=False) as server:
        server.server_bind()  # but doesn't listen
        assert _health_check(server.server_port) != 0


def _health_check(port: int) -> int:
    """The exit status of the health check for a gateway on ``port``."""
    program, *words = FINAL["HEALTHCHECK"].words()
    assert program == "python"
    environment = {**os.environ, "PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
    done = subprocess.run([sys.executable, *words], env=environment, timeout=PATIENCE, check=False, capture_output=True)
    return done.returncode
