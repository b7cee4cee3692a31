"""Where an audit searches: everywhere that a machine's own files may be, but not in the files that
packages install."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imagebuild.customise.guest import Guest

_OF_THE_SYSTEM = frozenset(
    [
        "bin",
        "sbin",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "usr",
        "dev",
        "proc",
        "sys",
        "run",
        "lost+found",
        "snap",
        "nix",
        "ostree",
        "sysroot",
    ]
)
_WITHIN = ("/usr/local",)
LAYERS = (
    "/var/lib/docker/overlay2",
    "/var/lib/docker/aufs",
    "/var/lib/docker/btrfs",
    "/var/lib/containers/storage/overlay",
    "/var/lib/containerd/io.containerd.snapshotter.*",
    "/home/*/.local/share/containers/storage/overlay",
    "/var/lib/flatpak/runtime",
    "/var/lib/flatpak/app",
    "/var/lib/flatpak/repo",
    "/var/lib/snapd/snap",
    "/var/lib/machines/*",
    "/var/lib/lxc/*/rootfs",
    "/.snapshots",
    "/home/.snapshots",
)
"""Systems within the system: container images and snapshots. They are reported, but not inspected."""
_SAMPLES = re.compile(
    r"/(site|dist)-packages/|/node_modules/|/(go/pkg/mod|\.cargo/registry|vendor/bundle)/|/(tests?|testdata|"
    r"test_data|fixtures|examples?)/|"
    r"^/usr/local/(share/(doc|man)|lib/(python|ruby|node|perl))|^/var/lib/(dpkg|apt/lists|rpm|dnf|pacman|"
    r"portage)/|^/var/db/pkg/|"
    r"^/boot/grub2?/.*\.(mod|img|efi)$"
)
"""Places where software ships keys and passwords for its tests and as examples: these are not
secrets of this guest."""


def folders(guest: Guest) -> list[str]:
    """The top-level folders of the guest that are searched, and the folders that links there lead
    to."""
    top = [(f"/{entry.name}", entry.kind) for entry in guest.listdir("/") if entry.name not in _OF_THE_SYSTEM]
    found = [path for path, kind in top if kind == "dir"] + [path for path in _WITHIN if guest.is_dir(path)]
    links = [(path, guest.readlink(path)) for path, kind in top if kind == "symlink"]
    return sorted([*found, *beyond(guest, links, found)])


def beyond(guest: Guest, links: Iterable[tuple[str, str]], searched: Iterable[str]) -> list[str]:
    """Folders outside the searched ones that links lead to, unless they are part of the system."""
    roots = tuple(f"{folder}/" for folder in searched)
    found = set()
    for path, target in links:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if _is_outside(place, roots):
            try:
                real = guest.realpath(path)
                found |= {real} if _is_outside(real, roots) and guest.is_dir(real) else set()
            except GuestError:
                continue
    return sorted(found)


def _is_outside(path: str, roots: tuple[str, ...]) -> bool:
    return path not in ("/", "//") and not f"{path}/".startswith(roots) and path.split("/")[1] not in _OF_THE_SYSTEM


def is_sample(path: str) -> bool:
    """Whether a secret at this path was shipped with software."""
    return _SAMPLES.search(path) is not None


def layers(guest: Guest) -> list[str]:
    """Systems within the system that are not inspected."""
    return guest.glob(*LAYERS)
