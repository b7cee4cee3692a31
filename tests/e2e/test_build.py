"""The main job: from a recipe to a compressed qcow2 that boots, through virt-install and
libguestfs.
"""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imagebuild import guest
from imagebuild.build import engine, freshness
from imagebuild.customise import registry
from imagebuild.host import accelerator
from imagebuild.image import qemu_img
from imagebuild.recipe.load import load
from imagebuild.store.store import Store

from .conftest import PASSWORD, RECIPE, Ended, Project
from .guest_console import logged_in

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

BASE_PACKAGES = ("lrzsz", "net-tools", "screen", "tree", "vim", "wget")
_QUESTIONS = {
    "address": "until ip -4 -o addr show dev eth0 scope global | grep inet; do sleep 1; done",
    "interfaces": "ls /sys/class/net",
    "machine id": "cat /etc/machine-id",
    "host keys": (
        "until systemctl is-active ssh >/dev/null; do sleep 1; done; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
    ),
    "swap": "swapon --show --noheadings",
    "packages": f"dpkg-query -W -f '${{Package}} ${{db:Status-Status}}\\n' {' '.join(BASE_PACKAGES)}",
    "udev rules": "ls /etc/udev/rules.d",
    "failed units": "systemctl is-system-running --wait; systemctl --failed --no-legend --plain",
    "command line": "cat /proc/cmdline",
    "identifiers": "findmnt -n -o UUID,PARTUUID / | xargs",
    "root": "findmnt -n -o FSTYPE,SIZE /",
}


def asked(project: Project, image: Path, name: str) -> dict[str, str]:
    """Boot a throwaway clone of the image, log in on its serial console, and run all commands."""
    accel = accelerator.verdict(project.store / "host.json").accelerator
    with logged_in(image, project.folder / f"{name}.qcow2", accel, PASSWORD) as console:
        return {question: console.run(command, 300) for question, command in _QUESTIONS.items()}


@pytest.fixture(scope="module")
def image(project: Project, built: Ended) -> Path:
    return project.folder / str(built.last("artifact")["image"])


