"""The decisions of scripts/setup.sh, on fake machines; what it installs is tested by CI's own machine."""

from __future__ import annotations

import os
import runpy
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagebuild.host.process import Completed, run

ROOT = Path(__file__).resolve().parent.parent
SETUP = ROOT / "scripts" / "setup.sh"
KERNEL = "6.12.0-test"


@dataclass(frozen=True)
class Machine:
    """A machine as the script sees it: files under ``root``, a package manager and an identity under ``bin``."""

    root: Path
    bin: Path

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def is_a(self, release: str) -> None:
        (self.root / "etc" / "os-release").write_text(release, encoding="utf-8")

    def has(self, *packages: str) -> None:
        """Only these packages are installed."""
        (self.root / "installed").write_text("".join(f"{name}\n" for name in packages), encoding="utf-8")

    def has_kernel(self) -> None:
        (self.root / "boot" / f"vmlinuz-{KERNEL}").touch()
        (self.root / "lib" / "modules" / KERNEL).mkdir(parents=True)

    def setup(self, *options: str) -> Completed:
        env = {"PATH": f"{self.bin}:{os.environ['PATH']}", "SETUP_ROOT": str(self.root)}
        return run([SETUP, *options], env=env, timeout=60, check=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "root", tmp_path / "bin")
    for folder in (machine.root / "etc", machine.root / "boot", machine.bin):
        folder.mkdir(parents=True)
    query = f'shift 3; for p in "$@"; do grep -qx "$p" {machine.root}/installed && echo "%s"; done; true'
    machine.program("dpkg-query", query % "installed $p")
    machine.program("rpm", query % "$p")
    for name in ("apt-get", "dnf", "dpkg-statoverride"):
        machine.program(name, f'echo "{name} $*" >>{machine.root}/changed')
    machine.is_a("ID=debian\n")
    machine.has()
    return machine


def listed(result: Completed) -> dict[str, str]:
    """The packages that the script listed, with their reasons."""
    rows = [line.split(None, 1) for line in result.stdout.splitlines() if line.startswith("    ")]
    return dict(rows)


def everything(machine: Machine, *options: str) -> dict[str, str]:
    result = machine.setup("--dry-run", *options)
    assert result.returncode == 0, result.stdout
    return listed(result)


def test_a_dry_run_gives_each_missing_package_a_reason_and_changes_nothing(machine: Machine) -> None:
    packages = everything(machine)
    assert {"python3-guestfs", "virtinst", "mmdebstrap", "qemu-system-x86", "linux-image-cloud-amd64"} <= set(packages)
    assert all(packages.values())
    assert not (machine.root / "changed").exists()


def test_nothing_is_printed_when_nothing_is_missing(machine: Machine) -> None:
    machine.has(*everything(machine))
    result = machine.setup("--dry-run")
    assert (result.returncode, result.stdout) == (0, "")


def test_only_missing_packages_are_listed(machine: Machine) -> None:
    machine.has(*(set(everything(machine)) - {"zstd", "virtinst"}))
    assert set(everything(machine)) == {"zstd", "virtinst"}


def test_a_kernel_with_its_modules_is_enough(machine: Machine) -> None:
    machine.has_kernel()
    assert not [name for name in everything(machine) if name.startswith("linux-image")]


def test_a_kernel_without_its_modules_is_not(machine: Machine) -> None:
    (machine.root / "boot" / f"vmlinuz-{KERNEL}").touch()
    assert "linux-image-cloud-amd64" in everything(machine)


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("ID=ubuntu\nID_LIKE=debian\n", {"linux-image-virtual", "python3-guestfs"}),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', {"linux-image-virtual", "python3-guestfs"}),
        ("ID=fedora\n", {"kernel-core", "python3-libguestfs"}),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', {"kernel-core", "python3-libguestfs"}),
    ],
    ids=["ubuntu", "derivative of ubuntu", "fedora", "rebuild of rhel"],
)
def test_each_family_has_its_own_names(machine: Machine, release: str, expected: set[str]) -> None:
    machine.is_a(release)
    names = set(everything(machine))
    assert expected <= names
    assert len({"python3-guestfs", "python3-libguestfs"} & names) == 1


