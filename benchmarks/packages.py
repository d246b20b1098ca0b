"""Contenders that npm and pip have: installed into a cache directory outside of the checkout, in fixed versions."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).with_name("contenders") / "sources"
INSTALL_LIMIT = 600  # seconds


class InstallError(Exception):
    """A package manager failed; the message is what it said."""


def node() -> Path:
    """The directory that has or will have node_modules; another one for other versions."""
    return cache("node", (SOURCES / "package.json").read_bytes())


def python() -> Path:
    """The interpreter of the virtual environment for contenders in Python."""
    wanted = (SOURCES / "requirements.txt").read_bytes() + platform.python_version().encode()
    return cache("python", wanted) / "venv/bin/python"


def cache(kind: str, wanted: bytes) -> Path:
    """A directory for what ``wanted`` says; another one for every other."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "apigw-benchmarks" / f"{kind}-{hashlib.sha256(wanted).hexdigest()[:12]}"


def missing_node() -> str:
    if not shutil.which("node"):
        return "no node on the PATH"
    return "" if _stamp(node()).exists() else "its packages aren't there; --install brings them by npm"


def missing_python() -> str:
    return "" if _stamp(python().parents[2]).exists() else "its packages aren't there; --install brings them by pip"


def node_version(package: str) -> str:
    """Of an installed package, with that of Node."""
    found = json.loads((node() / "node_modules" / package / "package.json").read_text())["version"]
    ran = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=10, check=True)
    return f"{found} on Node {ran.stdout.strip().removeprefix('v')}"


def python_versions() -> str:
    return (SOURCES / "requirements.txt").read_text().replace("==", " ").replace("\n", ", ").strip(", ")


def install() -> None:
    """Bring what isn't there yet. :raises InstallError: a package manager is missing or failed."""
    if missing_node():
        directory = node()
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCES / "package.json", directory)
        _run("npm", "install", "--prefix", str(directory), "--ignore-scripts", "--no-audit", "--no-fund")
        _stamp(directory).touch()
    if missing_python():
        interpreter = python()
        directory = interpreter.parents[2]
        _run(sys.executable, "-m", "venv", "--clear", str(directory / "venv"))
        _run(str(interpreter), "-m", "pip", "install", "--quiet", "-r", str(SOURCES / "requirements.txt"))
        _stamp(directory).touch()


def _stamp(directory: Path) -> Path:
    return directory / ".installed"


def _run(*argv: str) -> None:
    print("install:", " ".join(argv), file=sys.stderr, flush=True)
    try:
        subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_LIMIT, check=True)
    except FileNotFoundError:
        raise InstallError(f"no {argv[0]} on the PATH") from None
    except subprocess.CalledProcessError as error:
        raise InstallError(f"{' '.join(argv)} failed\n{error.stdout}{error.stderr}") from None
    except subprocess.TimeoutExpired:
        raise InstallError(f"{' '.join(argv)} took more than {INSTALL_LIMIT} s") from None
