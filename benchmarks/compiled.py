"""The gateway with the path of a request compiled, as APIGW_COMPILE=1 has pip build it; kept in a cache directory."""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.packages import InstallError, cache

ROOT = Path(__file__).parents[1]
PARTS = ("setup.py", "pyproject.toml", "LICENSE", "apigw", "twisted")
LIMIT = 900  # seconds


def missing() -> str:
    if not find_spec("mypyc"):
        return "mypy isn't installed, which compiles it: make check brings it"
    return "" if shutil.which("cc") or shutil.which("gcc") else "no C compiler on the PATH"


@functools.cache
def code() -> Path:
    """
    The directory to import apigw from; made where it isn't there yet, which takes a minute or two.

    :raises InstallError: it couldn't be compiled.
    """
    wanted = hashlib.sha256(platform.python_version().encode())
    for path in sorted(found for part in PARTS for found in (ROOT / part, *(ROOT / part).rglob("*"))):
        if path.suffix in (".py", ".toml"):
            wanted.update(path.read_bytes())
    directory = cache("compiled", wanted.digest())
    if not directory.exists():
        made = directory.with_name(f"{directory.name}.{os.getpid()}")
        _compile(made)
        made.rename(directory)
    return directory


def _compile(directory: Path) -> None:
    print(f"compiling the gateway into {directory}", file=sys.stderr, flush=True)
    directory.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, directory / part, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(source, directory)
    argv = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    env = {**os.environ, "APIGW_COMPILE": "1"}
    ran = subprocess.run(argv, cwd=directory, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)
    if ran.returncode:
        raise InstallError(f"the gateway can't be compiled: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    shutil.rmtree(directory / "build", ignore_errors=True)
