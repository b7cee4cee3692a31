"""Whatever is wrong with a host or an artifact: one clear sentence, and nothing half done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagebuild.publish import names
from tests.publish.fleet import FleetHost, fleet
from tests.publish.publisher import Publisher, pool_files, versions

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
MIB = 1 << 20


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetHost]:
    with fleet(1, folder=tmp_path_factory.mktemp("fleet")) as hosts:
        yield hosts[0]


@pytest.fixture
def project(host: FleetHost, tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path, [host])
    made.artifact(1)
    return made


def change(project: Publisher, old: str, new: str) -> None:
    path = project.folder / "imagebuild.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def other_key(host: FleetHost, project: Publisher) -> None:
    """Another key than the host's for its address."""
    other = project.folder / "known_hosts"
    public = host.identity.with_name(host.identity.name + ".pub").read_text()
    other.write_text(f"[127.0.0.1]:{host.port} {public}")
    change(project, str(host.known_hosts), str(other))


def no_key(host: FleetHost, project: Publisher) -> None:
    (project.folder / "known_hosts").touch()
    change(project, str(host.known_hosts), str(project.folder / "known_hosts"))


def wrong_identity(host: FleetHost, project: Publisher) -> None:
    stranger = project.folder / "id"
    shutil.copy(host.keys.stranger, stranger)
    change(project, str(host.identity), str(stranger))


def no_pool(_host: FleetHost, project: Publisher) -> None:
    change(project, "    identity_file", "    pool: nowhere\n    identity_file")


def no_such_host(host: FleetHost, project: Publisher) -> None:
    change(project, "127.0.0.1", "no-such-host.invalid")


def nobody_there(host: FleetHost, project: Publisher) -> None:
    change(project, f":{host.port}/", ":1/")


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (other_key, "another SSH host key"),
        (no_key, "has an SSH host key that is not in "),
        (wrong_identity, "accepts none of the SSH keys"),
        (no_pool, "has no storage pool nowhere; its pools: default"),
        (no_such_host, "Could not resolve hostname"),
        (nobody_there, "Connection refused"),
    ],
)
def test_a_host_that_cannot_be_used(
    host: FleetHost, project: Publisher, breakage: Callable[[FleetHost, Publisher], None], message: str
) -> None:
    breakage(host, project)
    before = pool_files(host)
    done = project.run("publish", "web", "--to", host.name)
    assert done.code == 3, "no target could be used at all"
    result = done.targets[host.name]
    assert result["status"] == "failed"
    assert message in result["message"]
    assert result["hint"]
    assert pool_files(host) == before


def test_a_pool_that_is_not_active(host: FleetHost, project: Publisher) -> None:
    host.virsh("pool-destroy", "default")
    try:
        done = project.run("publish", "web", "--to", host.name)
    finally:
        host.virsh("pool-start", "default")
    assert "the storage pool default is not active" in done.targets[host.name]["message"]
    assert "pool-start default" in done.targets[host.name]["hint"]


def test_a_pool_is_made_where_the_project_says(host: FleetHost, project: Publisher) -> None:
    change(project, "    identity_file", "    pool: templates\n    path: /srv/templates\n    identity_file")
    assert project.run("publish", "web", "--to", host.name, "--as", "other").code == 0
    assert host.virsh("pool-info", "templates").count("running") == 1
    host.virsh("undefine", "other")
    host.virsh("pool-destroy", "templates")
    host.virsh("pool-undefine", "templates")


@pytest.mark.parametrize("shell", ["true", "false"])
def test_no_room(host: FleetHost, tmp_path: Path, shell: str) -> None:
    project = Publisher(tmp_path, [host], shell=shell)
    project.artifact(1, mib=40)
    before = pool_files(host)
    host.fill(30 * MIB)
    try:
        done = project.run("publish", "web", "--to", host.name)
    finally:
        host.clear()
    assert done.code in (1, 3)
    assert "no room in the storage pool default" in done.targets[host.name]["message"]
    assert pool_files(host) == before


@pytest.mark.parametrize("shell", ["true", "false"])
def test_a_volume_of_that_name_with_other_bytes(host: FleetHost, tmp_path: Path, shell: str) -> None:
    project = Publisher(tmp_path, [host], shell=shell)
    folder = project.artifact(7)
    image = folder / "web.qcow2"
    digest = project.digest(image)
    name = names.file_name("web", folder.name, digest)
    host.run("sh", "-c", f"echo mine > '{host.pool_path}/{name}'")
    try:
        done = project.run("publish", "web", "--to", host.name)
        assert done.code == 1
        assert name in done.targets[host.name]["message"]
        assert host.run("cat", f"{host.pool_path}/{name}") == "mine\n"
        assert versions(host) == ""
    finally:
        host.run("rm", f"{host.pool_path}/{name}")
        host.virsh("pool-refresh", "default")


