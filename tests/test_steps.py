"""The last step: from customised disks to a whole artifact. The steps before it need a VM; see tests/e2e."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

from imagebuild import plan as plans
from imagebuild import qemu_img
from imagebuild.accel import Verdict
from imagebuild.artifact import Artifact
from imagebuild.customise import CustomiseResult
from imagebuild.entries import Settings
from imagebuild.files import sha256
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.preparation import Tools
from imagebuild.progress import SILENT_REPORTER
from imagebuild.recipe.load import load
from imagebuild.steps import Run
from imagebuild.store import Store

MIB = 1 << 20
RECIPE = """\
name: web
os: {family: debian, version: 13, codename: trixie}
disk: {size: 2GiB}
extra_disks: [{size: 256MiB}]
output: {format: [vmdk, qcow2, raw.zst], compression: zlib}
"""


def converted(folder: Path) -> Artifact:
    """What becomes of two disks with little on them."""
    (folder / "web.yaml").write_text(RECIPE)
    installed, disks = folder / "installed", [folder / "disk.raw", folder / "disk2.raw"]
    (folder / "logs").mkdir()
    installed.mkdir()
    (installed / "installation.json").write_text(json.dumps({"sources": [], "machine": {}}))
    for disk, size in zip(disks, (2048 * MIB, 256 * MIB), strict=True):
        qemu_img.create_raw(disk, size)
        with disk.open("r+b") as file:
            file.write(disk.name.encode())
    tools = Tools(mmdebstrap="1", libguestfs="1", qemu="7")
    mirror = Mirror("http://mirror.example/debian")
    plan = plans.make(load(folder / "web.yaml"), mirror=mirror, tools=tools, secret_key=b"k" * 32)
    run = Run(plan, Settings(Store(folder / "store"), folder / "artifacts"), SILENT_REPORTER, "web-1", folder)
    return run._convert(disks, installed, CustomiseResult((), {}), Verdict("tcg", "a test"))


def test_every_disk_comes_in_every_format(tmp_path: Path) -> None:
    artifact = converted(tmp_path)
    manifest = artifact.manifest()
    assert artifact.image == artifact.folder / "web.qcow2"
    assert manifest["image"]["file"] == "web.qcow2"
    assert [image["file"] for image in manifest["extra_images"]] == ["web-disk2.qcow2"]
    assert [(image["file"], image["compression"], image["virtual_size"]) for image in manifest["other_formats"]] == [
        ("web.vmdk", "zlib", 2048 * MIB), ("web-disk2.vmdk", "zlib", 256 * MIB),
        ("web.raw.zst", "zstd", 2048 * MIB), ("web-disk2.raw.zst", "zstd", 256 * MIB),
    ]  # fmt: skip
    for image in artifact.images():
        path = artifact.folder / image["file"]
        assert (image["size"], image["sha256"]) == (path.stat().st_size, sha256(path))
        assert path.stat().st_mode & 0o777 == 0o644
    compare: list[str | Path] = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", tmp_path / "disk2.raw"]
    subprocess.run([*compare, artifact.folder / "web-disk2.qcow2"], check=True, capture_output=True)


def test_the_checksums_are_right_and_the_domain_names_the_qcow2(tmp_path: Path) -> None:
    artifact = converted(tmp_path)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(check, cwd=artifact.folder, check=True, capture_output=True)
    listed = {line.split()[1] for line in (artifact.folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in artifact.folder.iterdir()} - {"SHA256SUMS"}
    sources = [source.attrib["file"] for source in ET.parse(artifact.domain).iterfind("devices/disk/source")]
    assert [Path(source).name for source in sources] == ["web.qcow2", "web-disk2.qcow2"]
