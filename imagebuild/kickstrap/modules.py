"""Determines the kernel modules that a machine needs to reach its disks, in load order."""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagebuild.errors import ImageBuildError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class ModuleIndex:
    """The content of ``modules.dep`` and ``modules.builtin`` of a kernel.

    ``needs`` maps a module's path below ``/lib/modules/<version>`` to the paths it depends on;
    ``paths`` maps its name to its path; ``builtin`` are the names of built-in modules.
    """

    needs: dict[str, tuple[str, ...]]
    paths: dict[str, str]
    builtin: frozenset[str]

    def has(self, name: str) -> bool:
        """Whether this kernel has ``name``, as a module or built in."""
        return name in self.builtin or name in self.paths

    def load_order(self, names: Sequence[str]) -> list[str]:
        """Paths of the modules to load for ``names``, each after its dependencies.

        Raises ImageBuildError for a name that this kernel does not have.
        """
        order: dict[str, None] = {}
        for name in names:
            if name in self.builtin:
                continue
            path = self.paths.get(name)
            if path is None:
                raise ImageBuildError(f"the installer's kernel has no module {name}")
            # modules.dep lists all dependencies of a module, the first to load at the end
            for needed in (*reversed(self.needs[path]), path):
                order.setdefault(needed)
        return list(order)


def parse_index(modules_dep: str, modules_builtin: str) -> ModuleIndex:
    """Parse the texts of ``modules.dep`` and ``modules.builtin``."""
    needs: dict[str, tuple[str, ...]] = {}
    for line in modules_dep.splitlines():
        path, _, dependencies = line.partition(":")
        needs[path] = tuple(dependencies.split())
    paths = {name_of(path): path for path in needs}
    builtin = frozenset(name_of(line) for line in modules_builtin.split())
    return ModuleIndex(needs, paths, builtin)


def name_of(path: str) -> str:
    """``kernel/drivers/net/virtio_net.ko.xz`` -> ``virtio_net``; hyphens become underscores, as in
    the kernel.
    """
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def plain(path: str, data: bytes) -> bytes:
    """The module's bytes without compression, as busybox's insmod needs them.

    Raises ImageBuildError for a compression that Debian does not use so far.
    """
    if path.endswith(".ko"):
        return data
    if path.endswith(".ko.xz"):
        return lzma.decompress(data)
    raise ImageBuildError(f"cannot read the kernel module {path}: unknown compression")
