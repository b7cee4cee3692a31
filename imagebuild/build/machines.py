"""A connection to libvirt for finding leftover machines of builds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imagebuild.host import accelerator, hypervisor
from imagebuild.store.store import Store


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
