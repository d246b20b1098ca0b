"""
The image, made by the steps of the Dockerfile without an engine: in a directory instead of a root file system, by this
Python, and with the packages that are installed here. Then it is run as a container would run it.
"""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

import apigw
from tests.test_dockerfile import FINAL, STEPS, Step, context, copied

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
"""Seconds for one step of another process."""

COMPILING = 500.0
"""The same where the path of a request is compiled."""

CAN_COMPILE = shutil.which("cc") is not None and Path(sysconfig.get_path("include"), "Python.h").exists()

pytestmark = pytest.mark.timeout(600)

PLACES = ("/opt/apigw", "/etc/apigw", "/src")
"""Absolute paths of the image that its steps name."""

TWISTD = """\
#!/bin/sh
exec "$(dirname "$0")/python" "$0.py" "$@"
"""
"""Comes with Twisted, where that is installed and not found elsewhere."""


class Image:
    """:ivar root: stands for ``/``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stage = -1
        self._directory = "/"
        self._environ: dict[str, str] = {}

    def inside(self, text: str) -> str:
        """With the paths of the image where they are here."""
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        return text

    def path(self, name: str) -> Path:
        return self.root / str(Path(self._directory, name)).lstrip("/")

    @property
    def environ(self) -> dict[str, str]:
        """Of a process in it: what is set there, and what finds Python."""
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        given = {name: self.inside(value).replace("$PATH", path) for name, value in self._environ.items()}
        return {"PATH": path, "LANG": "C.UTF-8", **given}

    def make(self, step: Step) -> None:
        if step.stage != self._stage:
            self._stage, self._directory, self._environ = step.stage, "/", {}
        if step.name == "WORKDIR":
            self._directory = step.rest
            self.path("").mkdir(parents=True, exist_ok=True)
        elif step.name == "ENV":
            self._environ |= dict(pair.split("=", 1) for pair in step.rest.split())
        elif step.name == "COPY":
            self._copy(step)
        elif step.name == "RUN":
            self._run(step.rest)

    def _copy(self, step: Step) -> None:
        *sources, target = step.rest.split()
        if "from" in step.options:
            assert sources == [target], "an environment of Python can't be moved"
            assert self.path(target).is_dir()
            return
        files = copied(step)
        assert files
        for name in files:
            [source] = [one for one in sources if name == one or name.startswith(f"{one}/")]
            below = Path(name).relative_to(source) if name != source else Path(Path(name).name)
            whole = name == source and not target.endswith("/")
            there = self.path(target) if whole else self.path(target) / below
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, there)

    def _run(self, command: str) -> None:
        if command.startswith("apt-get "):
            return  # the compiler: it is here, or nothing is compiled
        if not CAN_COMPILE:
            command = command.replace("APIGW_COMPILE=1 ", "")
        # pip finds what is required installed already, and so downloads nothing.
        offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
        subprocess.run(
            ["/bin/sh", "-c", self.inside(command)],
            cwd=self.path(""),
            env=self.environ | offline,
            timeout=COMPILING,
            check=True,
        )
        for packages in self.root.glob("opt/apigw/lib/python*/site-packages"):
            (packages / "here.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
            twistd = self.root / "opt/apigw/bin/twistd"
            twistd.write_text(TWISTD, "utf-8")
            twistd.with_name("twistd.py").write_text("from twisted.scripts.twistd import run\n\nrun()\n", "utf-8")
            twistd.chmod(0o755)

    def files(self) -> dict[str, tuple[int, int]]:
        """All that is in it: when each was changed, and its size."""
        found = {}
        for path in self.root.rglob("*"):
            status = path.lstat()
            found[os.fspath(path)] = (status.st_mtime_ns, status.st_size)
        return found

    def words(self, name: str) -> list[str]:
        """Of what the last stage says to run, with the program's path."""
        program, *words = FINAL[name].words()
        found = shutil.which(program, path=self.environ["PATH"])
        assert found is not None
        assert found.startswith(str(self.root)), f"{found} is not of the image"
        return [found, *words]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    image = Image(tmp_path_factory.mktemp("image"))
    for step in STEPS:
        image.make(step)
    return image


