"""What stands around the package: requirements, Makefile, .ci/run, Dockerfile, changelog."""

from __future__ import annotations

import ast
import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from attrs import frozen

import apigw

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=25, check=False
    )


# -- what is required --------------------------------------------------------------------------------------------------


def setup_lists() -> dict[str, set[str]]:
    """The requirement lists of setup.py, by their names there, as bare normalised names."""
    lists: dict[str, set[str]] = {}
    for node in ast.parse((ROOT / "setup.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.List):
            found: set[str] = set()
            for part in node.value.elts:
                if isinstance(part, ast.Starred) and isinstance(part.value, ast.Name):
                    found |= lists[part.value.id]
                else:
                    found.add(normal(ast.literal_eval(part)))
            lists[node.targets[0].id] = found
    return lists


def normal(requirement: str) -> str:
    """``pyjwt[crypto]>=2.10`` is ``pyjwt``."""
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None, requirement
    return re.sub("[-_.]+", "-", name[0]).lower()


def owned() -> dict[str, str]:
    """
    Which distribution a top-level name comes from; ours aside, which adds a plugin to Twisted's packages.

    ``importlib.metadata.packages_distributions`` finds only some of them before Python 3.11.
    """
    owners = {"zope.interface": "zope-interface"}
    for distribution in distributions():
        name = normal(distribution.metadata["Name"])
        for file in distribution.files or () if name != "apigw" else ():
            owners[file.parts[0].partition(".")[0]] = name
    return owners


def imported(files: Iterable[Path]) -> set[str]:
    """The distributions that these files import from, the standard library and the project aside."""
    tops = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module is not None:
                dotted = node.module.split(".")
                tops.add("zope.interface" if dotted[:2] == ["zope", "interface"] else dotted[0])
    owners = owned()
    tops -= {*sys.stdlib_module_names, "apigw", "tests", "benchmarks"}
    return {owners[top] for top in tops}


def test_what_is_imported_is_required() -> None:
    lists = setup_lists()
    assert imported((ROOT / "apigw").rglob("*.py")) <= lists["RUN"] | lists["REDIS"] | lists["COMPRESSION"]


def test_what_tests_import_is_required() -> None:
    lists = setup_lists()
    # greenlet is what pytest-twisted stands on.
    assert imported((ROOT / "tests").rglob("*.py")) <= lists["RUN"] | lists["TEST"] | {"greenlet"}


def test_an_import_is_found() -> None:
    assert imported([Path(__file__)]) == {"attrs", "pytest"}


@pytest.mark.parametrize("folder", ["apigw", "tests", "twisted"])
def test_it_is_python_3_10(folder: str) -> None:
    for file in (ROOT / folder).rglob("*.py"):
        ast.parse(file.read_text("utf-8"), str(file), feature_version=(3, 10))


@pytest.mark.parametrize("folder", ["apigw", "tests"])
def test_every_folder_is_a_package(folder: str) -> None:
    """Otherwise a wheel leaves it out, and two test files of one name clash."""
    folders = {file.parent for file in (ROOT / folder).rglob("*.py")}
    assert [str(one) for one in folders if not (one / "__init__.py").exists()] == []


def test_twisteds_packages_stay_twisteds() -> None:
    assert list((ROOT / "twisted").rglob("__init__.py")) == []


def test_the_changelog_is_ready_for_what_comes() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:]]
    assert all(released)
    if ".dev" not in apigw.__version__:
        assert [match[1] for match in released if match][:1] == [apigw.__version__]


# -- Makefile and CI ---------------------------------------------------------------------------------------------------


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Path]:
    """A Python that is too old, or that can make no environments, as the variable STUB says."""
    path = tmp_path / "python"
    path.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo Python 3.9.2; exit; fi\n'
        'case "$STUB $2" in\n'
        "  old*version_info*) exit 1;;\n"
        "  bare*ensurepip*) exit 1;;\n"
        "esac\n"
        f'exec {shlex.quote(sys.executable)} "$@"\n',
        "ascii",
    )
    path.chmod(0o755)
    yield path


