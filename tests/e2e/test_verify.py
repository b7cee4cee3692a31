"""Verification of real images in real clones: images that pass, and images that are broken on purpose."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from imagebuild.contents.encoding import INVENTORY
from imagebuild.customise import process, registry
from imagebuild.customise.operation import OperationCall
from imagebuild.files import sha256
from imagebuild.image import qemu_img
from imagebuild.store.artifact import Artifact, ArtifactFolder

from .conftest import RECIPE, Ended, Project

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.usefixtures("nothing_left")]

UNIT = "[Service]\nType=oneshot\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n"
LINK = "[Match]\nDriver=virtio_net\n[Link]\nName=lan0\n"
SWAP = "dd if=/dev/zero of=/swapfile bs=1M count=8 2>/dev/null; chmod 600 /swapfile; mkswap /swapfile >/dev/null"
DUID = "00:01:00:01:2c:5f:a1:07:52:54:00:12:34:56\n"
NOWHERE = "UUID=8d3f9a3e-3c1f-4a44-9d0b-6f2f0c5f1e77 /srv ext4 defaults 0 2\n"

Broken = Sequence[tuple[str, dict[str, Any]]]
CLONES = {"clones-share-nothing"}
BROKEN: dict[str, tuple[Broken, set[str], str]] = {
    "machine id left": (
        [("write-file", {"path": "/etc/machine-id", "text": "5f0c3a9d7be14c6a8f21d0e94b7c6a35\n"})],
        CLONES,
        r"/etc/machine-id",
    ),
    "random seed left": (
        [("write-file", {"path": "/var/lib/systemd/random-seed", "text": "kJ3-x9fQz0LmT7vB2cYw8RpD4sHn6GaE"})],
        CLONES,
        r"/var/lib/systemd/random-seed: the image contains a random seed",
    ),
    "DHCP identity left": (
        [("write-file", {"path": "/var/lib/dhcpcd/duid", "text": DUID})],
        CLONES,
        r"/var/lib/dhcpcd/duid|DHCP client identifier",
    ),
    "eth0 renamed": (
        [("write-file", {"path": "/etc/systemd/network/10-lan.link", "text": LINK})],
        {"network-interface"},
        r"eth0",
    ),
    "swap on": (
        [
            ("run-command", {"command": SWAP}),
            ("append-to-file", {"path": "/etc/fstab", "text": "/swapfile none swap sw 0 0\n"}),
        ],
        {"swap-off"},
        r"/swapfile",
    ),
    "unbootable": ([("remove-files", {"paths": ["/boot/vmlinuz-*"]})], {"boot"}, r"GRUB|nothing to boot|idle"),
    "wrong UUID in fstab": (
        [("append-to-file", {"path": "/etc/fstab", "text": NOWHERE})],
        {"boot"},
        r"emergency mode",
    ),
    "failed unit": (
        [
            ("write-file", {"path": "/etc/systemd/system/broken.service", "text": UNIT}),
            ("enable-services", {"services": ["broken"]}),
        ],
        {"failed-units"},
        r"broken\.service",
    ),
    "password login allowed": (
        [("write-file", {"path": "/etc/ssh/sshd_config.d/00-imagebuild.conf", "text": "PasswordAuthentication yes\n"})],
        {"sshd", "ssh-answers"},
        r"password",
    ),
    "package missing": ([("remove-packages", {"packages": ["tree"]})], {"packages"}, r"tree"),
}
"""What is done to an image, the checks that must fail then and no others, and what they say."""
TOGETHER = (
    "machine id left",
    "random seed left",
    "swap on",
    "failed unit",
    "password login allowed",
    "package missing",
)
"""What can be wrong with one image at the same time, so that it is booted once in every run."""


@pytest.fixture
def artifact(project: Project, built: Ended) -> Artifact:
    found = ArtifactFolder(project.folder / "artifacts", "small").latest()
    assert found is not None
    return found


@pytest.fixture
def broken(project: Project, artifact: Artifact, tmp_path: Path) -> Iterator[Callable[[Sequence[str]], Path]]:
    """The folder of an artifact like that of ``small``, to whose image operations were applied."""
    folder = project.folder / f"broken-{secrets.token_hex(4)}"
    folder.mkdir()

    def make(names: Sequence[str]) -> Path:
        overlay, image, inventory = tmp_path / "overlay.qcow2", folder / "small.qcow2", folder / INVENTORY
        qemu_img.create_overlay(artifact.image, "qcow2", overlay)
        calls: list[OperationCall] = [registry.call(*one) for name in names for one in BROKEN[name][0]]
        process.run(overlay, "qcow2", calls, accel="tcg", workdir=tmp_path, inventories=[inventory])
        convert = ["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(overlay), str(image)]
        subprocess.run(convert, check=True)
        shutil.copy(artifact.domain, folder)
        content = json.loads((artifact.folder / "manifest.json").read_text())
        content["image"] |= {"size": image.stat().st_size, "sha256": sha256(image)}
        content["inventory_sha256"] = sha256(inventory)
        (folder / "manifest.json").write_text(json.dumps(content))
        return folder

    yield make
    shutil.rmtree(folder)


def failed(ended: Ended) -> dict[str, list[str]]:
    """The problems of the checks that failed, by check."""
    results = ended.last("verified")["result"]["results"]
    return {one["name"]: one["problems"] for one in results if one["status"] == "failed"}


def test_a_build_verifies_before_an_image_becomes_the_latest(project: Project, built: Ended) -> None:
    path = project.write("recipes/verified.yaml", f"{RECIPE}verify: true\n")
    # in a folder of its own: other tests rely on the latest artifact of `small`
    ended = project.run("build", str(path), "--output", "verified", "--json")
    assert ended.code == 0, ended.events[-3:]
    made = ArtifactFolder(project.folder / "verified", "small").latest()
    assert made is not None
    result = json.loads((made.folder / "verify.json").read_text())
    assert result["verdict"] == "passed"
    statuses = {one["name"]: one["status"] for one in result["results"]}
    assert {name for name, status in statuses.items() if status != "passed"} == set()
    assert {"boot", "clones-share-nothing", "memory-balloon", "reboot", "shutdown", "ssh-answers"} <= statuses.keys()
    recorded = json.loads((made.folder / "manifest.json").read_text())["verification"]
    assert recorded["verdict"] == "passed"
    assert recorded["checks"].keys() == statuses.keys()
    assert "login:" in (made.folder / "verify-clone-1.log").read_text()
    checked = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=made.folder, check=False)
    assert checked.returncode == 0
    assert made.image.stat().st_uid == (made.folder / "manifest.json").stat().st_uid
    again = project.run("build", str(path), "--output", "verified", "--json")
    assert again.last("artifact")["unchanged"]
    assert not [one for one in again.events if one.get("step") == "verify"]


def test_a_broken_image_fails_the_right_checks_and_no_others(
    project: Project, broken: Callable[[Sequence[str]], Path]
) -> None:
    # Without its manifest it is a foreign image: it gets a shell on a serial port.
    image = broken(TOGETHER) / "small.qcow2"
    (image.parent / "manifest.json").unlink()
    ended = project.run("verify", str(image), "--recipe", "small", "--json")
    assert ended.code == 1
    found = failed(ended)
    assert set(found) == set().union(*(BROKEN[name][1] for name in TOGETHER))
    for name in TOGETHER:
        _, checks, says = BROKEN[name]
        assert all(any(re.search(says, problem) for problem in found[check]) for check in checks), name


def test_an_image_that_does_not_boot(project: Project, broken: Callable[[Sequence[str]], Path]) -> None:
    ended = project.run("verify", str(broken(["unbootable"])), "--json")
    assert ended.code == 1
    assert set(failed(ended)) == {"boot"}


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_image(project: Project, broken: Callable[[Sequence[str]], Path], name: str) -> None:
    ended = project.run("verify", str(broken([name])), "--json")
    found = failed(ended)
    assert set(found) == BROKEN[name][1], found
    assert all(any(re.search(BROKEN[name][2], problem) for problem in problems) for problems in found.values())


@pytest.mark.slow
def test_a_root_file_system_that_has_not_grown(project: Project, artifact: Artifact) -> None:
    ended = project.run("verify", str(artifact.folder), "--check", 'root-file-system={"grown": true}', "--json")
    assert set(failed(ended)) == {"root-file-system"}


@pytest.mark.slow
def test_host_keys_that_were_left(project: Project, broken: Callable[[Sequence[str]], Path], tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    written = ("write-file", {"path": "/etc/ssh/ssh_host_ed25519_key", "text": key.read_text(), "mode": "0600"})
    BROKEN["host keys left"] = ([written], CLONES, "ssh_host_ed25519_key")
    try:
        test_each_broken_image(project, broken, "host keys left")
    finally:
        del BROKEN["host keys left"]


def test_a_command_in_a_throwaway_machine(project: Project, artifact: Artifact) -> None:
    before = artifact.image.read_bytes()
    ended = project.run("run", "small", "--", "sh", "-c", "printf 'a\\0b'; echo oops >&2; touch /new; exit 7")
    assert ended.code == 7
    assert "oops" in ended.stderr
    assert artifact.image.read_bytes() == before


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL], ids=lambda signum: signum.name)
def test_an_interrupted_verification(project: Project, artifact: Artifact, signum: signal.Signals) -> None:
    ended = project.interrupt_at(r"booting", signum, "verify", str(artifact.folder))
    assert ended.code == (130 if signum == signal.SIGINT else -signum)
    if signum == signal.SIGKILL:
        assert project.run("gc").code == 0
