"""Where Anaconda comes from: an install tree, an ISO, or a kernel with its initrd; and what proves that it is unchanged."""

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
"""The kinds of a source by the key that makes one, and the keys that go with it."""
_UNVERIFIED = "or write insecure: true under installer, if nobody needs to trust the image"


def _one_or_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Source(Section):
    """Where the installer comes from; exactly one of tree, iso and kernel."""

    tree: f.Place | None = Field(
        None, description="Install tree: its address, or a folder. Its `.treeinfo` says what is in it and the digests."
    )
    iso: f.Place | None = Field(None, description="ISO image: its address, or a file.")
    sha256: f.Sha256 | None = Field(None, description="ISO: its SHA-256, where the recipe writes it down.")
    checksums: f.Place | None = Field(
        None, description="ISO: the distribution's file of checksums, signed; an address or a file."
    )
    signature: f.Place | None = Field(
        None,
        description="ISO: the signature of `checksums`, where it is another file and not `checksums` + `.asc` or `.sig`.",
    )
    keyring: Annotated[tuple[f.FilePath, ...], BeforeValidator(_one_or_several)] = Field(
        (), description="ISO: file of the key that signs `checksums`; of several, the first that this host has."
    )
    attach: bool = Field(
        default=True, description="ISO: give it to the VM as a CD-ROM. `false`: unpack it and serve it as a tree."
    )
    kernel: f.Place | None = Field(None, description="Kernel of the installer: its address, or a file.")
    kernel_sha256: f.Sha256 | None = Field(None, description="SHA-256 of the kernel.")
    initrd: f.Place | None = Field(None, description="Initial RAM disk that belongs to the kernel.")
    initrd_sha256: f.Sha256 | None = Field(None, description="SHA-256 of the initial RAM disk.")
    stage2: f.Place | None = Field(
        None, description="Anaconda's runtime image. Without it, Anaconda takes it from the first repository."
    )
    stage2_sha256: f.Sha256 | None = Field(None, description="SHA-256 of the runtime image.")

    @property
    def kind(self) -> Kind:
        """Which kind of source this is."""
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
            yield Finding((), "expected one of tree, iso and kernel", "docs/sources.md tells what each of them is")
            return
        kind = kinds[0]
        for other in kinds[1:]:
            yield Finding((other,), f"a source is of one kind, and {kind} stands here already", at_key=True)
        if len(kinds) > 1:
            return
        every = [key for keys in _KINDS.values() for key in keys]
        for key in every:
            if key not in _KINDS[kind] and getattr(self, key) != type(self).model_fields[key].default:
                yield Finding((key,), f"this has no meaning for a source of the kind {kind}", at_key=True)
        if self.checksums is None:
            for key in ("signature", "keyring"):
                if getattr(self, key):
                    yield Finding((key,), "this has no meaning without checksums", at_key=True)
        if kind == "kernel" and self.initrd is None:
            yield Finding((), "the key 'initrd' is missing: a kernel boots with its initial RAM disk")
        if self.stage2_sha256 and self.stage2 is None:
            yield Finding(("stage2_sha256",), "this has no meaning without stage2", at_key=True)

    def unverified(self) -> Iterator[Finding]:
        """What nothing proves: it may only be used where the recipe says so."""
        if self.kind == "tree":
            if str(self.tree).startswith("http://"):
                message = "a tree over http proves nothing: whoever stands on the way can change it, checksums included"
                yield Finding(("tree",), message, f"use https, {_UNVERIFIED}")
        elif self.kind == "iso":
            yield from self._unverified_iso()
        else:
            for key in ("kernel", "initrd", "stage2"):
                if getattr(self, key) is not None and getattr(self, f"{key}_sha256") is None:
                    yield Finding((key,), f"nothing proves the {key}", f"write {key}_sha256, {_UNVERIFIED}")

    def _unverified_iso(self) -> Iterator[Finding]:
        if self.sha256:
            return
        if self.checksums is None:
            hint = f"write sha256, or checksums (the distribution's signed file) with keyring, {_UNVERIFIED}"
            yield Finding(("iso",), "nothing proves the ISO", hint)
        elif not self.keyring:
            hint = f"write keyring: the file of the distribution's key on this system, {_UNVERIFIED}"
            yield Finding(("checksums",), "nobody is named who must have signed the checksums", hint)


class Repository(Section):
    """A package repository; exactly one of url, metalink and mirrorlist."""

    name: f.Name = Field(description="Name of the repository.")
    url: f.Url | None = Field(None, description="Address of the repository.")
    metalink: f.Url | None = Field(None, description="Address of its metalink.")
    mirrorlist: f.Url | None = Field(None, description="Address of its list of mirrors.")
    install: bool = Field(default=False, description="The installed system knows the repository too.")

    @property
    def address(self) -> str:
        """The one address that is given."""
        return self.url or self.metalink or self.mirrorlist or ""

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        given = [key for key in ("url", "metalink", "mirrorlist") if getattr(self, key)]
        if len(given) != 1:
            raise ValueError("expected exactly one of url, metalink and mirrorlist")
        return self

    def unverified(self) -> Iterator[Finding]:
        """What nothing proves: what comes over http."""
        for key in ("url", "metalink", "mirrorlist"):
            if str(getattr(self, key)).startswith("http://"):
                message = "a repository over http proves nothing: an installer takes its packages without a signature"
                yield Finding((key,), message, f"use https, {_UNVERIFIED}")
