"""Exports the installation of a recipe: a folder with kickstart, virt-install script and domain
definition.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

from imagebuild.build import installers
from imagebuild.build import plan as plans
from imagebuild.build.engine import make_plan
from imagebuild.build.freshness import OwnDisk
from imagebuild.build.prepare import side_by_side
from imagebuild.build.step_cache import Settings, StepCache
from imagebuild.errors import HostError
from imagebuild.host import accelerator, hypervisor
from imagebuild.host.hints import command_line
from imagebuild.host.process import marked, run
from imagebuild.install.script import HERE, pasteable, script
from imagebuild.kickstart.render import Payload
from imagebuild.machine.choices import VirtType
from imagebuild.machine.domain_xml import definition
from imagebuild.machine.install_vm import disk_sizes, install_machine
from imagebuild.machine.virt_install import InstallMachine
from imagebuild.progress import SILENT_REPORTER
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.step import TREE
from imagebuild.store.runs import new_run
from imagebuild.store.store import Store

XEN = "xen:///system"
KICKSTART, SCRIPT = "ks.cfg", "virt-install.sh"


def machine(recipe: Recipe, folder: Path, virt_type: VirtType) -> InstallMachine:
    """The install VM, with all its files in ``folder``. Pure."""
    installer = installers.of(recipe)
    return install_machine(
        recipe,
        name=f"imagebuild-{recipe.name}",
        connect=XEN if virt_type == "xen" else hypervisor.default_uri(),
        virt_type=virt_type,
        tree=folder / TREE,
        folder=folder,
        logs=folder,
        boot=installer.boot(recipe),
        sources=installer.disks(recipe, folder),
    )


def virt_type(recipe: Recipe, store: Store) -> VirtType:
    """The virtualisation type of the VM on this host: the recipe's, or what works here. Takes up to
    15 s, once.
    """
    wanted = recipe.vm.virt_type
    if wanted != "auto":
        return wanted
    return "qemu" if accelerator.verdict(store.probe_cache, recipe.os.arch).emulated else "kvm"


def as_known_here(recipe: Recipe) -> Recipe:
    """The recipe without its osinfo name, if this host's libosinfo does not know that name yet.

    virt-install refuses an unknown name; a build omits it, too.
    """
    if recipe.os.osinfo is None or recipe.os.osinfo in _known_systems():
        return recipe
    return recipe.model_copy(update={"os": recipe.os.model_copy(update={"osinfo": None})})


@cache
def _known_systems() -> frozenset[str]:
    listed = run(
        ["virt-install", "--osinfo", "list"], timeout=60, hint="`imagebuild doctor` says what to install"
    ).stdout
    return frozenset(listed.replace(",", " ").split())


def command(recipe: Recipe, folder: Path, virt_type: VirtType) -> str:
    """The virt-install command, one option per line, for the files that :func:`write` puts into
    ``folder``.
    """
    return pasteable(machine(recipe, folder.absolute(), virt_type))


def write(recipe: Recipe, folder: Path, store: Store) -> list[Path]:
    """Fill ``folder``: kickstart with the real secrets (mode 0600), script, domain definition,
    links to tree and archive.

    The script installs all packages of a recipe that shares an installed disk with others; their root
    archive is made here. Raises HostError if something else that the installation needs is not in the
    store yet.
    """
    files, payload = _from_store(make_plan(recipe, store), store)
    rendered, _ = plans.checked(recipe, payload, os.urandom(12).hex(), RealSecrets())
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / name for name in (KICKSTART, SCRIPT, f"{recipe.name}.xml")]
    _private(made[0], rendered.text)
    made[1].write_text(_script(as_known_here(recipe), virt_type(recipe, store)))
    made[1].chmod(0o755)
    made[2].write_text(definition(recipe))
    for name, path in files.items():
        _link(folder / name, path)
    return made


def _from_store(plan: plans.Plan, store: Store) -> tuple[dict[str, Path], Payload]:
    """The files from an earlier build, by the names that they get next to the script; and the
    kickstart's payload.
    """
    if plan.after:
        plan = _with_own_archive(plan, store)
    entries = {}
    for step in plan.before:
        found = store.find(step.kind, step.fingerprint)
        if found is None and step.name != "runtime":
            name = plan.recipe.name
            raise HostError(
                f"the {step.what} of {name} is not in the store", f"run `{command_line('imagebuild', 'build', name)}`"
            )
        if found is not None:
            entries[step.name] = found
    return plan.preparation.kept(entries)


def _with_own_archive(plan: plans.Plan, store: Store) -> plans.Plan:
    """The plan of an installed disk of its own, whose root archive is made if the shared one is there."""
    own = make_plan(plan.recipe, store, OwnDisk(store))
    name = new_run(plan.recipe.name)
    if all(store.find(step.kind, step.fingerprint) for step in plan.before):
        with store.runs.workdir(name, shared=False) as work, marked(name), ExitStack() as held:
            entries = StepCache(plan.recipe.name, Settings(store, store.root), SILENT_REPORTER, work, held)
            with side_by_side(2) as start:
                own.preparation.make(entries, start)
    return own


def _script(recipe: Recipe, kind: VirtType) -> str:
    here = replace(machine(recipe, HERE, kind), name=f"imagebuild-{recipe.name}")
    needed = [KICKSTART, TREE, *(source.path.name for source in here.sources if source.serial != "stage2")]
    comments = (
        f"Installs {recipe.name} in a VM, from the files next to this script, and prints its console until ^C.",
        "QEMU must be able to reach this folder. The kickstart contains password hashes.",
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
