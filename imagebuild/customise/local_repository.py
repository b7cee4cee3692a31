"""A folder of packages on the host as the only source of a guest's package manager, while a block
runs.

It is copied into the guest. Everything that the package manager stores about it (lists, caches,
configuration) is kept next to it and removed with it. Signatures are not checked: the digest of the
folder is one of the inputs, so a signature would not add anything.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from imagebuild.customise import host_inputs
from imagebuild.errors import GuestError
from imagebuild.host.hints import command_line

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest
    from imagebuild.customise.host_inputs import HostEntry, HostPath

Manager = Literal["apt", "dnf", "yum", "zypper", "apk"]

_PLACE = "/.imagebuild-packages"
_FOLDER = f"{_PLACE}/repository"
_CACHE = f"{_PLACE}/cache"
_LISTS = f"{_PLACE}/lists"
_SOURCES = f"{_PLACE}/sources"
_REPO_FILE = f"[local]\nname=local\nbaseurl=file://{_FOLDER}\nenabled=1\ngpgcheck=0\n"
_INDEX_OF_DEBS = r"""
cd "$1"
find . -name '*.deb' -type f | sort | while read -r deb; do
  dpkg-deb --field "$deb"
  printf 'Filename: %s\nSize: %s\n' "$deb" "$(stat -c %s "$deb")"
  printf 'SHA256: %s\n\n' "$(sha256sum "$deb" | cut -d ' ' -f 1)"
done >Packages
"""
"""Creates what apt-ftparchive would create; a guest does not need that program otherwise."""


@contextmanager
def offered(guest: Guest, manager: Manager, folder: HostPath) -> Iterator[list[str]]:
    """Make a host's folder of packages available in the guest. Yields the options that make
    ``manager`` use it and nothing else.

    GuestError if the folder is not one that this package manager could read.
    """
    found = host_inputs.entries(guest.supplies.path(folder))
    index = _index(manager, {entry.name for entry in found}, folder)
    with guest.scratch(_PLACE):
        _copy(guest, found)
        for inner in (f"{_CACHE}/archives/partial", f"{_LISTS}/partial"):
            guest.create_folder(inner)
        if index:
            guest.run(["/bin/sh", "-e", "-c", index, "sh", _FOLDER])
        yield _options(guest, manager)


def _index(manager: Manager, names: set[str], folder: HostPath) -> str:
    """The script that creates the index if it is missing; empty if there is one. GuestError if none
    can be created."""
    if manager == "apt":
        return "" if names & {"Packages", "Packages.gz", "Packages.xz"} else _INDEX_OF_DEBS
    if manager == "apk":
        there = any(posixpath.basename(name) == "APKINDEX.tar.gz" for name in names)
        hint = "create it with `apk index`: FOLDER/ARCHITECTURE/APKINDEX.tar.gz"
    else:
        there = "repodata/repomd.xml" in names
        hint = f"create it with `{command_line('createrepo_c', Path(folder))}`"
    if not there:
        raise GuestError(f"{folder} has no package index that {manager} could read", hint)
    return ""


def _copy(guest: Guest, found: list[HostEntry]) -> None:
    for entry in found:
        path = posixpath.join(_FOLDER, entry.name) if entry.name else _FOLDER
        if entry.kind == "dir":
            guest.create_folder(path)
        elif entry.kind == "file":
            guest.put(path, entry.path, 0o644)


def _options(guest: Guest, manager: Manager) -> list[str]:
    if manager == "apt":
        guest.create(f"{_SOURCES}/local.list", f"deb [trusted=yes] file:{_FOLDER} ./\n")
        settings = {
            "Dir::Etc::SourceList": f"{_SOURCES}/local.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": _LISTS,
            "Dir::Cache": _CACHE,
        }
        return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    if manager == "apk":
        guest.create(f"{_SOURCES}/repositories", f"{_FOLDER}\n")
        return ["--repositories-file", f"{_SOURCES}/repositories", "--allow-untrusted", "--no-network"]
    guest.create(f"{_SOURCES}/local.repo", _REPO_FILE)
    if manager == "zypper":
        return ["--reposd-dir", _SOURCES, "--cache-dir", _CACHE, "--no-gpg-checks"]
    return [f"--setopt=reposdir={_SOURCES}", f"--setopt=cachedir={_CACHE}"]
