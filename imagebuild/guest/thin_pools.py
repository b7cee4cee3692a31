"""LVM's thin pools in a running appliance.

The kernel frees the blocks of a discard in two transactions, and commits the second one within a
second, or when the pool is suspended. If the appliance ends between them, blocks are neither free
nor used: ``thin_check`` then fails with status 64 ("data space map contains leaks"), LVM does not
activate the pool, and a guest with its root file system in it does not start.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.guest.shell import Shell


def settle(shell: Shell) -> None:
    """Commit everything that the pools have done. They stay active, and so do file systems in them."""
    for name in _names(shell.run(("dmsetup", "ls", "--target", "thin-pool"))):
        shell.run(("dmsetup", "suspend", name), ("dmsetup", "resume", name))


def _names(listed: str) -> Iterator[str]:
    """The names in the output of ``dmsetup ls``, which is a sentence if there are none."""
    for line in listed.splitlines():
        name, _, number = line.partition("\t")
        if number.startswith("("):
            yield name
