"""The shell commands of the checks, run with fake programs where they are more than one command."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from imagebuild.verify import registry
from imagebuild.verify.check import Printed

WITH_PROBES = [name for name in registry.names() if registry.get(name).judge is not None]


@pytest.mark.parametrize("name", WITH_PROBES)
def test_probes_are_posix_shell(name: str) -> None:
    for command in registry.get(name).probes.values():
        subprocess.run(["sh", "-n", "-c", command], check=True, timeout=20)


Run = Callable[..., dict[str, Printed]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs all probes of a check with these programs and no others but the basic ones; paths can be
    replaced in the commands."""

    def probe(check: str, programs: Mapping[str, str], replaced: Mapping[str, str] | None = None) -> dict[str, Printed]:
        folder = tmp_path / "bin"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in ("cat", "grep", "ls", "mkdir", "readlink", "rmdir", "sed", "sleep", "sort", "tr"):
            (folder / name).symlink_to(str(shutil.which(name)))
        for name, script in programs.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        found = {}
        for name, command in registry.get(check).probes.items():
            for old, new in (replaced or {}).items():
                command = command.replace(old, new)
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                env={"PATH": str(folder)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=30,
            )
            found[name] = Printed(done.stdout.rstrip("\n"), done.returncode)
        return found

    return probe


def problems(name: str, seen: Mapping[str, Printed], **params: Any) -> list[str]:
    check = registry.get(name)
    assert check.judge is not None
    return list(check.judge(seen, registry.call(name, params).params))


@pytest.mark.seconds
def test_a_guest_that_is_starting_is_waited_for(run: Run, tmp_path: Path) -> None:
    systemctl = (
        f'if [ "$1" = is-system-running ]; then echo x >>{tmp_path}/asked; '
        f'if [ "$(grep -c x {tmp_path}/asked)" -lt 3 ]; then echo starting; exit 1; else echo running; fi; fi'
    )
    seen = run("failed-units", {"systemctl": systemctl}, {"/run/systemd/system": str(tmp_path)})
    assert seen["state"] == Printed("running", 0)
    assert problems("failed-units", seen) == []


def test_dpkg_is_asked_first(run: Run) -> None:
    # dpkg-query prints its format with real line ends.
    dpkg = 'if [ "$#" = 2 ]; then exit 0; fi; printf "%s\\n" "dpkg install ok installed" "tree install ok installed"'
    seen = run("packages", {"dpkg-query": dpkg, "rpm": "exit 1"})
    assert problems("packages", seen, installed=["tree", "vim"]) == ["the package vim is not installed"]


def test_rpm_prints_what_is_provided(run: Run) -> None:
    rpm = 'if [ "$1" = -q ]; then exit 0; fi; printf "%s\\n" rpm "kernel(foo)" /bin/sh vim-enhanced wget wget'
    seen = run("packages", {"rpm": rpm})
    assert seen["packages"].text == "(rpm)\nrpm\nvim-enhanced\nwget"
    assert problems("packages", seen, installed=["vim", "wget", "tree"]) == ["the package tree is not installed"]
    assert run("packages", {})["packages"].text == "(none)"


SSHD = "[ -d {folder} ] || {{ echo 'Missing privilege separation directory: /run/sshd'; exit 255; }}; echo ok"


@pytest.mark.parametrize("there", [True, False])
def test_sshd_gets_the_folder_that_a_socket_would_create(run: Run, tmp_path: Path, *, there: bool) -> None:
    folder = tmp_path / "sshd"
    if there:
        folder.mkdir()
    seen = run(
        "sshd",
        {"sshd": SSHD.format(folder=folder)},
        {"mkdir -m 0755 /run/sshd": f"mkdir {folder}", "rmdir /run/sshd": f"rmdir {folder}"},
    )
    assert seen["settings"] == Printed("ok", 0)
    assert folder.exists() == there


def test_the_rules_are_read_with_the_programs_that_are_there(run: Run, tmp_path: Path) -> None:
    proc = {"/proc/modules": f"{tmp_path}/modules", "/proc/net/": f"{tmp_path}/", "/etc/ufw": str(tmp_path)}
    seen = run("firewall", {}, proc)
    assert (seen["nft"].text, seen["iptables"].text) == ("(none)", "(end)")
    assert problems("firewall", seen) == []
    (tmp_path / "modules").write_text("nf_tables 372736 0 - Live 0x0\n")
    (tmp_path / "ip_tables_names").write_text("filter\n")
    seen = run("firewall", {}, proc)
    assert (seen["nft"].text, seen["iptables"].text) == ("(unknown)", "(unknown)\n(end)")
    seen = run("firewall", {"nft": "echo table", "iptables-save": "echo '-A INPUT -j DROP'"}, proc)
    assert seen["nft"].text == "(nft)\ntable\n(end)"
    assert problems("firewall", seen) == [
        "the kernel has 1 firewall rule, such as '-A INPUT -j DROP' (iptables)",
    ]
    seen = run("firewall", {"nft": "exit 1", "iptables-save": "exit 1"}, proc)
    assert (seen["nft"].text, seen["iptables"].text) == ("(nft)", "(iptables-save)")


def test_the_serial_console_probe_does_not_find_itself(run: Run) -> None:
    seen = run("serial-console", {"systemctl": "echo 'serial-getty@ttyS0.service loaded active running Getty'"})
    lines = seen["gettys"].lines
    assert lines[0].startswith("serial-getty@ttyS0.service")
    assert lines[-1] == "(end)"
    assert not any("list-units" in line for line in lines)


def test_the_disks_of_this_host_are_understood(run: Run) -> None:
    seen = run("root-file-system", {"stat": f'exec {shutil.which("stat")} "$@"'})
    for line in seen["devices"].lines:
        assert len(line.split()) in (6, 7), line
    assert len(seen["root"].text.split()) == 2
