"""The last step: from customised disks to a complete artifact. Earlier steps need a VM; see
tests/e2e.
"""

from __future__ import annotations

import json
import os
import subprocess
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path

import pytest

from imagebuild.build import convert
from imagebuild.build import plan as plans
from imagebuild.build.installation_record import RECORD, InstallationRecord, MachineTimes
from imagebuild.build.job import Job
from imagebuild.build.step_cache import Settings
from imagebuild.contents.encoding import INVENTORY, packed
from imagebuild.files import sha256, write_record
from imagebuild.image import qemu_img
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.machine.install_vm import disk_names, disk_sizes
from imagebuild.progress import SILENT_REPORTER
from imagebuild.recipe.load import load
from imagebuild.schema.customised import RESULT, CustomiseResult
from imagebuild.step import Tools
from imagebuild.store import beside
from imagebuild.store.artifact import Artifact
from imagebuild.store.store import Store
from tests.contents.inventories import inventory

MIB = 1 << 20
RECIPE = """\
name: web
os: {family: debian, version: 13, codename: trixie}
disk: {size: 2GiB}
extra_disks: [{size: 256MiB}]
output: {format: [vmdk, qcow2, raw.zst], compression: zlib}
"""


def converted(folder: Path, *, hashes: bool | None = False, more: str = "", listed: bool = True) -> Artifact:
    """The artifact of two nearly empty disks; ``hashes`` is known of the guest, ``more`` is added
    to the recipe, and ``listed`` says whether the guest has an inventory.
    """
    (folder / "web.yaml").write_text(RECIPE + more)
    recipe = load(folder / "web.yaml")
    (folder / "logs").mkdir()
    write_record(folder / RECORD, InstallationRecord((), "tcg", MachineTimes(60, 20)))
    (folder / "customised.json").write_bytes(RESULT.dump_json(CustomiseResult((), {}, hashes)))
    if listed:
        (folder / INVENTORY).write_bytes(packed(inventory()))
    for name, size in zip(disk_names(recipe), disk_sizes(recipe), strict=True):
        qemu_img.create_raw(folder / name, size)
        with (folder / name).open("r+b") as file:
            file.write(name.encode())
    tools = Tools(mmdebstrap="1", libguestfs="1", qemu="7")
    plan = plans.make(recipe, Mirror("http://mirror.example/debian"), tools=tools, secret_key=b"k" * 32)
    settings = Settings(Store(folder.parent / "store-of-all"), folder / "artifacts")
    with ExitStack() as held:
        return convert.artifact(Job(plan, settings, SILENT_REPORTER, "web-1", folder, held), folder)


def test_every_disk_is_written_in_every_format(tmp_path: Path) -> None:
    artifact = converted(tmp_path)
    manifest = artifact.manifest()
    assert artifact.image == artifact.folder / "web.qcow2"
    assert manifest.image.file == "web.qcow2"
    assert [image.file for image in manifest.extra_images] == ["web-disk2.qcow2"]
    assert [(image.file, image.compression, image.virtual_size) for image in manifest.other_formats] == [
        ("web.vmdk", "zlib", 2048 * MIB), ("web-disk2.vmdk", "zlib", 256 * MIB),
        ("web.raw.zst", "zstd", 2048 * MIB), ("web-disk2.raw.zst", "zstd", 256 * MIB),
    ]  # fmt: skip
    for image in manifest.images:
        path = artifact.folder / image.file
        assert (image.size, image.sha256) == (path.stat().st_size, sha256(path))
        assert path.stat().st_mode & 0o777 == 0o644
    compare: list[str | Path] = [
        "qemu-img",
        "compare",
        "-f",
        "raw",
        "-F",
        "qcow2",
        tmp_path / disk_names(load(tmp_path / "web.yaml"))[1],
    ]
    subprocess.run([*compare, artifact.folder / "web-disk2.qcow2"], check=True, capture_output=True)


NO_SECRETS = """\
root: {ssh_keys: [{file: keys}]}
operations:
  - add-ssh-keys: {user: root, keys: [{file: keys}]}
"""


@pytest.mark.parametrize(
    ("hashes", "more", "mode"),
    [
        (False, "", 0o644),
        (False, NO_SECRETS, 0o644),
        (True, "", 0o600),
        (None, "", 0o600),
        (False, "root: {password: {env: PASSWORD}}\n", 0o600),
        (False, "users: [{name: ops, password: {env: PASSWORD}}]\n", 0o600),
        (False, "operations: [set-password: {password: {env: PASSWORD}}]\n", 0o600),
    ],
)
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_images_with_secrets_are_readable_by_their_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashes: bool | None, more: str, mode: int, umask: int
) -> None:
    monkeypatch.setenv("PASSWORD", "open sesame")
    (tmp_path / "keys").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n")
    (tmp_path / "build.log").write_text("it said\n")
    before = os.umask(umask)
    try:
        artifact = converted(tmp_path, hashes=hashes, more=more)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in artifact.folder.iterdir()}
    for harmless in ("manifest.json", "SHA256SUMS", "web.xml"):
        assert modes.pop(harmless) == 0o644
    assert {
        "web.qcow2",
        "inventory.json.gz",
        "web.cdx.json",
        "web.spdx.json",
        "web-disk2.vmdk",
        "web.raw.zst",
        "kickstart.cfg",
        "build.log",
    } <= modes.keys()
    assert set(modes.values()) == {mode}


def test_the_checksums_are_right_and_the_domain_names_the_qcow2(tmp_path: Path) -> None:
    artifact = converted(tmp_path)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(check, cwd=artifact.folder, check=True, capture_output=True)
    listed = {line.split()[1] for line in (artifact.folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in artifact.folder.iterdir()} - {"SHA256SUMS"}
    sources = [source.attrib["file"] for source in ET.parse(artifact.domain).iterfind("devices/disk/source")]
    assert [Path(source).name for source in sources] == ["web.qcow2", "web-disk2.qcow2"]


def test_the_inventory_is_beside_the_image_and_belongs_to_it(tmp_path: Path) -> None:
    found, why = beside.of(converted(tmp_path).image)
    assert why == ""
    assert found
    assert found.inventory == inventory()
    assert [one.file for one in found.manifest.images] == ["web.qcow2", "web.vmdk", "web.raw.zst"]
    assert [one.file for one in found.manifest.extra] == ["web-disk2.qcow2"]


def test_the_boms_are_about_the_image(tmp_path: Path) -> None:
    artifact = converted(tmp_path)
    image = artifact.manifest().image
    cyclonedx = json.loads((artifact.folder / "web.cdx.json").read_text())
    assert cyclonedx["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": image.sha256}]
    spdx = json.loads((artifact.folder / "web.spdx.json").read_text())
    assert spdx["packages"][0]["checksums"] == [{"algorithm": "SHA256", "checksumValue": image.sha256}]


def test_a_guest_without_inventory_is_converted_all_the_same(tmp_path: Path) -> None:
    artifact = converted(tmp_path, listed=False)
    found, _ = beside.of(artifact.image)
    assert found
    assert (found.inventory, found.why, found.manifest.inventory_sha256) == (None, "", "")
    assert not (artifact.folder / INVENTORY).exists()
    assert not list(artifact.folder.glob("*.cdx.json"))