@pytest.mark.parametrize(
    ("kind", "said"), [("old", "needs Python 3.10 or newer"), ("bare", "apt-get install python3-venv")]
)
def test_make_says_what_the_machine_lacks(stub: Path, tmp_path: Path, kind: str, said: str) -> None:
    done = run("make", "run", f"PYTHON={stub}", f"VENV={tmp_path / 'venv'}", STUB=kind, MAKEFLAGS="")
    assert done.returncode != 0
    assert said in done.stderr
    assert str(stub) in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("target", ["run", "test", "check", "docs"])
def test_make_installs_once(tmp_path: Path, target: str) -> None:
    """What would be done: everything at first, and nothing but the work itself once the stamps are there."""
    at_first = run("make", "--dry-run", target, f"VENV={tmp_path}", MAKEFLAGS="").stdout
    assert "venv" in at_first
    assert "install --editable" in at_first
    for stamp in (".made", ".installed-run", ".installed-test", ".installed-dev"):
        (tmp_path / stamp).touch()
    afterwards = run("make", "--dry-run", target, f"VENV={tmp_path}", MAKEFLAGS="").stdout
    assert afterwards
    assert "--editable" not in afterwards


def test_a_new_requirement_is_installed(tmp_path: Path) -> None:
    for stamp in (".made", ".installed-run", ".installed-test", ".installed-dev"):
        (tmp_path / stamp).touch()
        os.utime(tmp_path / stamp, (0, 0))
    assert "install --editable" in run("make", "--dry-run", "run", f"VENV={tmp_path}", MAKEFLAGS="").stdout


def test_ci_checks_and_tests_and_stops_at_the_first_failure() -> None:
    script = ROOT / ".ci/run"
    lines = script.read_text("utf-8").splitlines()
    assert os.access(script, os.X_OK)
    assert run("bash", "-n", script).returncode == 0
    assert "set -euo pipefail" in lines
    assert lines[-2:] == ["make check", "make test"]


# -- Dockerfile --------------------------------------------------------------------------------------------------------


@frozen
class Line:
    """One instruction; ``words`` are those of the JSON form, or else None."""

    name: str
    text: str
    words: list[str] | None


