"""The packages payload: mmdebstrap runs inside the install VM. A quarter of an hour under
emulation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imagebuild.host import accelerator

from .conftest import PASSWORD, Project
from .guest_console import logged_in

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(5400)]

# The smallest system that boots to a login and answers.
TEMPLATE = """\
{% import "macros.ks.j2" as imagebuild %}
cmdline
lang C.UTF-8
keyboard us
timezone --utc UTC
{{ imagebuild.source(payload) }}
{{ imagebuild.root(root) }}
{{ imagebuild.disk() }}
bootloader --location=mbr --timeout=1 --append={{ kernel_arguments | join(" ") }}
poweroff
%packages --nocore --exclude-weakdeps
grub-pc
initramfs-tools
linux-image-cloud-amd64
systemd-sysv
udev
%end
{{ imagebuild.success(nonce) }}
"""


def test_packages_installed_in_the_vm(project: Project, variant: Callable[..., str]) -> None:
    project.write("kickstart/least.ks.j2", TEMPLATE)
    name = variant(
        ("disk: ", "installer: {payload: in-vm}\nkickstart: {template: least.ks.j2}\ndisk: "),
        ("timeout: 20m", "timeout: 75m"),
        ("packages: [lrzsz, net-tools, qemu-guest-agent, screen, tree, vim, wget]\n", ""),
    )
    ended = project.run("build", name, "--json", timeout=5000)
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    assert "payload" not in {event["step"] for event in ended.events if event["event"] == "step"}
    image = project.folder / str(ended.last("artifact")["image"])
    accel = accelerator.verdict(project.store / "host.json").accelerator
    with logged_in(image, project.folder / "in-vm.qcow2", accel, PASSWORD) as console:
        assert console.run("cat /etc/debian_version").startswith("13")
        assert re.fullmatch(r"\d+", console.run("dpkg-query -W | wc -l"))
        sources = console.run("cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null")
        assert "trixie" in sources
    assert Path(image.parent / "manifest.json").exists()
