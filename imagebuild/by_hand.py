"""The installation of a recipe to be run by hand: a folder with kickstart, virt-install script and domain definition."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

from imagebuild import accel, hypervisor
from imagebuild import plan as plans
from imagebuild.build import make_plan
from imagebuild.domain.choices import VirtType
from imagebuild.domain.definition import definition
from imagebuild.errors import HostError
from imagebuild.install import anaconda
from imagebuild.install.machine import disk_sizes, install_machine
from imagebuild.install.script import HERE, pasteable, script
from imagebuild.install.virt_install import InstallMachine, SourceDisk
from imagebuild.kickstart.render import LiveimgPayload
from imagebuild.kickstrap import payload as payloads
from imagebuild.kickstrap import runtime
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.run import run
from imagebuild.store import Store

XEN = "xen:///system"
KICKSTART, SCRIPT = "ks.cfg", "virt-install.sh"
TREE, PAYLOAD = "tree", "payload"
"""Links beside the script: the install tree, the root archive."""
_INSTALL_IMAGE = f"{TREE}/images/install.img"


def machine(recipe: Recipe, folder: Path, virt_type: VirtType) -> InstallMachine:
    """The install VM with all its files in ``folder``. Pure."""
    kickstrap = recipe.installer.type == "kickstrap"
    sources = [SourceDisk(folder / _INSTALL_IMAGE, "stage2")] if kickstrap else []
    if kickstrap and recipe.installer.payload == "host":
        sources.append(SourceDisk(folder / PAYLOAD, "payload"))
    firmware = recipe.machine.firmware
    return install_machine(
        recipe,
        name=f"imagebuild-{recipe.name}",
        connect=XEN if virt_type == "xen" else hypervisor.default_uri(),
        virt_type=virt_type,
        tree=folder / TREE,
        folder=folder,
        logs=folder,
        kernel_args=runtime.kernel_arguments(firmware) if kickstrap else anaconda.kernel_arguments(None),
        sources=sources,
    )


def virt_type(recipe: Recipe, store: Store) -> VirtType:
    """What the VM would run on here: what the recipe says, or what really works. The proof takes up to 15 seconds, once."""
    wanted = recipe.vm.virt_type
    if wanted != "auto":
        return wanted
    return "qemu" if accel.verdict(store.root / "accelerator.json", recipe.os.arch).emulated else "kvm"


def as_known_here(recipe: Recipe) -> Recipe:
    """The recipe without its name of the guest's system, where this host's libosinfo does not know that yet.

    virt-install refuses such a name; a build then goes without, too.
    """
    if recipe.os.osinfo is None or recipe.os.osinfo in _known_systems():
        return recipe
    return recipe.model_copy(update={"os": recipe.os.model_copy(update={"osinfo": None})})


@cache
def _known_systems() -> frozenset[str]:
    listed = run(["virt-install", "--osinfo", "list"], timeout=60, hint="run `make setup`").stdout
    return frozenset(listed.replace(",", " ").split())


def command(recipe: Recipe, folder: Path, virt_type: VirtType) -> str:
    """The virt-install command, one option a line, for the files that :func:`write` puts into ``folder``."""
    return pasteable(machine(recipe, folder.absolute(), virt_type))


def write(recipe: Recipe, folder: Path, store: Store) -> list[Path]:
    """Fill ``folder``: kickstart with the real secrets (mode 0600), script, domain definition, links to tree and archive.

    Raises HostError where the install tree is not in the store yet.
    """
    plan = make_plan(recipe, store)
    tree = store.find(plan.tree.kind, plan.tree.fingerprint)
    archive = plan.payload and store.find(plan.payload.kind, plan.payload.fingerprint)
    if tree is None or (plan.payload and archive is None):
        missing = "install tree" if tree is None else "root archive"
        raise HostError(f"the {missing} of {recipe.name} is not in the store", f"run `imagebuild build {recipe.name}`")
    source = plans.packages_payload(recipe, plan.mirror)
    wanted = LiveimgPayload(plans.PAYLOAD_URL, payloads.read(archive).sha256) if archive else source
    rendered, _ = plans.checked(recipe, wanted, os.urandom(12).hex(), RealSecrets())
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / name for name in (KICKSTART, SCRIPT, f"{recipe.name}.xml")]
    _private(made[0], rendered.text)
    made[1].write_text(_script(as_known_here(recipe), virt_type(recipe, store)))
    made[1].chmod(0o755)
    made[2].write_text(definition(recipe))
    _link(folder / TREE, tree / "tree")
    if archive:
        _link(folder / PAYLOAD, payloads.read(archive).path)
    return made


def _script(recipe: Recipe, kind: VirtType) -> str:
    here = replace(machine(recipe, HERE, kind), name=f"imagebuild-{recipe.name}")
    needed = [KICKSTART, TREE, *(source.path.name for source in here.sources if source.serial == "payload")]
    comments = (
        f"Installs {recipe.name} in a VM, from the files beside this script, and prints its console; ^C ends the printing.",
        "QEMU must be able to reach this folder. The kickstart holds the hashes of passwords.",
    )
    return script(here, disk_sizes(recipe), comments, needed)


def _private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _link(path: Path, target: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
