"""Machines from templates, on a real libvirt host. The images are empty: a machine stays in its BIOS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import imagebuild
from imagebuild.cli.main import cli
from imagebuild.errors import BootFailed, BootStalled, HostError, ImageBuildError, Interrupted, UsageError
from imagebuild.host.libvirt_host import LibvirtHost
from imagebuild.image import iso
from imagebuild.project.select import Destination
from imagebuild.publish import instance, instance_making, instance_xml
from imagebuild.publish.canary_boot import boot_check
from imagebuild.publish.first_boot import FirstBootValues
from imagebuild.publish.instance_record import InstanceRequest
from imagebuild.publish.instance_xml import HardwareChoice
from imagebuild.publish.libvirt_target import LibvirtTarget
from imagebuild.publish.opening import opened
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.release import Release
from imagebuild.publish.state import FirstBootSupport, first
from imagebuild.publish.targets.local_folder import FolderTarget
from tests.publish.conftest import entry
from tests.publish.fleet import FleetHost, fleet

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICCONPgQ2YYMhmOw9gZBcFogfjLaw1hEcublqIMGAQFg one"
USER_DATA = b"#cloud-config\nchpasswd: {users: [{name: root, password: secret-word}]}\n"
MIB = 1 << 20


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetHost]:
    with fleet(1, folder=tmp_path_factory.mktemp("fleet")) as hosts:
        yield hosts[0]


@pytest.fixture
def target(host: FleetHost, make_release: Callable[..., Release]) -> Iterator[LibvirtTarget]:
    """The host with three templates, each of which has one version; nothing else may be there afterwards."""
    with LibvirtTarget("host1", entry(host)) as target:
        if not target.templates():
            publish(target, make_release("1"), FirstBootSupport(systemd=257))
            publish(target, make_release("1", template="cloud"), FirstBootSupport(cloud_init=True, systemd=257))
            publish(target, make_release("1", template="old"), None)
        before = there(host)
        yield target
        assert there(host) == before


def publish(target: LibvirtTarget, release: Release, support: FirstBootSupport | None) -> None:
    with target.lock():
        for file in release.files:
            target.send(file, None, lambda _done, _all: None)
        new = replace(release, first_boot=support).published(release.definition)
        target.switch(first(release.template, new))


def there(host: FleetHost) -> tuple[list[str], list[str]]:
    """The domains and the volumes of a host."""
    volumes = [line.split()[0] for line in host.virsh("vol-list", "default").splitlines() if line.strip()]
    return host.virsh("list", "--all", "--name").split(), [one for one in volumes if not one.startswith(".")]


def volume(host: FleetHost, name: str) -> ET.Element:
    host.virsh("pool-refresh", "default")
    return ET.fromstring(host.virsh("vol-dumpxml", name, "default"))


def current(target: LibvirtTarget, template: str = "web") -> str:
    state = target.state(template)
    assert state is not None
    found = state.version(state.current)
    assert found is not None
    return f"{target.pool.path}/{found.files[0].name}"


def test_an_overlay(target: LibvirtTarget, host: FleetHost) -> None:
    made = instance.instantiate(target, InstanceRequest("web", "vm1", values=FirstBootValues(ssh_keys=(KEY,))))
    assert made.volumes == ("vm1.qcow2",)
    assert (made.hostname, made.way) == ("vm1", "credentials")
    disk = volume(host, "vm1.qcow2")
    assert disk.findtext("backingStore/path") == current(target)
    assert disk.find("backingStore/format[@type='qcow2']") is not None
    assert disk.findtext("target/permissions/mode") == "0600"
    text = host.virsh("dumpxml", "vm1")
    assert made.uuid in text
    assert made.mac_addresses[0] in text
    assert "io.systemd.credential.binary:ssh.authorized_keys.root=" in text
    assert host.virsh("domstate", "vm1").strip() == "shut off"
    assert target.used(target.state("web")) == {Path(current(target)).name: "the volume vm1.qcow2 in the pool default"}  # type: ignore[arg-type]
    instance.removed(target, "vm1", template="web")


def test_a_copy_of_another_size_that_runs(target: LibvirtTarget, host: FleetHost) -> None:
    choice = HardwareChoice(memory=64 * MIB, vcpus=2, networks=("user", "user"))
    wanted = InstanceRequest("web", "vm2", copy=True, disk_size=64 * MIB, machine=choice)
    made = instance.instantiate(target, wanted, start=True)
    assert host.virsh("domstate", "vm2").strip() == "running"
    disk = volume(host, "vm2.qcow2")
    assert disk.find("backingStore") is None
    assert disk.findtext("capacity") == str(64 * MIB)
    path = f"{target.pool.path}/vm2.qcow2"
    host.virsh("destroy", "vm2")
    # what the template has, and zeros behind it
    host.run("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", path, current(target))
    host.virsh("start", "vm2")
    running = ET.fromstring(host.virsh("dumpxml", "vm2"))
    assert (running.findtext("memory"), running.findtext("vcpu")) == (str(64 << 10), "2")
    assert instance_xml.cards(running) == list(made.mac_addresses)
    assert len(set(made.mac_addresses)) == 2
    instance.removed(target, "vm2")


def test_a_seed_for_cloud_init(target: LibvirtTarget, host: FleetHost, tmp_path: Path) -> None:
    values = FirstBootValues("a.example.org", (KEY,), USER_DATA)
    made = instance.instantiate(target, InstanceRequest("cloud", "vm3", values=values), start=True)
    assert made.volumes == ("vm3.qcow2", "vm3-seed.iso")
    assert volume(host, "vm3-seed.iso").findtext("target/permissions/mode") == "0600"
    text = host.virsh("dumpxml", "vm3")
    assert "sysinfo" not in text
    assert "secret-word" not in host.run("ps", "-eo", "args")
    image = tmp_path / "seed.iso"
    image.write_bytes(host.outside(f"{target.pool.path}/vm3-seed.iso").read_bytes())
    said = subprocess.run(["blkid", "-p", "-o", "value", "-s", "LABEL", image], check=True, capture_output=True)
    assert said.stdout == b"cidata\n"
    iso.extract(image, [("meta-data", tmp_path / "meta"), ("user-data", tmp_path / "user")])
    meta = yaml.safe_load((tmp_path / "meta").read_text())
    assert meta == {"instance-id": made.uuid, "local-hostname": "a.example.org", "public-keys": [KEY]}
    assert (tmp_path / "user").read_bytes() == USER_DATA
    seed = ET.fromstring(text).find("devices/disk[@device='cdrom']")
    assert seed is not None
    assert seed.find("readonly") is not None
    instance.removed(target, "vm3")


def test_several_disks_without_a_shell_on_the_host(
    host: FleetHost, target: LibvirtTarget, make_release: Callable[..., Release]
) -> None:
    one, two = make_release("2", template="two"), make_release("2", template="two-disk2", mib=1)
    disk = one.definition[one.definition.index("    <disk") : one.definition.index("    <interface")]
    text = one.definition.replace(disk, disk + disk.replace("vda", "vdb"))
    with LibvirtTarget("host1", entry(host, shell=False)) as plain:
        publish(plain, replace(one, files=(*one.files, *two.files), definition=text), FirstBootSupport(cloud_init=True))
        made = instance.instantiate(plain, InstanceRequest("two", "vm16", disk_size=64 * MIB), start=True)
        assert made.volumes == ("vm16.qcow2", "vm16-disk2.qcow2", "vm16-seed.iso")
        assert [volume(host, name).findtext("capacity") for name in made.volumes[:2]] == [str(64 * MIB), str(2 * MIB)]
        disks = ET.fromstring(host.virsh("dumpxml", "vm16")).findall("devices/disk")
        assert [found.find("target").get("dev") for found in disks] == ["vda", "vdb", "sda"]  # type: ignore[union-attr]
        backing = [found.find("backingStore/source") for found in disks[:2]]
        assert [found.get("file").rpartition("/")[2] for found in backing] == [  # type: ignore[union-attr]
            file.stored.name for file in (*one.files, *two.files)
        ]
        instance.removed(plain, "vm16")
    host.virsh("undefine", "two")
    for file in (*one.files, *two.files):
        host.virsh("vol-delete", file.stored.name, "default")


def test_a_guest_that_takes_no_values_gets_none(target: LibvirtTarget, host: FleetHost) -> None:
    made = instance.instantiate(target, InstanceRequest("old", "vm_4"))  # no host name, and needs none
    assert (made.way, made.hostname, made.volumes) == ("", "", ("vm_4.qcow2",))
    assert "sysinfo" not in host.virsh("dumpxml", "vm_4")
    instance.removed(target, "vm_4")


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        (InstanceRequest("wbe", "vm"), "has no template wbe", "did you mean 'web'?"),
        (InstanceRequest("x", "vm"), "has no template x", "known: cloud, old, web"),
        (InstanceRequest("web", "vm", "2"), "has no version 2 of web", "known: 1"),
        (InstanceRequest("web", "web"), "web is a template", "another name"),
        (InstanceRequest("web", "a/b"), "not a valid name", "letters"),
        (InstanceRequest("web", "web--1--0123456789abcdef"), "not a valid name", "letters"),
        (InstanceRequest("web", "vm_1"), "vm_1 as its host name", "--hostname"),
        (InstanceRequest("web", "vm", disk_size=MIB), "cannot become smaller", None),
        (InstanceRequest("web", "vm", machine=HardwareChoice(networks=("lan",))), "has no network lan", "network user"),
        (InstanceRequest("web", "vm", values=FirstBootValues(user_data=USER_DATA)), "takes no user data", "cloud-init"),
        (InstanceRequest("old", "vm", values=FirstBootValues("a")), "takes neither", "cloud-init"),
    ],
)  # fmt: skip
def test_refusals(target: LibvirtTarget, wanted: InstanceRequest, message: str, hint: str | None) -> None:
    with pytest.raises((UsageError, HostError)) as raised:
        instance.instantiate(target, wanted)
    assert message in raised.value.message
    assert (hint or "") in (raised.value.hint or "")


def test_names_that_are_taken(target: LibvirtTarget, host: FleetHost) -> None:
    instance.instantiate(target, InstanceRequest("web", "vm5"))
    with pytest.raises(UsageError, match="already has a domain vm5"):
        instance.instantiate(target, InstanceRequest("web", "vm5"))
    host.virsh("undefine", "vm5")
    with pytest.raises(UsageError, match=r"already a volume vm5\.qcow2"):
        instance.instantiate(target, InstanceRequest("web", "vm5"))
    host.virsh("vol-delete", "vm5.qcow2", "default")
    # a file that libvirt has not seen yet, of the last part that is made
    host.outside(f"{target.pool.path}/vm5-seed.iso").write_text("somebody's")
    with pytest.raises(UsageError, match=r"already a volume vm5-seed\.iso"):
        instance.instantiate(target, InstanceRequest("cloud", "vm5"))
    assert host.outside(f"{target.pool.path}/vm5-seed.iso").read_text() == "somebody's"
    host.virsh("vol-delete", "vm5-seed.iso", "default")


def test_a_volume_of_somebody_who_was_faster_stays(
    target: LibvirtTarget, host: FleetHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claimed(self: LibvirtHost, pool: str, name: str, size: int, mode: int) -> None:
        if name == "vm6-seed.iso":
            host.virsh("vol-create-as", "default", name, "4096")
        original(self, pool, name, size, mode)

    original = LibvirtHost.create_file
    monkeypatch.setattr(LibvirtHost, "create_file", claimed)
    with pytest.raises(UsageError, match=r"already a volume vm6-seed\.iso"):
        instance.instantiate(target, InstanceRequest("cloud", "vm6"))
    assert "vm6.qcow2" not in there(host)[1]
    host.virsh("vol-delete", "vm6-seed.iso", "default")


@pytest.mark.parametrize("method", ["create_overlay", "upload", "define", "start"])
@pytest.mark.parametrize("error", [HostError("cut off"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [False, True])
def test_nothing_is_left_when_a_part_fails(
    target: LibvirtTarget, monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException, after: bool
) -> None:
    original = getattr(LibvirtHost, method)

    def failing(self: LibvirtHost, *words: object) -> object:
        if method == "upload" and words[1] != "vm7-seed.iso":  # the lock
            return original(self, *words)
        if after:
            done = original(self, *words)
            if method == "upload":
                list(done)
        raise error

    monkeypatch.setattr(LibvirtHost, method, failing)
    with pytest.raises(type(error)):
        instance.instantiate(target, InstanceRequest("cloud", "vm7"), start=True)


def test_a_copy_that_is_interrupted_is_deleted(target: LibvirtTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def deleted(self: LibvirtHost, pool: str, name: str) -> None:
        if name == "vm8.qcow2":
            tried.append(name)
            if len(tried) < 3:
                raise HostError("volume 'vm8.qcow2' is still being allocated.")
        original(self, pool, name)

    original = LibvirtHost.delete_volume
    monkeypatch.setattr(LibvirtHost, "delete_volume", deleted)
    monkeypatch.setattr(LibvirtHost, "define", lambda *_: pytest.fail("not interrupted"))

    def interrupted(detail: str) -> None:
        if detail.startswith("defining"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        instance.instantiate(target, InstanceRequest("web", "vm8", copy=True), update=interrupted)
    assert len(tried) == 3


def test_what_cannot_be_removed_again_is_named(target: LibvirtTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise HostError("no")

    with monkeypatch.context() as patched:
        patched.setattr(LibvirtHost, "define", fails)
        patched.setattr(instance_making, "_deleted", fails)
        with pytest.raises(HostError) as raised:
            instance.instantiate(target, InstanceRequest("web", "vm9"))
    assert raised.value.hint == "what could not be removed again: the volume vm9.qcow2"
    target.host.delete_volume(target.pool.name, "vm9.qcow2")


def test_no_room(target: LibvirtTarget, host: FleetHost) -> None:
    host.fill(32 * MIB)
    try:
        with pytest.raises(HostError, match=r"no room in the storage pool default: 6[0-9] MiB are needed"):
            instance.instantiate(target, InstanceRequest("web", "vm10"))
    finally:
        host.clear()


def test_a_network_that_is_not_active(target: LibvirtTarget, host: FleetHost) -> None:
    wanted = InstanceRequest("web", "vm15", machine=HardwareChoice(networks=("default",)))
    host.virsh("net-destroy", "default")
    try:
        with pytest.raises(HostError, match="the network default is not active") as raised:
            instance.instantiate(target, wanted, start=True)
        assert raised.value.hint == "start it: virsh net-start default"
        instance.instantiate(target, wanted)
        instance.removed(target, "vm15")
    finally:
        host.virsh("net-start", "default")


@contextmanager
def altered(path: Path, content: bytes) -> Iterator[None]:
    """A file of a version with other bytes for a while."""
    right = path.read_bytes()
    path.chmod(0o644)
    try:
        path.write_bytes(content)
        yield
    finally:
        path.write_bytes(right)
        path.chmod(0o444)


def test_a_volume_of_another_size_is_not_used(target: LibvirtTarget, host: FleetHost) -> None:
    path = host.outside(current(target))
    with altered(path, path.read_bytes() + b"x"), pytest.raises(ImageBuildError, match="is not what was pub") as raised:
        instance.instantiate(target, InstanceRequest("web", "vm11"))
    assert "`imagebuild publish … --repair` with the artifact of 1" in (raised.value.hint or "")


@pytest.mark.parametrize("copy", [False, True])
def test_a_volume_with_other_bytes_is_not_used(target: LibvirtTarget, host: FleetHost, copy: bool) -> None:
    path = host.outside(current(target))
    wanted = InstanceRequest("web", "vm18", copy=copy)
    with altered(path, path.read_bytes()[:-1] + b"x"):
        with pytest.raises(ImageBuildError, match="was altered: its SHA-256") as raised:
            instance.instantiate(target, wanted)
        assert "--repair" in (raised.value.hint or "")
        instance.instantiate(target, replace(wanted, verify_stored=False))
        instance.removed(target, "vm18")
        with LibvirtTarget("host1", entry(host, shell=False)) as plain:  # all bytes would cross the network
            instance.instantiate(plain, wanted)
            instance.removed(plain, "vm18")


@pytest.mark.parametrize(
    ("choice", "option"),
    [(HardwareChoice(networks=("bridge=nobr",)), "--network"), (HardwareChoice(memory=1000 << 30), "--memory")],
)
def test_what_the_host_has_not_is_named_when_it_is_started(
    target: LibvirtTarget, choice: HardwareChoice, option: str
) -> None:
    with pytest.raises(HostError, match="cannot start the domain vm19") as raised:
        instance.instantiate(target, InstanceRequest("web", "vm19", machine=choice), start=True)
    assert option in (raised.value.hint or ""), raised.value.message


def test_a_machine_with_snapshots_is_not_ended(target: LibvirtTarget, host: FleetHost) -> None:
    instance.instantiate(target, InstanceRequest("web", "vm20"))
    # libvirt makes disks of version 2, in which QEMU keeps no bitmaps, and so no checkpoints
    host.run("qemu-img", "amend", "-f", "qcow2", "-o", "compat=1.1", f"{target.pool.path}/vm20.qcow2")
    host.virsh("start", "vm20")
    host.virsh("snapshot-create-as", "vm20", "before upgrade")
    with pytest.raises(UsageError, match=r"vm20 has 1 snapshot \(before upgrade\)") as raised:
        instance.removed(target, "vm20")
    assert "virsh snapshot-delete vm20 'before upgrade'" in (raised.value.hint or "")
    assert host.virsh("domstate", "vm20").strip() == "running"
    host.virsh("snapshot-delete", "vm20", "before upgrade")
    host.virsh("checkpoint-create-as", "vm20", "daily")
    with pytest.raises(UsageError, match=r"vm20 has 1 checkpoint \(daily\)"):
        instance.removed(target, "vm20")
    assert host.virsh("domstate", "vm20").strip() == "running"
    host.virsh("checkpoint-delete", "vm20", "daily")
    host.virsh("managedsave", "vm20")
    instance.removed(target, "vm20")


def test_only_what_was_made_here_is_removed(target: LibvirtTarget, host: FleetHost) -> None:
    instance.instantiate(target, InstanceRequest("web", "vm12"))
    for name, message in (("nothing", "has no domain"), ("web", "was not made by")):
        with pytest.raises(UsageError, match=message):
            instance.removed(target, name)
    with pytest.raises(UsageError, match="was made from web, not from cloud"):
        instance.removed(target, "vm12", template="cloud")
    options = ("--format", "qcow2", "--backing-vol", "vm12.qcow2", "--backing-vol-format", "qcow2")
    host.virsh("vol-create-as", "default", "on-top.qcow2", "8M", *options)
    with pytest.raises(UsageError, match=r"the volume on-top\.qcow2 is based on a disk of vm12"):
        instance.removed(target, "vm12")
    host.virsh("vol-delete", "on-top.qcow2", "default")
    # a disk that somebody attached is not ours, whatever its name
    host.virsh("vol-create-as", "default", "data.qcow2", "8M", "--format", "qcow2")
    disk = f"{target.pool.path}/data.qcow2"
    host.virsh("attach-disk", "vm12", disk, "vdb", "--config", "--subdriver", "qcow2")
    instance.removed(target, "vm12")
    assert "data.qcow2" in there(host)[1]
    host.virsh("vol-delete", "data.qcow2", "default")


def test_a_clone_of_a_pointer_uses_its_volumes(target: LibvirtTarget, host: FleetHost) -> None:
    host.run("virt-clone", "--quiet", "--original", "web", "--name", "clone", "--auto-clone")
    state = target.state("web")
    assert state is not None
    assert target.used(state) == {Path(current(target)).name: "the domain clone"}
    with pytest.raises(UsageError, match="clone was not made by"):
        instance.removed(target, "clone")
    host.virsh("undefine", "clone")


def test_a_machine_that_does_not_boot(target: LibvirtTarget) -> None:
    made = instance.instantiate(target, InstanceRequest("web", "vm13"), start=True)
    with pytest.raises(BootStalled, match="vm13 was not usable within 3 s"):
        instance.wait(target, made, limit=3)
    instance.removed(target, "vm13")


def test_a_machine_that_is_ended_while_it_boots(target: LibvirtTarget, host: FleetHost) -> None:
    made = instance.instantiate(target, InstanceRequest("web", "vm14"), start=True)
    ending = threading.Timer(1, lambda: host.virsh("destroy", "vm14"))
    ending.start()
    with pytest.raises(BootFailed, match="vm14 has stopped while it booted"):
        instance.wait(target, made, limit=60)
    ending.join()
    instance.removed(target, "vm14")


def test_a_version_that_does_not_boot_leaves_nothing(target: LibvirtTarget) -> None:
    with pytest.raises(BootStalled):
        instance.boots(target, "web", "1", limit=1)


def test_a_canary_that_does_not_boot_is_not_good(
    target: LibvirtTarget, host: FleetHost, make_release: Callable[..., Release]
) -> None:
    place = TargetPlace("host1", lambda: opened(Destination("host1", entry(host), Path())))
    release, stop = make_release("1"), threading.Event()
    with pytest.raises(ImageBuildError, match="was not usable within 1 s"):
        boot_check(1, stop)(place, release)
    interrupting = threading.Timer(3, stop.set)
    interrupting.start()
    with pytest.raises(Interrupted):
        boot_check(60, stop)(place, release)
    interrupting.join()


def test_storage_cannot_boot_anything(make_release: Callable[..., Release], tmp_path: Path) -> None:
    place = TargetPlace("here", lambda: nullcontext(FolderTarget("here", tmp_path)))
    with pytest.raises(ImageBuildError, match="here is not a libvirt host"):
        boot_check(1, threading.Event())(place, make_release("1"))


def write_project(folder: Path, host: FleetHost) -> None:
    values = {"uri": host.uri, "identity_file": str(host.identity), "known_hosts_file": str(host.known_hosts)}
    (folder / "imagebuild.yaml").write_text(json.dumps({"hosts": {"host1": values}}))


def test_the_command_line(
    target: LibvirtTarget, host: FleetHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path, host)
    words = ["instantiate", "web", "vm21", "--on", "host1"]
    path = host.outside(current(target))
    with altered(path, path.read_bytes()[:-1] + b"x"):
        assert isinstance(CliRunner().invoke(cli, words).exception, ImageBuildError)
        made = CliRunner().invoke(cli, [*words, "--no-verify-stored"])
    assert made.exit_code == 0, made.output
    assert "vm21 on host1, web 1, not started" in made.output
    gone = CliRunner().invoke(cli, [*words, "--remove"])
    assert gone.exit_code == 0, gone.output
    (line,) = gone.output.splitlines()
    assert line.split()[:2] == ["host1", "remove"]
    assert "vm21" in line


@pytest.mark.parametrize("seconds", [1.0, 1.5, 2.0])
def test_ctrl_c_leaves_nothing(target: LibvirtTarget, host: FleetHost, tmp_path: Path, seconds: float) -> None:
    """A terminal sends the signal to all processes, also to those that connect to the host."""
    write_project(tmp_path, host)
    argv = [sys.executable, "-m", "imagebuild", "instantiate", "cloud", "vm17", "--on", "host1", "--copy", "--wait"]
    process = subprocess.Popen(
        argv, cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(imagebuild.__file__).parents[1])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "could not be removed" not in said
    if "vm17" in there(host)[0]:  # it was complete, and waited for
        instance.removed(target, "vm17")