def test_an_artifact_that_was_altered_goes_nowhere(host: FleetHost, project: Publisher) -> None:
    image = project.folder / "artifacts/web/latest/web.qcow2"
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)
    before = pool_files(host)
    done = project.run("publish", "web", "--to", host.name)
    assert done.code == 1
    assert "was changed after it was built" in done.events[-1]["message"]
    assert pool_files(host) == before


def test_a_machine_of_somebody_with_the_template_s_name(host: FleetHost, project: Publisher) -> None:
    machine = "<name>web</name><memory>65536</memory><os><type>hvm</type></os>"
    host.outside("/root/vm.xml").write_text(f"<domain type='qemu'>{machine}</domain>")
    host.virsh("define", "/root/vm.xml")
    try:
        done = project.run("publish", "web", "--to", host.name)
        assert "has a domain web that is not a template of imagebuild" in done.targets[host.name]["message"]
        assert done.code == 3
    finally:
        host.virsh("undefine", "web")


def test_unknown_hosts_are_a_usage_error(project: Publisher) -> None:
    done = project.run("publish", "web", "--to", "hots1")
    assert done.code == 2
    assert "host1" in done.events[-1]["hint"] + done.events[-1]["message"]


def test_a_template_that_was_altered_by_hand_is_reported(host: FleetHost, project: Publisher) -> None:
    assert project.run("publish", "web", "--to", host.name).code == 0
    (file,) = [name for name in pool_files(host) if name.endswith(".qcow2")]
    host.run("sh", "-c", f"printf x | dd of='{host.pool_path}/{file}' bs=1 seek=70000 conv=notrunc status=none")
    assert project.run("templates").code == 0, "only names and sizes are compared"
    checked = project.run("templates", "--check")
    assert checked.code == 1
    assert project.run("publish", "web", "--to", host.name).code == 1
    assert project.run("publish", "web", "--to", host.name, "--repair").code == 0
    assert project.run("templates", "--check").code == 0


def test_another_pool_than_the_template_s_is_refused_and_nothing_is_lost(host: FleetHost, tmp_path: Path) -> None:
    project = Publisher(tmp_path, [host])
    for number in (1, 2, 3):
        project.artifact(number)
        assert project.run("publish", "web", "--to", host.name, "--as", "two").code == 0
    host.virsh("pool-create-as", "newp", "dir", "--target", "/srv")
    change(project, "    identity_file", "    pool: newp\n    identity_file")
    before = host.virsh("dumpxml", "two")
    try:
        for words in (
            ["publish", "web", "--to", host.name, "--as", "two"],
            ["prune", "two", "--on", host.name, "--keep", "1", "--yes"],
            ["rollback", "two", "--on", host.name],
        ):
            done = project.run(*words)
            assert done.code != 0
            assert "the images of two are in /var/lib/libvirt/images (the pool default)" in str(done.events[-1])
        assert host.virsh("dumpxml", "two") == before
    finally:
        host.virsh("pool-destroy", "newp")
        host.virsh("undefine", "two")


def test_what_a_killed_publisher_left_is_listed_used_and_removed(host: FleetHost, tmp_path: Path) -> None:
    project = Publisher(tmp_path, [host])
    folder = project.artifact(5, mib=120)
    name = names.file_name("web", folder.name, project.digest(folder / "web.qcow2"))
    part = host.outside(f"{host.pool_path}/.{name}.part")
    part.write_bytes((folder / "web.qcow2").read_bytes()[: 100 * MIB])
    assert name in str(project.run("templates", "--on", host.name).events)
    host.fill(90 * MIB)  # room for the rest, not for all
    try:
        done = project.run("publish", "web", "--to", host.name, "--as", "web")
        assert done.code == 0, done.targets
        assert done.targets[host.name]["sent"] < 40 * MIB
    finally:
        host.clear()
    part.write_bytes(b"x" * MIB)  # beside the complete file
    other = host.outside(f"{host.pool_path}/.{names.file_name('web', '2026-11-29.6', 'a' * 64)}.part")
    other.write_bytes(b"x" * MIB)
    assert project.run("prune", "web", "--on", host.name, "--keep", "1", "--yes").code == 0
    assert not other.exists()