def instructions(text: str) -> list[list[Line]]:
    """The instructions of a Dockerfile, a list for each stage."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages: list[list[Line]] = []
    for whole in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, rest = whole.partition(" ")
        start = rest.find("[")
        words = json.loads(rest[start:]) if name in ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK") and start >= 0 else None
        if name == "FROM":
            stages.append([])
        stages[-1].append(Line(name, rest, words))
    return stages


def cacheless(stage: list[Line], run: Line) -> bool:
    """Whether pip keeps nothing of what it downloads."""
    settings = [line.text for line in stage if line.name == "ENV"]
    return "--no-cache-dir" in run.text or any("PIP_NO_CACHE_DIR=1" in text for text in settings)


def faults(text: str) -> Iterator[str]:
    """What is wrong with a Dockerfile; the rules are those of hadolint that matter here, and some of our own."""
    stages = instructions(text)
    last = {line.name: line for line in stages[-1]}
    if len(stages) < 2:
        yield "one stage: what builds the image stays in it"
    for stage in stages:
        image = stage[0].text.split(" ")[0]
        if not re.fullmatch(r"python:3\.\d+-slim(-\w+)?", image):
            yield f"{image}: not a slim Python of one minor version"
        for line in stage:
            if line.name == "ADD":
                yield "ADD: COPY does not unpack or download"
            if line.name == "WORKDIR" and not line.text.startswith("/"):
                yield "WORKDIR: not absolute"
            if line.name == "RUN" and "pip install" in line.text and not cacheless(stage, line):
                yield "pip leaves its cache in the image"
            if line.name == "RUN" and re.search(r"\b(sudo|curl|wget|apt-get|apk)\b", line.text):
                yield f"RUN: {line.text}"
            if line.name in ("ENV", "ARG") and re.search("SECRET|TOKEN|PASSWORD|KEY", line.text, re.IGNORECASE):
                yield f"{line.name}: a secret would stay in the image"
    if any(line.name == "RUN" and "pip" in line.text for line in stages[-1]):
        yield "the last stage installs something"
    user = last["USER"].text if "USER" in last else "0"
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", user):
        yield f"USER {user}: not the number of someone other than root"
    if "USER" in last and stages[-1].index(last["USER"]) < max(n for n, x in enumerate(stages[-1]) if x.name == "COPY"):
        yield "files are copied by the user that could then write them"
    if last.get("STOPSIGNAL", Line("", "", None)).text != "SIGTERM":
        yield "STOPSIGNAL: not the one that drains"
    for name in ("ENTRYPOINT", "HEALTHCHECK"):
        if name not in last or last[name].words is None:
            yield f"{name}: missing, or run by a shell, which passes no signals on"
    if "HEALTHCHECK" in last and re.search("curl|wget", last["HEALTHCHECK"].text):
        yield "HEALTHCHECK: a slim image has no curl"
    if "org.opencontainers.image.title" not in " ".join(line.text for line in stages[-1] if line.name == "LABEL"):
        yield "LABEL: the image has no title"


DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def test_the_dockerfile_has_no_faults() -> None:
    assert list(faults(DOCKERFILE)) == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        (r"^FROM \S+", "FROM python:latest", "not a slim"),
        (r"^FROM \S+", "FROM python:3-slim", "not a slim"),
        (r"^USER .*", "USER apigw", "USER apigw"),
        (r"^USER .*", "USER 0", "USER 0"),
        (r"^USER .*", "", "USER 0"),
        (r"^STOPSIGNAL .*", "", "STOPSIGNAL"),
        (r"^COPY apigw", "ADD apigw", "ADD"),
        (r"PIP_NO_CACHE_DIR=1", "PIP_NO_CACHE_DIR=0", "cache"),
        (r"^ENTRYPOINT .*", "ENTRYPOINT twistd -n apigw", "ENTRYPOINT"),
        (r'CMD \["python".*', "CMD curl -f http://127.0.0.1/health", "HEALTHCHECK"),
        (r"^WORKDIR /", "WORKDIR ", "WORKDIR"),
        (r"^EXPOSE .*", "RUN pip install --no-cache-dir x", "last stage"),
        (r"^EXPOSE .*", "COPY x y", "could then write"),
        (r"^EXPOSE .*", "ENV JWT_SECRET=x", "secret"),
    ],
)
def test_a_fault_of_a_dockerfile_is_found(right: str, wrong: str, fault: str) -> None:
    changed, count = re.subn(right, wrong, DOCKERFILE, flags=re.MULTILINE)
    assert count
    assert any(fault in found for found in faults(changed))


def test_the_image_is_built_from_what_docker_is_given() -> None:
    rules = [rule for rule in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if rule and rule[0] != "#"]
    assert rules[0] == "*"
    kept = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert [one for one in kept if not (ROOT / one).exists()] == []
    copies = [line.text for stage in instructions(DOCKERFILE) for line in stage if line.name == "COPY"]
    sources = {source for text in copies if "--from" not in text for source in text.split()[:-1]}
    assert {source for source in sources if not any(Path(source).is_relative_to(one) for one in kept)} == set()
    assert {one for one in kept if not any(Path(source).is_relative_to(one) for source in sources)} == set()


def test_the_container_starts_the_gateway_in_the_foreground() -> None:
    last = {line.name: line for line in instructions(DOCKERFILE)[-1]}
    entry = last["ENTRYPOINT"].words
    assert entry is not None
    assert entry[0] == "twistd"
    assert {"-n", "--nodaemon"} & set(entry)
    assert "--pidfile=" in entry, "the root file system may be read-only"


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_tells_health(status: int, healthy: bool) -> None:
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path in ("/health", "/health/live") else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    words = {line.name: line for line in instructions(DOCKERFILE)[-1]}["HEALTHCHECK"].words
    assert words is not None
    assert words[0] == "python"
    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = run(sys.executable, *words[1:], PORT=str(server.server_port), http_proxy="http://127.0.0.1:9")
        thread.join()
    assert (done.returncode == 0) is healthy


def test_the_health_check_tells_that_nobody_is_there(unused_port: int) -> None:
    words = {line.name: line for line in instructions(DOCKERFILE)[-1]}["HEALTHCHECK"].words
    assert words is not None
    assert run(sys.executable, *words[1:], PORT=str(unused_port)).returncode != 0


@pytest.fixture
def unused_port() -> int:
    """A port that was free a moment ago."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        return int(server.server_port)
