"""What stands around the package: requirements, Makefile, .ci/run, changelog."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

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
    assert (
        imported((ROOT / "apigw").rglob("*.py"))
        <= lists["RUN"] | lists["REDIS"] | lists["COMPRESSION"] | lists["GRAPHQL"]
    )


def test_what_tests_import_is_required() -> None:
    lists = setup_lists()
    # greenlet is what pytest-twisted stands on.
    assert imported((ROOT / "tests").rglob("*.py")) <= lists["RUN"] | lists["TEST"] | {"greenlet"}


def test_an_import_is_found() -> None:
    assert imported([Path(__file__)]) == {"pytest"}


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
