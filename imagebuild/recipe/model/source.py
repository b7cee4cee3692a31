"""The source of Anaconda: an install tree, an ISO, or a kernel with its initrd; and how it is
verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import Section

Kind = Literal["tree", "iso", "kernel"]
_KINDS: dict[Kind, tuple[str, ...]] = {
    "tree": (),
    "iso": ("sha256", "checksums", "signature", "keyring", "attach"),
    "kernel": ("kernel_sha256", "initrd", "initrd_sha256", "stage2", "stage2_sha256"),
}
"""The kinds of a source: the key that selects the kind, and the further keys of that kind."""
_UNVERIFIED = "or set insecure: true under installer if nobody needs to trust the image"


def _one_or_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Source(Section):
    """The source of the installer; exactly one of tree, iso and kernel."""

    tree: f.Place | None = Field(
        None, description="Install tree: a URL or a folder. Its `.treeinfo` lists the files and their digests."
    )
    iso: f.Place | None = Field(None, description="ISO image: a URL or a file.")
    sha256: f.Sha256 | None = Field(None, description="ISO: its SHA-256, if the recipe pins it.")
    checksums: f.Place | None = Field(
        None, description="ISO: the distribution's signed checksum file; a URL or a file."
    )
    signature: f.Place | None = Field(
        None,
        description="ISO: the signature of `checksums`, if it is a separate file that is not named `checksums` + `.asc`"
        " or `.sig`.",
    )
    keyring: Annotated[tuple[f.FilePath, ...], BeforeValidator(_one_or_several)] = Field(
        (), description="ISO: file with the key that signs `checksums`; of several, the first that exists on this host."
    )
    attach: bool = Field(
        default=True, description="ISO: attach it to the VM as a CD-ROM. `false`: unpack it and serve it as a tree."
    )
    kernel: f.Place | None = Field(None, description="Kernel of the installer: a URL or a file.")
    kernel_sha256: f.Sha256 | None = Field(None, description="SHA-256 of the kernel.")
    initrd: f.Place | None = Field(None, description="Initial RAM disk that belongs to the kernel.")
    initrd_sha256: f.Sha256 | None = Field(None, description="SHA-256 of the initial RAM disk.")
    stage2: f.Place | None = Field(
        None, description="Anaconda's runtime image. Default: Anaconda fetches it from the first repository."
    )
    stage2_sha256: f.Sha256 | None = Field(None, description="SHA-256 of the runtime image.")

    @property
    def kind(self) -> Kind:
        """The kind of this source."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def is_served(self) -> bool:
        """Whether the VM gets its packages from a folder of this host."""
        return not self.attach or (self.tree is not None and "://" not in self.tree)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        wrong = list(self._kind_findings())
        if wrong:
            raise Refused(wrong)
        return self

    def _kind_findings(self) -> Iterator[Finding]:
        kinds = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if not kinds:
            yield Finding((), "expected one of tree, iso and kernel", "see docs/sources.md for each of them")
            return
        kind = kinds[0]
        for other in kinds[1:]:
            yield Finding((other,), f"a source has one kind only, and {kind} is already set", at_key=True)
        if len(kinds) > 1:
            return
        every = [key for keys in _KINDS.values() for key in keys]
        for key in every:
            if key not in _KINDS[kind] and getattr(self, key) != type(self).model_fields[key].default:
                yield Finding((key,), f"this key is not allowed for a source of the kind {kind}", at_key=True)
        if self.checksums is None:
            for key in ("signature", "keyring"):
                if getattr(self, key):
                    yield Finding((key,), "this key requires checksums", at_key=True)
        if kind == "kernel" and self.initrd is None:
            yield Finding((), "the key 'initrd' is missing: a kernel boots with its initial RAM disk")
        if self.stage2_sha256 and self.stage2 is None:
            yield Finding(("stage2_sha256",), "this key requires stage2", at_key=True)

    def unverified(self) -> Iterator[Finding]:
        """What cannot be verified. It may be used only if the recipe allows it."""
        if self.kind == "tree":
            if str(self.tree).startswith("http://"):
                message = (
                    "a tree over http cannot be verified: anyone on the network path can change it, checksums included"
                )
                yield Finding(("tree",), message, f"use https, {_UNVERIFIED}")
        elif self.kind == "iso":
            yield from self._unverified_iso()
        else:
            for key in ("kernel", "initrd", "stage2"):
                if getattr(self, key) is not None and getattr(self, f"{key}_sha256") is None:
                    yield Finding((key,), f"cannot verify the {key}", f"set {key}_sha256, {_UNVERIFIED}")

    def _unverified_iso(self) -> Iterator[Finding]:
        if self.sha256:
            return
        if self.checksums is None:
            hint = f"set sha256, or checksums (the distribution's signed file) with keyring, {_UNVERIFIED}"
            yield Finding(("iso",), "cannot verify the ISO", hint)
        elif not self.keyring:
            hint = f"set keyring to the file of the distribution's key on this system, {_UNVERIFIED}"
            yield Finding(("checksums",), "the key that signs the checksums is not given", hint)


class Repository(Section):
    """A package repository; exactly one of url, metalink and mirrorlist."""

    name: f.Name = Field(description="Name of the repository.")
    url: f.Url | None = Field(None, description="URL of the repository.")
    metalink: f.Url | None = Field(None, description="URL of its metalink.")
    mirrorlist: f.Url | None = Field(None, description="URL of its mirror list.")
    install: bool = Field(default=False, description="Also configure the repository in the installed system.")

    @property
    def address(self) -> str:
        """The URL that is given."""
        return self.url or self.metalink or self.mirrorlist or ""

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        given = [key for key in ("url", "metalink", "mirrorlist") if getattr(self, key)]
        if len(given) != 1:
            raise ValueError("expected exactly one of url, metalink and mirrorlist")
        return self

    def unverified(self) -> Iterator[Finding]:
        """What cannot be verified: whatever is fetched over http."""
        for key in ("url", "metalink", "mirrorlist"):
            if str(getattr(self, key)).startswith("http://"):
                message = (
                    "a repository over http cannot be verified: the installer accepts its packages without a signature"
                )
                yield Finding((key,), message, f"use https, {_UNVERIFIED}")
