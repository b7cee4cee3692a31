"""The accelerator of a build's machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.errors import HostError
from imagebuild.host import accelerator

if TYPE_CHECKING:
    from imagebuild.recipe.model.recipe import Recipe
    from imagebuild.store.store import Store


def known_accelerator(recipe: Recipe, store: Store) -> accelerator.Accelerator | None:
    """The accelerator of a build's machines, or None if it would have to be verified first."""
    return known_for(recipe.vm.virt_type, recipe.os.arch, store)


def known_for(virt_type: str, arch: str, store: Store) -> accelerator.Accelerator | None:
    """The same for these two settings of a recipe."""
    if virt_type == "qemu":
        return "tcg"
    found = accelerator.known(store.probe_cache, arch)
    return found.accelerator if found else None


def required_accelerator(recipe: Recipe, store: Store) -> accelerator.Verdict:
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
