"""Pools, volumes and definitions of a real libvirt host; the lock on a pool; uploads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.host.libvirt_host import LibvirtHost, VolumeExistsError, connected_to
from imagebuild.publish import lease, upload
from imagebuild.publish.release import Release
from tests.publish.fleet import FleetHost, fleet

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetHost]:
    with fleet(1, folder=tmp_path_factory.mktemp("fleet")) as hosts:
        yield hosts[0]


@pytest.fixture
def libvirt(machine: FleetHost) -> Iterator[LibvirtHost]:
    with connected_to("host1", machine.tls_uri) as connection:
        yield connection
    machine.run("find", machine.pool_path, "-mindepth", "1", "-delete")
    machine.virsh("pool-refresh", "default")


def nothing(_done: int, _all: int) -> None:
    pass


def test_a_pool_is_made_with_its_folder(libvirt: LibvirtHost, machine: FleetHost) -> None:
    assert libvirt.pool("more") is None
    libvirt.make_pool("more", "/srv/a & b/more")
    found = libvirt.pool("more")
    assert found is not None
    assert (found.path, found.type, found.active) == ("/srv/a & b/more", "dir", True)
    assert "more" in machine.virsh("pool-list", "--autostart")
    machine.virsh("pool-destroy", "more")
    assert libvirt.pool("more").active is False  # type: ignore[union-attr]
    machine.virsh("pool-undefine", "more")


def test_a_pool_that_cannot_be_made_leaves_nothing(libvirt: LibvirtHost) -> None:
    with pytest.raises(HostError, match="host1: cannot make the storage pool bad in /proc/1/x"):
        libvirt.make_pool("bad", "/proc/1/x")
    assert libvirt.pool("bad") is None


def test_a_name_is_claimed_once(libvirt: LibvirtHost, machine: FleetHost) -> None:
    libvirt.create_file("default", "a", 4096, 0o600)
    with pytest.raises(VolumeExistsError):
        libvirt.create_file("default", "a", 4096, 0o600)
    machine.run("touch", f"{machine.pool_path}/b")
    with pytest.raises(VolumeExistsError):
        libvirt.create_file("default", "b", 4096, 0o600)
    libvirt.delete_volume("default", "a")
    libvirt.delete_volume("default", "a")
    assert libvirt.volume("default", "a") is None


def test_bytes_arrive_as_they_are_and_are_counted(libvirt: LibvirtHost) -> None:
    data = bytes(range(256)) * 40_000
    libvirt.create_file("default", "a", len(data), 0o600)
    assert list(libvirt.upload("default", "a", 0, [data[:5_000_000], data[5_000_000:]], len(data)))[-1] == len(data)
    assert b"".join(libvirt.download("default", "a")) == data
    assert b"".join(libvirt.download("default", "a", 1000, 24)) == data[1000:1024]
    with pytest.raises(HostError, match="3 bytes of 10 were written"):
        list(libvirt.upload("default", "a", 0, [b"abc"], 10))


def test_errors_name_the_host_and_what_was_to_be_done(libvirt: LibvirtHost) -> None:
    with pytest.raises(HostError, match="host1: cannot list the volumes of the storage pool nowhere: "):
        libvirt.volumes("nowhere")
    absent = "qemu+unix:///system?socket=/none"
    with pytest.raises(HostError, match="host2: cannot connect to libvirt: "), connected_to("host2", absent):
        pass


def test_an_upload_goes_on_where_it_was_cut(libvirt: LibvirtHost, make_release: Callable[..., Release]) -> None:
    file = make_release("1", mib=9).files[0]
    content = file.path.read_bytes()
    libvirt.create_file("default", file.stored.name, len(content), 0o444)
    cut = 5_000_000
    list(libvirt.upload("default", file.stored.name, 0, [content[:cut]], cut))
    sent = upload.uploaded(libvirt, "default", file.path, file.stored, nothing)
    assert len(content) - cut <= sent < len(content) - cut + (128 << 10)
    read = upload.read_back(libvirt, "default", file.stored.name, len(content), nothing)
    assert read == file.stored.sha256
    assert upload.uploaded(libvirt, "default", file.path, file.stored, nothing) == 0, "it is complete"


def test_other_bytes_under_the_name_are_left_alone(
    libvirt: LibvirtHost, machine: FleetHost, make_release: Callable[..., Release]
) -> None:
    file = make_release("1").files[0]
    path = f"{machine.pool_path}/{file.stored.name}"
    size = file.stored.size
    for make in (f"echo mine > '{path}'", f"yes mine | head -c {size} > '{path}'"):
        machine.run("sh", "-c", make)
        machine.virsh("pool-refresh", "default")
        before = machine.run("sha256sum", path)
        with pytest.raises(ImageBuildError, match="with other content"):
            upload.uploaded(libvirt, "default", file.path, file.stored, nothing)
        assert machine.run("sha256sum", path) == before


def test_one_wrong_byte_in_a_complete_file_is_found(
    libvirt: LibvirtHost, machine: FleetHost, make_release: Callable[..., Release]
) -> None:
    file = make_release("1").files[0]
    upload.uploaded(libvirt, "default", file.path, file.stored, nothing)
    path = f"{machine.pool_path}/{file.stored.name}"
    machine.run("sh", "-c", f"printf x | dd of='{path}' bs=1 seek=70000 conv=notrunc status=none")
    assert upload.read_back(libvirt, "default", file.stored.name, file.stored.size, nothing) != file.stored.sha256


def test_a_pool_has_one_publisher_at_a_time(libvirt: LibvirtHost, machine: FleetHost) -> None:
    order = []
    with lease.leased(libvirt, machine.tls_uri, "default") as first:

        def second() -> None:
            with connected_to("host1", machine.tls_uri) as other, lease.leased(other, machine.tls_uri, "default"):
                order.append("second")

        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(3)
        order.append("first")
        first.check()
    waiting.join(60)
    assert order == ["first", "second"]
    assert libvirt.volume("default", lease.NAME) is None


def test_the_lock_of_a_dead_publisher_is_taken_over(
    libvirt: LibvirtHost, machine: FleetHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lease, "STALE", 3.0)
    with lease.leased(libvirt, machine.tls_uri, "default") as held:
        held._ended.set()  # as if its process hung
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # as if the other one ran on another computer
        with lease.leased(libvirt, machine.tls_uri, "default") as other:
            other.check()
            with pytest.raises(HostError, match="another publisher took over the lock"):
                held.check()


def test_a_file_in_place_of_the_lock_does_not_block_for_ever(
    libvirt: LibvirtHost, machine: FleetHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "EMPTY", 3.0)
    machine.run("sh", "-c", f"echo '[[[[' > {machine.pool_path}/{lease.NAME}")
    with lease.leased(libvirt, machine.tls_uri, "default") as held:
        held.check()


def test_images_in_a_folder_that_is_no_pool_can_be_examined(libvirt: LibvirtHost, machine: FleetHost) -> None:
    images = "qemu-img create -q -f qcow2 base 1M; qemu-img create -q -f qcow2 -b base -F qcow2 vm"
    machine.run("sh", "-ec", f"mkdir -p /srv/x; cd /srv/x; {images}")
    found = {one.name: one for one in libvirt.look_in("/srv/x")}
    assert found["vm"].backing.endswith("base")
    assert found["vm"].backing_format == "qcow2"
    assert [pool.name for pool in libvirt.pools()] == ["default"]
    with pytest.raises(HostError):
        libvirt.look_in("/does/not/exist")
