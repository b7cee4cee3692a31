"""Where an audit looks: everything that a machine's own files may be in, and not what packages bring."""

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
"""Systems within the system: images of containers and earlier states. They are named, and not looked into."""
_SAMPLES = re.compile(
    r"/(site|dist)-packages/|/node_modules/|/(go/pkg/mod|\.cargo/registry|vendor/bundle)/|/(tests?|testdata|test_data|fixtures|examples?)/|"
    r"^/usr/local/(share/(doc|man)|lib/(python|ruby|node|perl))|^/var/lib/(dpkg|apt/lists|rpm|dnf|pacman|portage)/|^/var/db/pkg/|"
    r"^/boot/grub2?/.*\.(mod|img|efi)$"
)
"""Where software brings keys and passwords of its own, for its tests and as examples: what is there is no secret of this guest."""


def folders(guest: Guest) -> list[str]:
    """The folders at the top of the guest that are searched, with those that links there lead to."""
    top = [(f"/{entry.name}", entry.kind) for entry in guest.listdir("/") if entry.name not in _OF_THE_SYSTEM]
    found = [path for path, kind in top if kind == "dir"] + [path for path in _WITHIN if guest.is_dir(path)]
    links = [(path, guest.readlink(path)) for path, kind in top if kind == "symlink"]
    return sorted([*found, *beyond(guest, links, found)])


def beyond(guest: Guest, links: Iterable[tuple[str, str]], searched: Iterable[str]) -> list[str]:
    """The folders that links lead to out of what was searched, and that are no part of the system."""
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
    """Whether a secret at this path came with software."""
    return _SAMPLES.search(path) is not None


def layers(guest: Guest) -> list[str]:
    """Systems within the system that are not looked into."""
    return guest.glob(*LAYERS)