@pytest.fixture(scope="module")
def clones(project: Project, image: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The answers of two clones: one of the image, one of the image with other identifiers
    on its disk.
    """
    renewed = project.folder / "renewed.qcow2"
    ended = project.run(
        "scrub", str(image), "--output", str(renewed), "--operation", "renew-disk-identifiers", "--json"
    )
    assert ended.code == 0, ended.stderr
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda one: asked(project, *one), ((image, "first"), (renewed, "second")))
    return first, second


def test_the_image_boots_to_a_login_with_eth0_and_an_address(clones: tuple[dict[str, str], dict[str, str]]) -> None:
    assert "inet 10.0.2." in clones[0]["address"]
    assert clones[0]["interfaces"].split() == ["eth0", "lo"]
    assert clones[0]["failed units"] == "running"


def test_each_clone_has_its_own_identity(clones: tuple[dict[str, str], dict[str, str]]) -> None:
    first, second = clones
    assert len(first["machine id"]) == len(second["machine id"]) == 32
    assert first["machine id"] != second["machine id"]
    assert first["host keys"].startswith("256 SHA256:")
    assert first["host keys"] != second["host keys"]


def test_new_identifiers_of_the_disk_boot(clones: tuple[dict[str, str], dict[str, str]]) -> None:
    first, second = clones
    assert re.fullmatch(r"[0-9a-f-]{36} [0-9a-f]{8}-01", second["identifiers"])
    assert set(first["identifiers"].split()).isdisjoint(second["identifiers"].split())
    assert f"root=UUID={second['identifiers'].split()[0]} " in second["command line"]
    assert second["failed units"] == "running"


def test_house_rules(clones: tuple[dict[str, str], dict[str, str]]) -> None:
    answers = clones[0]
    assert answers["swap"] == ""
    assert answers["packages"].splitlines() == [f"{name} installed" for name in BASE_PACKAGES]
    assert "70-persistent" not in answers["udev rules"]
    assert "net.ifnames=0 biosdevname=0" in answers["command line"]
    assert answers["root"].split()[0] == "ext4"


def test_the_image_has_no_identity(project: Project, image: Path, built: Ended) -> None:
    manifest = json.loads((image.parent / "manifest.json").read_text())
    changed = {one["name"]: one["status"] for one in manifest["operations"]}
    assert changed["reset-machine-id"] == "changed"
    assert changed["remove-ssh-host-keys"] == "changed"
    assert list(changed) == [
        one if isinstance(one, str) else next(iter(one)) for one in manifest["recipe"]["operations"]
    ]
    audited = project.run("audit", str(image), "--json")
    assert audited.code == 0, audited.events[-1]


def test_the_artifact_is_complete(image: Path) -> None:
    folder = image.parent
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["qemu-img", "check", "-f", "qcow2", image], check=True, capture_output=True)
    info = json.loads(
        subprocess.run(
            ["qemu-img", "info", "-f", "qcow2", "--output=json", image], check=True, capture_output=True, text=True
        ).stdout
    )
    assert info["virtual-size"] == 2 << 30
    assert info["format-specific"]["data"]["compression-type"] == "zstd"
    assert "backing-filename" not in info
    assert {path.name for path in folder.iterdir()} == {
        "small.qcow2", "small.xml", "manifest.json", "SHA256SUMS", "kickstart.cfg", "build.log", "console.log",
        "installer.log", "inventory.json.gz", "small.cdx.json", "small.spdx.json",
    }  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(BASE_PACKAGES) < set(manifest["packages"])
    assert {source["name"] for source in manifest["sources"]} >= {"root archive", "installer's kernel"}
    assert (manifest["domain"], manifest["extra_images"]) == ("small.xml", [])
    subprocess.run(["virt-xml-validate", folder / "small.xml", "domain"], check=True, capture_output=True)


def test_no_secret_is_in_the_results_of_the_build(project: Project, image: Path) -> None:
    left = [path for path in image.parent.iterdir() if path.suffix != ".qcow2"]
    left += [
        path for path in project.store.rglob("*") if path.is_file() and path.suffix in (".json", ".log", ".txt", ".cfg")
    ]
    assert left
    for path in left:
        text = path.read_text(errors="replace")
        assert PASSWORD not in text, path
        assert "$6$" not in text, path


def test_a_second_build_reuses_everything(project: Project, image: Path) -> None:
    ended = project.run("build", "small", "--json")
    assert ended.code == 0
    assert ended.last("artifact")["image"] == str(image.relative_to(project.folder))
    assert {event["step"] for event in ended.events if event["event"] == "step"} == {"plan"}


def test_nothing_is_left_of_the_build(project: Project, image: Path, nothing_left: None) -> None:
    assert image.exists()


def test_another_output_folder_resumes_after_the_operations(project: Project, image: Path) -> None:
    ended = project.run("build", "small", "--json", "--output", "again")
    assert ended.code == 0
    assert {event["step"] for event in ended.events if event["event"] == "step"} == {"plan", "convert"}


def test_an_edit_of_the_last_operation_continues_from_a_checkpoint(
    project: Project, image: Path, tmp_path: Path
) -> None:
    """The first operation takes long enough for a checkpoint. It runs only once."""
    slow = "  - run-command: {command: sleep 6; echo ran >>/etc/ran}\n"
    last = "  - write-file: {path: /etc/edited, text: TEXT}\n"
    for text in ("first", "second"):
        project.write(
            "edited/small.yaml", RECIPE.replace("operations:\n", "operations:\n" + slow + last).replace("TEXT", text)
        )
        planned = project.run("plan", "edited/small.yaml", "--json", "--output", "edited")
        ended = project.run("build", "edited/small.yaml", "--json", "--output", "edited")
        assert ended.code == 0, ended.stderr
    (customise,) = [step for step in planned.events[-1]["steps"] if step["step"] == "customise"]
    assert customise["why"] == "changed: operation 2, write-file; continues from the checkpoint after run-command"
    (done,) = [one for one in ended.events if one.get("step") == "customise" and one["state"] == "done"]
    assert "the first 1 from a checkpoint" in done["summary"]
    edited = project.folder / str(ended.last("artifact")["image"])
    manifest = json.loads((edited.parent / "manifest.json").read_text())
    assert [one["name"] for one in manifest["operations"]][:3] == ["run-command", "write-file", registry.HOUSE_RULES[0]]
    overlay = tmp_path / "overlay.qcow2"
    qemu_img.create_overlay(edited, "qcow2", overlay)
    with guest.opened(overlay, "qcow2", accel="tcg", tmpdir=tmp_path) as opened:
        assert opened.read("/etc/ran", 100) == b"ran\n"
        assert opened.read("/etc/edited", 100) == b"second"


def test_a_recipe_with_more_packages_shares_the_installed_disk(
    project: Project, built: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever way it is made, the image is the same, but for the identifiers of its disk."""
    monkeypatch.setenv("SMALL_ROOT_PASSWORD", PASSWORD)
    project.write("recipes/more.yaml", RECIPE.replace("name: small", "name: more").replace("[lrzsz,", "[htop, lrzsz,"))
    shared = project.run("build", "more", "--no-verify", "--json")
    assert shared.code == 0, shared.stderr
    steps = {str(event["step"]) for event in shared.events if "step" in event}
    assert {"additions", "customise", "convert"} <= steps
    assert "install" not in steps
    store = Store(project.store)
    addition = engine.make_plan(load(project.folder / "recipes/more.yaml"), store).after[0]
    freshness.refuse(store, addition, "for a test")
    alone = project.run("build", "more", "--no-verify", "--json")
    assert alone.code == 0, alone.stderr
    assert "install" in {str(event["step"]) for event in alone.events if "step" in event}
    images = [str(project.folder / str(one.last("artifact")["image"])) for one in (shared, alone)]
    compared = project.run("diff", *images, "--json")
    files = compared.events[-1]["files"]
    assert (files["added"], files["removed"]) == ([], [])
    assert [(one["new"]["path"], one["what"]) for one in files["changed"]] == [("/etc/fstab", ["content"])]
