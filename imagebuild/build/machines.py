"""The virtual machines of builds: their accelerator, their names, and a connection to find leftover
ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imagebuild.errors import HostError
from imagebuild.host import accelerator, hypervisor
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.store import Store


def domain_name(run: str) -> str:
    """The name of the domain of a run."""
    return f"imagebuild-{run}"


def known_accelerator(recipe: Recipe, store: Store) -> accelerator.Accelerator | None:
    """The accelerator of a build's machines, or None if it would have to be verified first."""
    if recipe.vm.virt_type == "qemu":
        return "tcg"
    found = accelerator.known(store.probe_cache, recipe.os.arch)
    return found.accelerator if found else None


def proved_accelerator(recipe: Recipe, store: Store) -> accelerator.Verdict:
    """The accelerator of a build's machines. Raises HostError if it is not the one that the recipe
    requires.
    """
    wanted = recipe.vm.virt_type
    if wanted == "qemu":
        return accelerator.Verdict("tcg", "set in the recipe")
    if wanted == "xen":
        raise HostError(
            "the recipe sets vm.virt_type: xen, but imagebuild cannot run the installation under Xen",
            "install with vm.virt_type: auto; machine.virt_type: xen still describes a machine for Xen",
        )
    found = accelerator.verdict(store.probe_cache, recipe.os.arch)
    if wanted == "kvm" and found.emulated:
        raise HostError(
            f"the recipe requires KVM, but {found.reason}",
            "vm.virt_type: auto uses emulation if KVM does not work",
        )
    return found


@contextmanager
def machines(store: Store) -> Iterator[hypervisor.Hypervisor | None]:
    """A connection to libvirt for finding leftover machines; None if no daemon answers and no
    virtual machine runs.

    If a daemon must be started, it is started the way a build does it, because the next build uses
    it.
    """
    there = hypervisor.answers()
    if not there and not accelerator.others_run():
        yield None
        return
    with hypervisor.connected(hide_kvm=not there and accelerator.verdict(store.probe_cache).emulated) as connection:
        yield connection
