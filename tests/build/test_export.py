"""Exporting the installation of a recipe whose installer is Anaconda: files of an earlier build
next to a script.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.anaconda import medium, treeinfo
from imagebuild.anaconda.installer import SourcePreparation
from imagebuild.anaconda.medium import Cache
from imagebuild.build import export
from imagebuild.build.engine import make_plan
from imagebuild.errors import HostError
from imagebuild.files import sha256
from imagebuild.image import iso
from imagebuild.progress import SILENT
from imagebuild.recipe.load import load
from imagebuild.store.store import Store


@pytest.mark.seconds
def test_an_iso_image_is_next_to_the_script(tmp_path: Path) -> None:
    for name in (treeinfo.KERNEL, treeinfo.INITRD):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(name.encode())
    iso.make(tmp_path / "a.iso", "A", tmp_path / "tree")
    path = tmp_path / "own.yaml"
    path.write_text(
        "name: own\nos: {family: redhat, distribution: rocky, version: 9}\nvm: {virt_type: qemu}\n"
        f"installer: {{source: {{iso: a.iso, sha256: {sha256(tmp_path / 'a.iso')}}}}}\n"
        "kickstart: {template: redhat.ks.j2}\nlocale: {language: en_US.UTF-8}\n"
    )
    recipe, store = load(path), Store(tmp_path / "store")
    with pytest.raises(HostError, match=r"the ISO image a\.iso of own is not in the store"):
        export.write(recipe, tmp_path / "by-hand", store)
    preparation = make_plan(recipe, store).preparation
    assert isinstance(preparation, SourcePreparation)
    step = preparation.source
    with store.make(step.kind, step.fingerprint, within=tmp_path, label="own", inputs=step.inputs) as folder:
        medium.make(preparation.found, folder, Cache(store), SILENT, "x86_64")
    export.write(recipe, tmp_path / "by-hand", store)
    here = tmp_path / "by-hand"
    assert (here / "medium.iso").read_bytes() == (tmp_path / "a.iso").read_bytes()
    assert (here / "tree" / treeinfo.KERNEL).read_bytes() == treeinfo.KERNEL.encode()
    assert "\ncdrom\n" in (here / "ks.cfg").read_text()
    script = (here / "virt-install.sh").read_text()
    assert "inst.stage2=cdrom inst.cmdline" in script
    assert "medium.iso" in script
