"""The root archive of a recipe's packages, built on this host and passed to the VM as ``liveimg``.

It is not compressed. Measured on 351 MB, in CPU seconds of QEMU's emulation for unpacking and
checksum together: 17 uncompressed, 24 as zstd -3 (150 MB), 29 as zstd -1; the checksum alone takes
7, in parallel to tar on the other processor. In the store this costs disk space, which is cheaper.
"""

from __future__ import annotations

import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from imagebuild import files
from imagebuild.customise.linux import dpkg
from imagebuild.errors import CommandFailed, ImageBuildError
from imagebuild.kickstrap import archive_times, base_root, bootstrap, chosen, foundation
from imagebuild.kickstrap.base_root import STATUS, BaseRoot, BaseSpec
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.scratch import working_folder
from imagebuild.log import logger

if TYPE_CHECKING:
    from imagebuild.progress import Progress

_SECTOR = 512
ARCHITECTURES = {"x86_64": "amd64"}
"""Debian's names for the architectures in recipes."""


@dataclass(frozen=True)
class PayloadSpec:
    """Which packages to install from where. ``packages`` and ``excluded`` come from the kickstart's
    %packages.

    ``core`` (no --nocore) adds Debian's standard system, priority important, to the required
    packages; ``weak_dependencies`` (no --exclude-weakdeps) adds recommended packages. The agent
    does the same in the VM. ``optional``: packages that the mirror does not have are left out.
    ``left_out`` are options of dpkg that keep files from being unpacked. ``epoch`` is the mirror's
    date in seconds since 1970; if it is not known, files that packages make when they are installed
    may differ from run to run.
    """

    suite: str
    mirror: Mirror = field(default_factory=Mirror)
    components: tuple[str, ...] = ("main",)
    packages: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    core: bool = False
    weak_dependencies: bool = False
    optional: bool = False
    left_out: tuple[str, ...] = ()
    arch: str = "x86_64"
    epoch: int | None = None


@dataclass(frozen=True)
class PayloadResult:
    """The archive, its SHA-256, and its packages. Its size is a multiple of 512 bytes, like a
    disk's. ``epoch`` is the time of its newest file; 0 if that is the time of the run. ``offered`` names
    the mirror's state (``release_file.offered``), empty if it is not known.
    """

    path: Path
    sha256: str
    packages: dict[str, str]
    epoch: int = 0
    offered: str = ""


class Roots(Protocol):
    """Where root archives that others continue from are: made for one archive, or in a store."""

    def base(self, spec: BaseSpec) -> BaseRoot | None:
        """The base of ``spec``; None if there can be none."""

    def foundation(self, spec: PayloadSpec, base: BaseRoot) -> PayloadResult | None:
        """The archive of ``spec``, made over ``base`` alone; None if there can be none."""


@dataclass(frozen=True)
class TemporaryRoots:
    """Makes what is asked for in ``folder``."""

    folder: Path
    progress: Progress

    def base(self, spec: BaseSpec) -> BaseRoot:
        return base_root.build(spec, self.folder / "base", self.progress)

    def foundation(self, spec: PayloadSpec, base: BaseRoot) -> PayloadResult:
        return build_over(spec, base, None, self.folder / "foundation", self.progress)


def base_of(spec: PayloadSpec) -> BaseSpec:
    """The base that an archive is made over."""
    return BaseSpec(
        suite=spec.suite,
        mirror=spec.mirror,
        components=tuple(spec.components),
        excluded=tuple(sorted(spec.excluded)),
        recommends=spec.weak_dependencies,
        arch=ARCHITECTURES[spec.arch],
        epoch=spec.epoch,
        left_out=spec.left_out,
    )


def build(spec: PayloadSpec, into: Path, progress: Progress, roots: Roots | None = None) -> PayloadResult:
    """Build the root archive of ``spec`` in the folder ``into``: ``root.tar``, and its description
    ``payload.json``.

    The same packages, mirror state and options give the same bytes, whatever ``roots`` have already.
    Names that the mirror does not have are left out if they are optional or only excluded: apt
    reports those of one call together, first for the base, and the archive is made again without
    them. If it is interrupted, the folder is left as it was. Raises bootstrap.PackagesUnknown,
    HostError, CommandFailed.
    """
    while True:
        try:
            return _build(spec, into, progress, roots)
        except bootstrap.PackagesUnknown as error:
            spec = _without(spec, error)


def _without(spec: PayloadSpec, unknown: bootstrap.PackagesUnknown) -> PayloadSpec:
    """``spec`` without these names, of which it has at least one. Raises ``unknown`` if one is needed."""
    names = {name.rstrip("-") for name in unknown.names}
    if not names or not names <= {*spec.excluded, *(spec.packages if spec.optional else ())}:
        raise unknown
    packages, excluded = (
        tuple(name for name in known if name not in names) for known in (spec.packages, spec.excluded)
    )
    return replace(spec, packages=packages, excluded=excluded)


