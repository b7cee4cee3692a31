"""Looks up the install source of a recipe: its files, how each of them is verified, and where they
are.

Looking up needs the network only for files that may change: ``.treeinfo``, and a distribution's
checksums. The files themselves are fetched when they are needed, see
:mod:`imagebuild.anaconda.medium`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imagebuild import fetch, fingerprint
from imagebuild.anaconda import checksums, treeinfo
from imagebuild.anaconda.boot_options import is_url
from imagebuild.errors import HostError, ImageBuildError, Problem, RecipeError
from imagebuild.fetch import Digest
from imagebuild.host import gpgv
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.model.source import Kind, Source

ISO = "image.iso"


@dataclass(frozen=True)
class File:
    """A file of a source: its path in the tree, its address or path on this host, and its digest.

    For a file without a digest, only ``version`` shows whether it has changed.
    """

    name: str
    place: str
    digest: Digest | None
    version: str = ""

    @property
    def key(self) -> str:
        """Identifies the file."""
        if self.digest is not None:
            return f"{self.digest.algorithm}-{self.digest.value}"
        return f"unproved-{fingerprint.text(f'{self.place} {self.version}')}"


@dataclass(frozen=True)
class FoundSource:
    """A source that was looked up. ``folder`` is a tree on this host for the VM; ``asked`` are the
    queried addresses.
    """

    kind: Kind
    what: str
    files: tuple[File, ...]
    about: str = ""
    attach: bool = True
    folder: Path | None = None
    asked: tuple[str, ...] = ()

    def file(self, name: str) -> File | None:
        """The file with that name, if the source has one."""
        return next((file for file in self.files if file.name == name), None)

    def inputs(self) -> Mapping[str, str]:
        """Everything that affects what is installed."""
        said = {"kind": self.kind, "attached": str(self.attach), "said of the tree": fingerprint.text(self.about)}
        return {**said, **{file.name: file.key for file in self.files}}


def look_up(recipe: Recipe) -> FoundSource:
    """Look up the source of a recipe whose installer is Anaconda.

    Raises RecipeError at the recipe's line for an invalid source, HostError for an unreachable one.
    """
    source = recipe.installer.source
    assert source is not None  # the model's rule
    return _LookUp(recipe, source).found()


class _LookUp:
    def __init__(self, recipe: Recipe, source: Source) -> None:
        self.recipe, self.source = recipe, source
        self.asked: list[str] = []

    def found(self) -> FoundSource:
        return {"tree": self.tree, "iso": self.iso, "kernel": self.kernel}[self.source.kind]()

    # An install tree.

    def tree(self) -> FoundSource:
        place = self.place("tree")
        text = self._treeinfo(place)
        try:
            info = treeinfo.parse(text, self.recipe.os.arch)
        except ValueError as error:
            raise self.wrong("tree", f"cannot use the .treeinfo of {_shown(place)}: {error}") from error
        missing = info.without_digest()
        if missing and not self.recipe.installer.insecure:
            hint = "use another tree or an ISO, or write insecure: true under installer"
            raise self.wrong("tree", f"the .treeinfo of {_shown(place)} has no digest of {', '.join(missing)}", hint)
        names = {info.kernel: treeinfo.KERNEL, info.initrd: treeinfo.INITRD}
        files = [
            self.described(names.get(path, path), f"{place.rstrip('/')}/{path}", info.checksums.get(path))
            for path in info.wanted
        ]
        what = f"install tree, {info.family} {info.version}".rstrip(" ,")
        folder = None if is_url(place) else Path(place)
        return FoundSource("tree", what, tuple(files), text, folder=folder, asked=tuple(self.asked))

    def _treeinfo(self, place: str) -> str:
        for name in treeinfo.NAMES:
            try:
                return self.text(f"{place.rstrip('/')}/{name}").decode("utf-8", "replace")
            except fetch.NotThere:
                continue
        raise self.wrong("tree", f"{_shown(place)} is not an install tree: it has no .treeinfo")

    # An ISO image.

    def iso(self) -> FoundSource:
        place = self.place("iso")
        digest = Digest("sha256", self.source.sha256) if self.source.sha256 else self._listed(place)
        name = unquote(urlsplit(place).path if is_url(place) else place).rpartition("/")[2]
        file = self.described(ISO, place, digest)
        return FoundSource("iso", f"ISO image {name}", (file,), attach=self.source.attach, asked=tuple(self.asked))

    def _listed(self, place: str) -> Digest | None:
        """The digest in the distribution's checksum file, after its signature has been verified."""
        if self.source.checksums is None:
            return None
        listing = self.place("checksums")
        content = self.text(listing)
        if self.source.keyring:
            content = self._signed(listing, content)
        name = unquote(urlsplit(place).path if is_url(place) else place).rpartition("/")[2]
        try:
            return checksums.find(content.decode("utf-8", "replace"), name)
        except ValueError as error:
            raise self.wrong("checksums", f"{_shown(listing)}: {error}") from error

    def _signed(self, listing: str, content: bytes) -> bytes:
        at = self.recipe.place(("installer", "source", "keyring"))
        keys = gpgv.keyring([Path(at.file).parent / Path(path).expanduser() for path in self.source.keyring])
        inside = self.source.signature is None and gpgv.is_signed_inside(content)
        try:
            return gpgv.verified(content, None if inside else self._signature(listing), keys, _shown(listing))
        except ImageBuildError as error:
            if isinstance(error, HostError):
                raise
            raise self.wrong("checksums", error.message, error.hint) from error

    def _signature(self, listing: str) -> bytes:
        if self.source.signature is not None:
            return self.text(self.place("signature"))
        for suffix in (".asc", ".sig", ".gpg", ".sign"):
            try:
                return self.text(listing + suffix)
            except fetch.NotThere:
                continue
        hint = "set installer.source.signature"
        raise self.wrong("checksums", f"{_shown(listing)} has neither an embedded nor a detached signature", hint)

    # A kernel and its initrd.

    def kernel(self) -> FoundSource:
        files = []
        for key, name in (("kernel", treeinfo.KERNEL), ("initrd", treeinfo.INITRD), ("stage2", treeinfo.STAGE2[0])):
            if getattr(self.source, key) is not None:
                digest = getattr(self.source, f"{key}_sha256")
                files.append(self.described(name, self.place(key), Digest("sha256", digest) if digest else None))
        return FoundSource("kernel", "kernel and initrd", tuple(files), asked=tuple(self.asked))

    # What all of them need.

    def place(self, key: str) -> str:
        """A place in the recipe: an address as it is, a path relative to the folder of the file
        that contains it.
        """
        value = str(getattr(self.source, key))
        if is_url(value):
            return value
        mark = self.recipe.place(("installer", "source", key))
        return str((Path(mark.file).parent / Path(value).expanduser()).resolve())

    def text(self, place: str) -> bytes:
        """The current content of a small file."""
        if is_url(place):
            self.asked.append(place)
            return fetch.text(place)
        try:
            return Path(place).read_bytes()
        except FileNotFoundError as error:
            raise fetch.NotThere(f"no such file: {place}") from error
        except OSError as error:
            raise HostError(f"cannot read {place}: {error.strerror}") from error

    def described(self, name: str, place: str, digest: Digest | None) -> File:
        """A file with its digest, or else with a version that shows whether it has changed."""
        if digest is not None:
            return File(name, place, digest)
        if is_url(place):
            self.asked.append(place)
            return File(name, place, None, fetch.version(place))
        try:
            about = Path(place).stat()
        except OSError as error:
            raise HostError(f"cannot read {place}: {error.strerror}") from error
        return File(name, place, None, f"{about.st_size} {about.st_mtime_ns}")

    def wrong(self, key: str, message: str, hint: str | None = None) -> RecipeError:
        mark = self.recipe.place(("installer", "source", key))
        return RecipeError([Problem(mark.file, mark.value, f"installer.source.{key}", message, hint)])


def _shown(place: str) -> str:
    return fetch.shown(place) if is_url(place) else place
