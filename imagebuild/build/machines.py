"""The virtual machines of builds: what they run with, what they are called, and what is left of those whose build died."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imagebuild.errors import HostError
from imagebuild.host import accelerator, hypervisor
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.store import Store


def domain_name(run: str) -> str:
    """The name of a run's domain."""
    return f"imagebuild-{run}"


def known_accelerator(recipe: Recipe, store: Store) -> accelerator.Accelerator | None:
    """What the machines of a build run with, or None where that would have to be proved."""
    if recipe.vm.virt_type == "qemu":
        return "tcg"
    found = accelerator.known(store.answers, recipe.os.arch)
    return found.accelerator if found else None


def proved_accelerator(recipe: Recipe, store: Store) -> accelerator.Verdict:
    """What the machines of a build run with. Raises HostError where that is not what the recipe wants."""
    wanted = recipe.vm.virt_type
    if wanted == "qemu":
        return accelerator.Verdict("tcg", "the recipe says so")
    if wanted == "xen":
        raise HostError(
            "the recipe wants to install under Xen, which imagebuild does not start machines with",
            "install with vm.virt_type: auto; machine.virt_type: xen describes a machine for Xen all the same",
        )
    found = accelerator.verdict(store.answers, recipe.os.arch)
    if wanted == "kvm" and found.emulated:
        raise HostError(
            f"the recipe wants KVM, but {found.reason}",
            "vm.virt_type: auto takes emulation where KVM does not work",
        )
    return found


@contextmanager
def machines(store: Store) -> Iterator[hypervisor.Hypervisor | None]:
    """A connection to libvirt for a look at machines that were left; None where there is none: no daemon answers, and no virtual machine runs.

    A daemon that has to be started is started as a build does, since it serves the next one.
    """
    there = hypervisor.answers()
    if not there and not accelerator.others_run():
        yield None
        return
    with hypervisor.connected(hide_kvm=not there and accelerator.verdict(store.answers).emulated) as connection:
        yield connection
