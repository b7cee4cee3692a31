"""What doctor reports about a host: everything that may be missing, with its fix."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from imagebuild import doctor
from imagebuild.cli.main import cli
from imagebuild.doctor import HostFinding, examine
from imagebuild.errors import HostError
from imagebuild.host import accelerator, hypervisor, system_packages
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.store.store import Store


class Connection:
    """A libvirt daemon that supports these types of machines."""

    uri = "qemu:///system"

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    def can(self, virt_type: str) -> bool:
        return virt_type in self.kinds

    def qemu_uid(self) -> None:
        return None


class Usage(NamedTuple):
    free: int


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A host that has everything, emulated."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in doctor._PROGRAMS:
        (programs / name).touch(mode=0o755)
    monkeypatch.setattr(doctor, "environment", lambda: {"PATH": str(programs)})
    monkeypatch.setattr(accelerator, "verdict", lambda _cache: accelerator.Verdict("tcg", "/dev/kvm does not work"))
    monkeypatch.setattr(accelerator, "KVM", Path("/dev/null"))
    monkeypatch.setattr(doctor, "host_mirror", lambda: Mirror("https://mirror.example/debian"))
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUPERMIN_KERNEL", "/boot/vmlinuz-of-ours")
    monkeypatch.setattr(hypervisor, "check_reachable", lambda _folder, _uid: None)
    serve(monkeypatch, Connection("qemu", "kvm"))
    return Store(tmp_path / "store")


def serve(monkeypatch: pytest.MonkeyPatch, connection: Connection | HostError) -> None:
    @contextmanager
    def probed(*, hide_kvm: bool) -> Iterator[Connection]:
        assert hide_kvm
        if isinstance(connection, HostError):
            raise connection
        yield connection

    monkeypatch.setattr(hypervisor, "probed", probed)


def found(store: Store, what: str) -> HostFinding:
    (finding,) = [one for one in examine(store) if one.what == what]
    return finding


def test_a_user_who_may_not_open_kvm_is_told_the_command(host: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "refused", lambda: True)
    finding = found(host, "accelerator")
    assert finding.level == "note"
    assert finding.mend is not None
    assert finding.mend.startswith("sudo usermod --append --groups kvm ")


def test_a_host_that_has_everything(host: Store) -> None:
    findings = list(examine(host))
    assert [one for one in findings if one.level == "missing"] == []
    assert found(host, "accelerator") == HostFinding("note", "accelerator", "emulation: /dev/kvm does not work")
    assert found(host, "libvirt").found == "qemu:///system"
    assert found(host, "kernel for libguestfs").found == "/boot/vmlinuz-of-ours"


@pytest.mark.parametrize("program", sorted(doctor._PROGRAMS))
def test_a_program_that_is_missing(program: str, host: Store, tmp_path: Path) -> None:
    (tmp_path / "bin" / program).unlink()
    finding = found(host, program)
    assert (finding.level, finding.mend) == ("missing", "run `make setup`")
    assert finding.found.startswith("not installed; it ")


def test_a_module_that_this_python_cannot_import(host: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(system_packages.BINDINGS, "module_that_nobody_has", ("python3-nobody", "python3-nobody"))
    monkeypatch.setattr(doctor, "_MODULES", ("module_that_nobody_has",))
    finding = found(host, "Python module module_that_nobody_has")
    assert finding.level == "missing"
    assert finding.mend == "run `make setup`"


def test_qemu_is_missing(host: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def verdict(_cache: Path) -> accelerator.Verdict:
        raise HostError("qemu-system-x86_64 is not installed", "run `make setup`")

    monkeypatch.setattr(accelerator, "verdict", verdict)
    assert found(host, "accelerator") == HostFinding(
        "missing", "accelerator", "qemu-system-x86_64 is not installed", "run `make setup`"
    )
    assert found(host, "libvirt").level == "ok", "the rest is checked anyway"


def test_a_daemon_that_is_missing_or_cannot_run_machines(host: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, HostError("libvirtd does not answer", "start it"))
    assert found(host, "libvirt") == HostFinding("missing", "libvirt", "libvirtd does not answer", "start it")
    serve(monkeypatch, Connection("xen"))
    assert "cannot run qemu machines" in found(host, "libvirt").found


def test_little_space(host: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(3 << 30))
    finding = found(host, "space for the store")
    assert finding.level == "note"
    assert finding.found == f"3.0 GiB free at {host.root}"


def test_the_host_has_no_mirror(host: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "host_mirror", Mirror)
    assert found(host, "Debian mirror").level == "note"


def test_every_command_is_among_the_abilities() -> None:
    known = {command for one in doctor.abilities([]) for command in one.commands}
    assert known == set(cli.commands) - {"doctor", "completion"}


def test_what_depends_on_a_requirement_that_is_missing() -> None:
    findings = [HostFinding("missing", "libvirt", "none"), HostFinding("note", "accelerator", "emulation")]
    found = {one.what: one for one in doctor.abilities(findings)}
    assert found["recipes and projects"].works
    assert (found["Debian images"].works, found["Debian images"].missing) == (False, ("libvirt",))
    assert (found["the disk of an image"].works, found["the disk of an image"].emulated) == (True, True)
    assert not found["Debian images"].emulated


def test_each_ability_needs_what_is_checked(host: Store) -> None:
    checked = {one.what for one in examine(host)} | {doctor._STORE, doctor._NAMESPACE}
    assert {name for _, _, needed in doctor._ABILITIES for name in needed} <= checked
