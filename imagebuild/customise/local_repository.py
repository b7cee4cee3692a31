"""A folder of packages of the host as the only source of a guest's package manager, while a block runs.

It is copied into the guest, and all that the package manager notes about it is kept beside it and removed with it: lists,
caches, configuration. The packages are taken as they are: the folder's digest counts as an input, so a signature would prove no more.
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
"""What apt-ftparchive would make; a guest has no need of that otherwise."""


@contextmanager
def offered(guest: Guest, manager: Manager, folder: HostPath) -> Iterator[list[str]]:
    """Have a host's folder of packages in the guest; gives the options that make ``manager`` know it, and nothing else.

    GuestError if the folder is none that this package manager could read.
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
    """The script that makes the index which is missing; nothing if there is one. GuestError where none can be made."""
    if manager == "apt":
        return "" if names & {"Packages", "Packages.gz", "Packages.xz"} else _INDEX_OF_DEBS
    if manager == "apk":
        there = any(posixpath.basename(name) == "APKINDEX.tar.gz" for name in names)
        hint = "`apk index` makes it: FOLDER/ARCHITECTURE/APKINDEX.tar.gz"
    else:
        there = "repodata/repomd.xml" in names
        hint = f"`{command_line('createrepo_c', Path(folder))}` makes it"
    if not there:
        raise GuestError(f"{folder} has no index of its packages that {manager} could read", hint)
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
