"""The files that `render --into` writes can be used to install."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.host import hypervisor
from tests.e2e.conftest import Ended, Project

pytestmark = pytest.mark.vm


def test_the_script_installs(project: Project, built: Ended, nothing_left: None) -> None:
    place = project.folder / "by, hand"
    assert project.run("render", "small", "--into", str(place)).code == 0
    assert (place / "ks.cfg").stat().st_mode & 0o777 == 0o600
    with hypervisor.connected(hide_kvm=True):
        with subprocess.Popen(["sh", place / "virt-install.sh"], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                seen = any("imagebuild-success:" in line for line in process.stdout)
            finally:
                process.kill()
        assert seen, (place / "console.log").read_text()[-2000:]
        with hypervisor.connected(hide_kvm=True) as connection:
            for _ in range(240):
                if connection.state("imagebuild-small").status == "gone":
                    break
                time.sleep(0.5)
            connection.end("imagebuild-small")
            # virt-install's, which whoever calls it by hand has to remove
            for pool, path in connection.pools().items():
                if place in (Path(path), *Path(path).parents):
                    connection.forget_pool(pool)
    assert (place / "disk.raw").stat().st_blocks * 512 > 100 * 1024**2


@pytest.mark.slow
def test_a_machine_of_the_domain_definition_boots(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    """Emulated, as there may be no KVM (without cx16: see EMULATED_KERNEL_ARGUMENTS), its serial
    console in a file.
    """
    name = variant(
        (
            "disk: {size: 2GiB}",
            (
                "disk: {size: 2GiB}\nmachine: {virt_type: qemu, networks: [user], memory: 1GiB, cpu: {model: "
                "qemu64, features: {cx16: disable}}}"
            ),
        ),
    )
    place = project.folder / "machine"
    place.mkdir()
    shutil.copy(project.folder / str(built.last("artifact")["image"]), place / f"{name}.qcow2")
    text, _ = project.start("render", name, "--domain", "--images", str(place)).communicate()
    log = place / "console.log"
    text = text.replace('<serial type="pty">', f'<serial type="file"><source path="{log}" />')
    text = text.replace('<console type="pty">', f'<console type="file"><source path="{log}" />')
    with hypervisor.connected(hide_kvm=True) as connection:
        virsh = ["virsh", "--connect", connection.uri, "create", "--validate", "/dev/stdin"]
        subprocess.run(virsh, input=text, text=True, check=True)
        try:
            for _ in range(600):
                if log.exists() and b" login: " in log.read_bytes():
                    break
                assert connection.state(name).status == "running"
                time.sleep(0.5)
            else:
                pytest.fail(f"no login: {log.read_text()[-2000:]}")
        finally:
            connection.end(name)


def test_libvirt_accepts_the_domain_definition(project: Project, built: Ended) -> None:
    """It is defined for an emulated machine, as there may be no KVM, with schema validation, and
    then removed.
    """
    text, _ = project.start("render", "small", "--domain", "--name", "imagebuild-definition").communicate()
    with hypervisor.connected(hide_kvm=True) as connection:
        virsh = ["virsh", "--connect", connection.uri]
        emulated = text.replace('type="kvm"', 'type="qemu"').replace('mode="host-model"', 'mode="maximum"')
        subprocess.run([*virsh, "define", "--validate", "/dev/stdin"], input=emulated, text=True, check=True)
        try:
            native = ["domxml-to-native", "qemu-argv", "--domain", "imagebuild-definition"]
            argv = subprocess.run([*virsh, *native], capture_output=True, text=True, check=True).stdout
        finally:
            subprocess.run([*virsh, "undefine", "imagebuild-definition"], check=True)
    assert "virtio-blk" in argv