def _build(spec: PayloadSpec, into: Path, progress: Progress, roots: Roots | None) -> PayloadResult:
    into.mkdir(parents=True, exist_ok=True)
    with working_folder(into) as folder:
        own = TemporaryRoots(folder, progress)
        roots = roots or own
        base = roots.base(base_of(spec)) or own.base(base_of(spec))
        if first := foundation.part(spec.packages) if not spec.core else ():
            common = replace(spec, packages=first)
            if (made := _continued(spec, common, base, into, progress, (roots, own))) is not None:
                return made
        return build_over(spec, base, None, into, progress)


def _continued(
    spec: PayloadSpec,
    common: PayloadSpec,
    base: BaseRoot,
    into: Path,
    progress: Progress,
    roots: tuple[Roots, TemporaryRoots],
) -> PayloadResult | None:
    """The archive of ``spec`` made from that of its foundation ``common``; None if apt would choose other
    packages without it. That is asked meanwhile, since the answer is nearly always the same.
    """
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_chosen, spec, base)
        under = roots[0].foundation(common, base) or roots[1].foundation(common, base)
        made, failure = None, None
        try:
            made = build_over(spec, base, under, into, progress)
        except CommandFailed as error:
            failure = error
        wanted = answer.result()
    # what apt chose for the foundation alone may be something that it would not choose now
    fits = under.packages.items() <= wanted.items()
    if fits and failure is not None:
        raise failure
    if fits and made is not None and made.packages == wanted:
        return made
    logger.info("%s is not used: apt would choose other packages", under.path)
    return None


def _names(spec: PayloadSpec) -> tuple[str, ...]:
    """The names for apt, in an order that does not depend on the recipe's."""
    return (*sorted(spec.packages), *(f"{name}-" for name in sorted(spec.excluded)))


def _chosen(spec: PayloadSpec, base: BaseRoot) -> dict[str, str]:
    arch = ARCHITECTURES[spec.arch]
    try:
        return chosen.packages(base, _names(spec), recommends=spec.weak_dependencies, arch=arch)
    except CommandFailed as error:
        raise bootstrap.explain(error, base_of(spec).bootstrap()) from error


def build_over(
    spec: PayloadSpec, base: BaseRoot, under: PayloadResult | None, into: Path, progress: Progress
) -> PayloadResult:
    """Like ``build``, from the archive ``under`` or, without one, from ``base``."""
    into.mkdir(parents=True, exist_ok=True)
    archive = into / "root.tar"
    plain = base_of(spec).bootstrap()
    written = plain.epoch or 0
    bootstrap.make(
        replace(
            plain,
            variant="important" if spec.core else "required",
            packages=_names(spec),
            over=under.path if under else base.path,
            lists=base.path,
        ),
        archive,
        progress,
    )
    progress.update("computing the archive's checksum", 0.95)
    packages = installed(archive)
    epoch = archive_times.settle(archive, written)
    pad(archive)
    archive.chmod(0o644)
    epoch = 0 if epoch == written else epoch
    result = PayloadResult(archive, files.sha256(archive), packages, epoch, base.offered)
    files.write_record(into / "payload.json", replace(result, path=Path(archive.name)))
    return result


def read(folder: Path) -> PayloadResult:
    """The result of ``build`` in ``folder``."""
    record = files.read_record(folder / "payload.json", PayloadResult)
    return replace(record, path=folder / record.path.name)


def verified(folder: Path) -> PayloadResult:
    """The same; ImageBuildError if the archive is not what it was. Much faster here than in an emulated VM."""
    result = read(folder)
    if (found := files.sha256(result.path)) != result.sha256:
        raise ImageBuildError(
            f"the root archive {result.path} is damaged: its SHA-256 digest is {found}, and it was {result.sha256}",
            "remove its folder: the next build makes it again",
        )
    return result


def installed(archive: Path) -> dict[str, str]:
    """The packages in a root archive and their versions, from its dpkg database."""
    with tarfile.open(archive) as root:
        for member in root:
            if member.name == STATUS:
                content = root.extractfile(member)
                assert content is not None
                return dpkg.versions(content.read().decode())
    raise ImageBuildError(f"the root archive {archive} does not contain a Debian system: {STATUS} is missing")


def pad(archive: Path) -> None:
    """Pad ``archive`` with zeros to whole sectors: QEMU presents it as a disk, which the VM reads
    completely.
    """
    size = archive.stat().st_size
    os.truncate(archive, size + -size % _SECTOR)
