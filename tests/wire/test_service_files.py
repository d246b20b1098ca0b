"""The files of etc/ that a machine with systemd takes: its own tools find no fault, and what they do is right."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.wire.gateway import Gateway
from tests.wire.sockets import connect
from tests.wire.test_workers import until

ROOT = Path(__file__).parents[2]
ETC = ROOT / "etc"
PAGE = (ROOT / "docs/operations/systemd.md").read_text("utf-8")
PATIENCE = 25.0
"""Seconds for one step of another process."""

GET = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"


def tool(name: str, package: str, *arguments: str | Path) -> str:
    """Run it, without a complaint. :return: what it says."""
    program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, f"these tests need {name}: apt install {package}"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, as they would be where the gateway is installed in this environment."""
    here = f"{Path(sys.executable).parent}/"
    units = []
    for file in sorted((ETC / "systemd").iterdir()):
        text = file.read_text("utf-8").replace("/opt/apigw/bin/", here)
        units.append(tmp_path / file.name)
        units[-1].write_text(text, "utf-8")
    return units


def service() -> dict[str, list[str]]:
    """The keys of [Service], with all that each says."""
    found: dict[str, list[str]] = {}
    text = (ETC / "systemd/apigw.service").read_text("utf-8")
    for line in text.partition("[Service]\n")[2].partition("[Install]")[0].splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_systemd_finds_no_fault(units: list[Path]) -> None:
    assert [unit.name for unit in units] == ["apigw.service", "apigw.socket"]
    assert tool("systemd-analyze", "systemd", "verify", "--man=no", "--recursive-errors=no", *units) == ""


def exposure(unit: Path) -> float:
    said = tool("systemd-analyze", "systemd", "security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for apigw.service: ([0-9.]+)", said)
    assert found is not None, said
    return float(found[1])


def test_the_exposure_is_what_the_page_says(units: list[Path]) -> None:
    quoted = re.search(r"Overall exposure level for apigw.service: ([0-9.]+)", PAGE)
    with_peers = re.search(r"the score is ([0-9.]+) then", PAGE)
    assert quoted is not None
    assert with_peers is not None
    unit = units[0]
    assert exposure(unit) <= float(quoted[1]) + 0.05  # another systemd weighs it a little differently
    [drop_in] = re.findall(r"```\n\[Service\]\n(IPAddressDeny.*?)```", PAGE, re.DOTALL)
    unit.write_text(unit.read_text("utf-8").replace("[Service]\n", f"[Service]\n{drop_in}"), "utf-8")
    assert exposure(unit) <= float(with_peers[1]) + 0.05


def test_what_it_runs_is_the_gateway_and_its_check() -> None:
    unit = service()
    here = Path(sys.executable).parent
    [start] = unit["ExecStart"]
    program, *words = shlex.split(start)
    assert Path(program).name == "twistd"
    words[words.index("/etc/apigw/gw.ini")] = str(ETC / "gw.ini")
    done = subprocess.run([here / "twistd", *words, "--check"], capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done
    check, hang_up = unit["ExecReload"]
    _, *words = check.replace("/etc/apigw/gw.ini", str(ETC / "gw.ini")).split()
    done = subprocess.run([sys.executable, *words], capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done
    assert hang_up == "/bin/kill -HUP $MAINPID"


def test_a_stop_is_told_to_the_main_process_alone() -> None:
    """Workers would take a second signal as the wish to cut."""
    assert service()["KillMode"] == ["mixed"]


def test_the_user_is_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    program = shutil.which("systemd-sysusers")
    assert program is not None, "these tests need systemd-sysusers: apt install systemd"
    file = ETC / "sysusers.d/apigw.conf"
    subprocess.run([program, f"--root={tmp_path}", file], capture_output=True, timeout=PATIENCE, check=True)
    [line] = (tmp_path / "etc/passwd").read_text("ascii").splitlines()
    name, _, user, _, _, home, shell = line.split(":")
    assert (name, home) == ("apigw", "/var/lib/apigw")
    assert shell.endswith("nologin")
    assert int(user) != 0
    assert service()["User"] == service()["Group"] == [name]
    assert f"/var/lib/{service()['StateDirectory'][0]}" == home


def test_no_line_is_lost_when_the_log_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    config = f"[gateway]\naccess_log = {log}\n[listener:public]\nendpoint = tcp:0:interface=127.0.0.1\n"
    with Gateway(tmp_path, config) as gateway:
        rules = (ETC / "logrotate.d/apigw").read_text("utf-8")
        for there, instead in (
            ("/var/log/apigw/*.log", f"{tmp_path}/*.log"),
            ("    su apigw apigw\n", ""),
            ("systemctl kill --kill-whom=main --signal=USR1 apigw.service", f"kill -USR1 {gateway.pid}"),
        ):
            assert there in rules
            rules = rules.replace(there, instead)
        (tmp_path / "rules").write_text(rules, "utf-8")
        (tmp_path / "rules").chmod(0o600)
        wire = connect(gateway.port)
        for number in range(3):
            for _ in range(2):
                wire.send(GET % b"/health")
                assert wire.answer().status == 200
            if number < 2:
                until(lambda: log.exists() and log.stat().st_size > 0)
                tool("logrotate", "logrotate", "--force", "--state", tmp_path / "state", tmp_path / "rules")
        wire.close()
        gateway.signal(signal.SIGTERM)
        gateway.ends()
    kept = {file.name: file for file in tmp_path.glob("access.log*")}
    assert set(kept) == {"access.log", "access.log.1", "access.log.2.gz"}
    unzipped = subprocess.run(["gzip", "-dc", kept["access.log.2.gz"]], capture_output=True, text=True, check=True)
    texts = [unzipped.stdout, *(kept[name].read_text("utf-8") for name in ("access.log.1", "access.log"))]
    assert sum(text.count("\n") for text in texts) == 6
    assert all(texts)


def test_the_log_that_is_rotated_is_where_the_unit_may_write(tmp_path: Path) -> None:
    rules = (ETC / "logrotate.d/apigw").read_text("utf-8")
    assert f"/var/log/{service()['LogsDirectory'][0]}/*.log {{" in rules
    assert service()["ProtectSystem"] == ["strict"]
    with_log, _ = ini_examples("operations/systemd.md")
    assert "access_log = /var/log/apigw/access.log\n" in with_log
    loads(with_log.replace("/var/log/apigw", os.fspath(tmp_path)), "gw.ini", {})


def test_the_sockets_of_the_unit_are_those_of_the_documented_example() -> None:
    listens = (ETC / "systemd/apigw.socket").read_text("utf-8").count("\nListenStream=")
    _, with_sockets = ini_examples("operations/systemd.md")
    names = [listener.endpoint.text for listener in loads(with_sockets, "gw.ini", {}).listeners]
    assert names == [f"systemd:domain=INET6:index={number}" for number in range(listens)]
