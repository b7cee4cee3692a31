"""The path of Anaconda, from the recipe to an image that boots, with kickstrap's runtime in
Anaconda's place.

No installer of the RHEL family can be had where these tests run. kickstrap's tree is one by its
form, and its init finds the runtime as Anaconda's does: on the medium that inst.stage2= names,
mounted at /run/install/repo. So source, medium, command line and kickstart are those that Anaconda
gets; only who reads them is another.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from imagebuild.files import sha256
from imagebuild.host import accelerator
from imagebuild.image import iso
from imagebuild.kickstrap import payload as payloads

from .conftest import PASSWORD, Ended, Project
from .guest_console import logged_in

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.usefixtures("nothing_left")]

ARCHIVE = "root.tar.zst"
RECIPE = """\
name: {name}
os: {{family: redhat, distribution: rocky, version: 10}}
disk: {{size: 2GiB}}
vm: {{timeout: 20m}}
installer:
  source: {source}
kickstart: {{template: {name}.ks.j2}}
root: {{password: {{env: SMALL_ROOT_PASSWORD}}}}
kernel_arguments: [net.ifnames=0, "console=ttyS0,115200n8"]
operations: [reset-machine-id]
"""
TEMPLATE = """\
{{% import "macros.ks.j2" as imagebuild %}}
cmdline
lang C.UTF-8
keyboard us
timezone --utc UTC
liveimg --url={archive}
{{{{ imagebuild.root(root) }}}}
zerombr
clearpart --all --initlabel
part / --fstype=ext4 --size=1024 --grow
bootloader --location=mbr --timeout=1 --append={{{{ kernel_arguments | join(" ") }}}}
poweroff
{before}
%post --erroronfail
echo {name} >/etc/came-from
%end
{{{{ imagebuild.success(nonce) }}}}
"""
FETCH = f"""
%pre --erroronfail
modprobe virtio_net
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
url={{{{ payload.tree.url }}}}
busybox wget -q -O /run/{ARCHIVE} "$url"{ARCHIVE}
%end
"""


def newest(kind: Path) -> Path:
    return max(kind.iterdir(), key=lambda entry: entry.stat().st_mtime)


@pytest.fixture(scope="module")
def tree(project: Project, built: Ended) -> Path:
    """kickstrap's install tree as a folder, with the root archive where a distribution has
    packages.
    """
    assert built.code == 0
    made = newest(project.store / "tree") / "tree"
    folder = project.folder / "tree"
    shutil.rmtree(folder, ignore_errors=True)  # from an earlier run, if the folder is kept
    for path in made.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path)
    (folder / ARCHIVE).hardlink_to(payloads.read(newest(project.store / "payload")).path)
    return folder


def install(project: Project, name: str, source: str, *, archive: str, before: str = "") -> Ended:
    project.write(f"recipes/{name}.yaml", RECIPE.format(name=name, source=source))
    project.write(f"kickstart/{name}.ks.j2", TEMPLATE.format(name=name, archive=archive, before=before))
    ended = project.run("build", name, "--json")
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    return ended


def came_from(project: Project, ended: Ended) -> str:
    """The text that the last %post wrote, read in the guest."""
    image = project.folder / str(ended.last("artifact")["image"])
    accel = accelerator.verdict(project.store / "host.json").accelerator
    with logged_in(image, image.with_suffix(".overlay.qcow2"), accel, PASSWORD) as console:
        return console.run("cat /etc/came-from")


def test_from_an_iso_image_in_the_drive(project: Project, tree: Path) -> None:
    image = project.folder / "example.iso"
    iso.make(image, "Example 10 x86_64", tree)
    ended = install(
        project, "from-iso", f"{{iso: ../example.iso, sha256: {sha256(image)}}}", archive=f"file:///run/install/repo/{ARCHIVE}"
    )  # fmt: skip
    manifest = json.loads((project.folder / str(ended.last("artifact")["manifest"])).read_text())
    assert [source["sha256"] for source in manifest["sources"]] == [sha256(image)]
    assert came_from(project, ended) == "from-iso"


def test_from_a_folder_that_is_served_to_the_vm(project: Project, tree: Path) -> None:
    ended = install(project, "from-folder", "{tree: ../tree}", archive=f"file:///run/{ARCHIVE}", before=FETCH)
    manifest = json.loads((project.folder / str(ended.last("artifact")["manifest"])).read_text())
    assert manifest["sources"][0]["sha256"] == sha256(tree / "images/pxeboot/vmlinuz")