@pytest.mark.parametrize("release", ["ID=plan9\n", "", "ID=arch\nID_LIKE=archlinux\n"], ids=["other", "none", "arch"])
def test_an_unknown_distribution_is_reported(machine: Machine, release: str) -> None:
    machine.is_a(release)
    result = machine.setup("--dry-run")
    assert result.returncode == 3
    assert "hint:" in result.stdout


def test_lint_asks_for_shellcheck_too(machine: Machine) -> None:
    assert set(everything(machine, "--lint")) - set(everything(machine)) == {"shellcheck"}


def test_only_tests_install_servers_and_the_programs_that_they_compare_with(machine: Machine) -> None:
    more = set(everything(machine, "--tests")) - set(everything(machine))
    assert {"openssh-server", "skopeo", "vagrant-libvirt"} <= more


def test_a_user_who_cannot_become_root_is_given_the_command(machine: Machine) -> None:
    machine.has(*(set(everything(machine)) - {"zstd", "virtinst"}))
    machine.program("id", '[ "$1" = -u ] && echo 1000 || echo somebody')
    machine.program("sudo", "exit 1")
    result = machine.setup()
    assert result.returncode == 3
    assert "sudo apt-get install --no-install-recommends virtinst zstd" in result.stdout
    assert not (machine.root / "changed").exists()


@pytest.mark.parametrize(
    ("release", "manager", "switch"),
    [
        ("ID=debian\n", "apt-get", "etc/ssh/sshd_not_to_be_run"),
        ("ID=fedora\n", "dnf", "etc/systemd/system/sshd.service"),
    ],
)
def test_the_machines_own_ssh_server_stays_off(machine: Machine, release: str, manager: str, switch: str) -> None:
    machine.is_a(release)
    machine.program("id", "echo 0")
    at_installation = machine.root / "at-installation"
    machine.program(
        manager, f'case " $* " in *" install "*) ls -d {machine.root}/{switch} >{at_installation} && exit 1;; esac'
    )
    assert machine.setup("--tests").returncode == 3, "the installation fails after it was kept off"
    assert at_installation.read_text() == f"{machine.root}/{switch}\n"


@pytest.mark.parametrize("before", [None, "#create_main_cluster = true\n", "create_main_cluster = true\n"])
def test_no_database_cluster_is_created(machine: Machine, before: str | None) -> None:
    machine.program("id", "echo 0")
    settings = machine.root / "etc/postgresql-common/createcluster.conf"
    if before is not None:
        settings.parent.mkdir(parents=True)
        settings.write_text(before)
    at_installation = machine.root / "at-installation"
    machine.program("apt-get", f'case " $* " in *" install "*) cp {settings} {at_installation} && exit 1;; esac')
    assert machine.setup("--tests").returncode == 3
    asked_for = "create_main_cluster = true\n"
    expected = asked_for if before == asked_for else f"{before or ''}create_main_cluster = false\n"
    assert at_installation.read_text() == expected, "what the administrator asks for stays"


def test_an_ssh_server_that_is_already_installed_is_left_alone(machine: Machine) -> None:
    machine.has(*(set(everything(machine, "--tests")) - {"zstd"}))
    machine.program("id", "echo 0")
    machine.program("apt-get", "exit 1")
    assert machine.setup("--tests").returncode == 3
    assert not (machine.root / "etc/ssh").exists()


def test_an_unknown_option_is_wrong_usage(machine: Machine) -> None:
    assert machine.setup("--dryrun").returncode == 2


def test_pyproject_names_are_read_without_their_versions() -> None:
    wanted = runpy.run_path(str(ROOT / "scripts" / "check_environment.py"))["wanted"]
    project = {
        "project": {"dependencies": ["click>=8.1", "pydantic>=2.7,<3", "rich[extra]>=13", "libvirt-python"]},
        "dependency-groups": {"test": ["pytest-timeout>=2"], "dev": [{"include-group": "test"}, "ruff"]},
    }
    assert wanted(project) == {"click", "pydantic", "rich", "libvirt-python", "pytest-timeout", "ruff"}


def test_the_environment_that_runs_the_tests_is_complete() -> None:
    assert runpy.run_path(str(ROOT / "scripts" / "check_environment.py"))["findings"]() == []