@pytest.fixture
def port() -> Iterator[int]:
    """A free one, which is kept until the test begins."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        found = free.getsockname()[1]
    yield found


def test_the_gateway_in_it_is_that_of_the_checkout(image: Image) -> None:
    [packages] = image.root.glob("opt/apigw/lib/python*/site-packages")
    expected = {name for name in context() if name.startswith("apigw/")}
    made = {f"apigw/{path.relative_to(packages / 'apigw')}" for path in (packages / "apigw").rglob("*")}
    assert expected <= made
    assert not list(packages.glob("pip*"))  # nobody installs anything in a container
    assert (packages / "twisted/plugins/dropin.cache").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_it_runs_healthy_stops_in_order_and_writes_nothing(image: Image, port: int, workers: int) -> None:
    before = image.files()
    environ = image.environ | {
        "PORT": str(port),
        "USER_SERVICE_URL": "http://127.0.0.1:9",
        "APIGW__GATEWAY__WORKERS": str(workers),
    }
    process = subprocess.Popen(image.words("ENTRYPOINT"), cwd=image.path(""), env=environ, stdout=subprocess.DEVNULL)
    try:
        ends = monotonic() + PATIENCE
        while _check(image, environ) != 0:
            assert process.poll() is None
            assert monotonic() < ends
            sleep(0.1)
        process.send_signal(signal.Signals[FINAL["STOPSIGNAL"].rest])
        assert process.wait(PATIENCE) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    assert _check(image, environ) != 0
    assert image.files() == before


def _check(image: Image, environ: dict[str, str]) -> int:
    """:return: the exit status of the health check."""
    done = subprocess.run(image.words("HEALTHCHECK"), env=environ, timeout=PATIENCE, check=False, capture_output=True)
    return done.returncode


@pytest.mark.skipif(not CAN_COMPILE, reason="no C compiler, or no headers of Python")
def test_what_is_compiled_passes_the_tests_of_the_path(image: Image, tmp_path: Path) -> None:
    """In another place, where the checkout's own apigw isn't found."""
    [packages] = image.root.glob("opt/apigw/lib/python*/site-packages")
    assert all(list(packages.glob(f"{directory}/{name}.*.so")) for directory, names in compiled() for name in names)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    told = "import apigw.core, sys; sys.exit(not apigw.core.__file__.endswith('.so'))"
    wire = ("wire/test_forward.py", "wire/test_garbage.py")
    tests = [f"tests/{name}" for name in ("http1", "path", "web", "test_finder.py", *wire)]
    for words in (["-c", told], ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(packages)},
            timeout=COMPILING,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def compiled() -> list[tuple[str, tuple[str, ...]]]:
    """What setup.py names: directories, and their modules."""
    for node in ast.parse((ROOT / "setup.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED":
            found: dict[str, tuple[str, ...]] = eval(ast.unparse(node.value))
            return list(found.items())
    raise AssertionError("setup.py doesn't say what is compiled")


def test_errors_of_one_function_are_told_apart_by_name() -> None:
    """Compiled, a name has one type in a function: the second ``except ... as error`` of another type would raise."""
    faults = []
    for path in (ROOT / directory / f"{name}.py" for directory, names in compiled() for name in names):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                types: dict[str, str] = {}
                for node in ast.walk(function):
                    if isinstance(node, ast.ExceptHandler) and node.name and node.type is not None:
                        text = ast.unparse(node.type)
                        if types.setdefault(node.name, text) != text:
                            faults.append(f"{path}:{node.lineno}: {node.name} is {types[node.name]} before")
    assert faults == []


def test_nothing_interpreted_is_derived_of_what_is_compiled() -> None:
    """It couldn't be instantiated."""
    modules = {f"{directory}/{name}".replace("/", ".") for directory, names in compiled() for name in names}
    faults = []
    for found in pkgutil.walk_packages(apigw.__path__, "apigw."):
        if found.name.endswith("__main__") or found.name in modules:
            continue
        for kind in vars(importlib.import_module(found.name)).values():
            if isinstance(kind, type) and kind.__module__ == found.name:
                faults += [f"{kind} of {base}" for base in kind.__mro__ if base.__module__ in modules]
    assert faults == []


def test_its_file_is_a_configuration_that_it_takes(image: Image) -> None:
    command = [*image.words("ENTRYPOINT"), "--config", image.inside("/etc/apigw/gw.ini"), "--check"]
    done = subprocess.run(command, env=image.environ, timeout=PATIENCE, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.rpartition("/")[2]) == (0, "gw.ini: ok\n")
