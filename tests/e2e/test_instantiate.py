"""A template that is published to a libvirt host becomes a machine there, which is somebody's own."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publish.fleet import FleetHost, HostFailed, fleet

from .conftest import Ended, Project

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]


@pytest.fixture
def host(tmp_path: Path, project: Project, built: Ended) -> Iterator[FleetHost]:
    """A host of the project, to which the image is published."""
    with fleet(1, folder=tmp_path) as (host,):
        entry = {"uri": host.uri, "identity_file": str(host.identity), "known_hosts_file": str(host.known_hosts)}
        project.write("imagebuild.yaml", json.dumps({"hosts": {"host1": entry}}))
        ended = project.run("publish", "small", "--to", "host1", "--unverified", "--json")
        assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
        yield host


def in_guest(host: FleetHost, address: str, command: str) -> str:
    """Log in to a machine from its host, with the key that was given to it, once its SSH server runs."""
    options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes")
    deadline = time.monotonic() + 300
    while True:
        try:
            words = ("-o", "LogLevel=ERROR", "-i", "/root/instance-key", *options, f"root@{address}", command)
            return host.run("ssh", *words, timeout=120)
        except HostFailed as error:
            if "Connection refused" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(1)


def test_a_machine_has_its_name_and_lets_its_owner_in(project: Project, host: FleetHost) -> None:
    shutil.copy(host.identity, host.outside("/root/instance-key"))
    key = host.identity.with_suffix(".pub")
    words = ("--on", "host1", "--memory", "512MiB", "--ssh-key", str(key), "--wait", "--disk-size", "3GiB")
    ended = project.run("instantiate", "small", "owned", *words, "--json")
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    made = ended.last("instantiated")
    assert made["usable"]["address"].startswith("192.168.122.")
    assert made["instance"]["way"] == "credentials"
    seen = in_guest(host, made["usable"]["address"], "hostname; cat /etc/hostname; cat /sys/class/net/eth0/address")
    assert seen.split() == ["owned", "owned", *made["instance"]["mac_addresses"]]
    sectors = int(in_guest(host, made["usable"]["address"], "cat /sys/block/vda/size"))
    assert sectors * 512 == 3 << 30
    assert "io.systemd.credential" not in host.virsh("dumpxml", "--inactive", "owned"), "they are for the first boot"
    assert project.run("instantiate", "small", "owned", "--on", "host1", "--remove").code == 0
    assert host.virsh("list", "--all", "--name").split() == ["small"]
    assert "owned" not in host.virsh("vol-list", "default")
