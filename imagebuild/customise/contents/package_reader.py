"""The packages of a guest and the files of none, read from its package database in few calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from imagebuild.contents.inventory import PackageRecord, UnownedFile
from imagebuild.customise.contents import apk_packages, dpkg_packages, rpm_packages, unowned
from imagebuild.customise.contents.field_limits import MOST_PACKAGES
from imagebuild.customise.contents.guest_reader import CONCATENATE, GuestReader
from imagebuild.customise.contents.listing import Listing
from imagebuild.customise.contents.sqlite_table import DamagedDatabaseError
from imagebuild.customise.linux import dpkg
from imagebuild.customise.linux.packages import APK_INSTALLED
from imagebuild.errors import GuestError
from imagebuild.log import logger

_LARGEST_DATABASE = 64 << 20
_LARGEST_RPM_DATABASE = 512 << 20
_LARGEST_LIST = 8 << 20
_ALL_LISTS = 64 << 20
_LARGEST_COPYRIGHT = 1 << 20
_RPM_FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
Read = Callable[[str, int], bytes]
"""The content of a file of at most so many bytes; empty for any other."""


def package_format(listing: Listing) -> str:
    """dpkg, apk, rpm, or empty for none of them."""
    if listing.real_file(dpkg.STATUS):
        return "dpkg"
    if listing.real_file(APK_INSTALLED):
        return "apk"
    return "rpm" if any(listing.stat(folder) for folder in _RPM_FOLDERS) else ""


class PackageReader:
    """Reads what the database of one guest says."""

    def __init__(self, reader: GuestReader, listing: Listing, read: Read) -> None:
        self._reader = reader
        self._listing = listing
        self._records = reader.survey.files
        self._read = read

    def installed(self, form: str) -> tuple[tuple[PackageRecord, ...] | None, tuple[UnownedFile, ...] | None]:
        """The packages, sorted, and the files of none; None for what is not known."""
        found, owned = {"dpkg": self._dpkg, "apk": self._apk, "rpm": self._rpm}.get(form, self._none)()
        if found is None or (form and not found) or len(found) >= MOST_PACKAGES:
            return None, None
        return tuple(sorted(set(found))), None if owned is None else tuple(self._unowned(owned))

    def _none(self) -> tuple[list[PackageRecord], Iterable[str] | None]:
        """A guest without a package manager: every file would be one of no package."""
        return [], None

    def _dpkg(self) -> tuple[list[PackageRecord], Iterable[str] | None]:
        found = dpkg_packages.records(self._text(dpkg.STATUS))
        folder = self._folder(dpkg_packages.INFO)
        # a list of each package, by its first name that exists
        names = [[f"{folder}/{name}" for name in dpkg_packages.list_names(one)] for one in found]
        lists = self._small((self._first(some) for some in names), _LARGEST_LIST, _ALL_LISTS)
        owned = self._output(CONCATENATE, lists).decode("utf-8", "surrogateescape").split("\n")
        moved = dict(dpkg_packages.diverted(self._text(dpkg_packages.DIVERSIONS)))
        owned += [moved[path] for path in moved.keys() & set(owned)]
        return self._with_licences(found), owned if lists else None

    def _with_licences(self, found: list[PackageRecord]) -> list[PackageRecord]:
        places = {one.name: self._listing.real_file(f"/usr/share/doc/{one.name}/copyright") for one in found}
        paths = self._small(dict.fromkeys(places.values()), _LARGEST_COPYRIGHT, _ALL_LISTS)
        named = dpkg_packages.licences(self._output(dpkg_packages.LICENCE_LINES, paths))
        return [one._replace(licences=named.get(f".{places[one.name]}", ())) for one in found]

    def _apk(self) -> tuple[list[PackageRecord], Iterable[str]]:
        text = self._text(APK_INSTALLED)
        return apk_packages.records(text), apk_packages.owned(text)

    def _rpm(self) -> tuple[list[PackageRecord] | None, Iterable[str] | None]:
        """None if the database has another format or is damaged, or was not closed, so that a part of
        it is in a journal."""
        for folder in _RPM_FOLDERS:
            path = f"{folder}/{rpm_packages.NAME}"
            journal = self._listing.stat(f"{path}-wal")
            if self._listing.real_file(path) and not (journal and journal.size):
                try:
                    return rpm_packages.described(self._read(path, _LARGEST_RPM_DATABASE))
                except DamagedDatabaseError as error:
                    logger.debug("the guest's packages are not known: %s", error)
                    return None, None
        return None, None

    def _unowned(self, owned: Iterable[str]) -> list[UnownedFile]:
        files = unowned.unowned(self._records, owned, self._listing)
        paths = unowned.to_digest(files)
        return unowned.digested(files, self._output(unowned.DIGEST, paths))

    def _text(self, path: str) -> str:
        return self._read(path, _LARGEST_DATABASE).decode("utf-8", "surrogateescape")

    def _folder(self, path: str) -> str:
        try:
            return self._listing.realpath(path)
        except GuestError:
            return path

    def _first(self, paths: Iterable[str]) -> str | None:
        """The first path where there is a regular file; a link there is not followed."""
        return next((path for path in paths if (found := self._listing.stat(path)) and found.kind == "file"), None)

    def _small(self, paths: Iterable[str | None], largest: int, altogether: int) -> list[str]:
        """Those that are not larger than expected, until all of them together would be."""
        found, left = [], altogether
        for path in paths:
            there = self._listing.stat(path) if path else None
            if path and there and there.size <= min(largest, left):
                left -= there.size
                found.append(path)
        return found

    def _output(self, script: str, paths: Sequence[str]) -> bytes:
        """What a script prints; empty if it cannot be run."""
        if not paths:
            return b""
        try:
            return self._reader.output(script, paths)
        except GuestError as error:
            logger.debug("not read for the inventory: %s", error)
            return b""
