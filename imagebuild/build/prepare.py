"""How what an installation needs is made: of both kinds of preparation comes the same, so that one path installs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from imagebuild import fetch
from imagebuild.anaconda import boot_options, medium
from imagebuild.anaconda.medium import Cache
from imagebuild.build import plan as plans
from imagebuild.build.manifest import Source
from imagebuild.build.preparation import KickstrapPreparation, SourcePreparation
from imagebuild.build.step_cache import Entries
from imagebuild.files import sha256
from imagebuild.host import accelerator
from imagebuild.host.process import stop_all
from imagebuild.kickstart.render import LiveimgPayload, Payload
from imagebuild.kickstrap import payload as payloads
from imagebuild.kickstrap import runtime
from imagebuild.machine.virt_install import SourceDisk
from imagebuild.progress import Progress
from imagebuild.recipe.model import Recipe
from imagebuild.schema.section import MIB

T = TypeVar("T")
_KERNEL, _INITRD, _INSTALL_IMAGE = "images/pxeboot/vmlinuz", "images/pxeboot/initrd.img", "images/install.img"
"""Files of an install tree."""


@dataclass(frozen=True)
class Prepared:
    """What an installation needs.

    ``tree`` is for virt-install, ``disks`` and ``kernel_arguments`` for the VM; ``served`` is a folder that the VM is to
    reach at an address, and ``payload`` tells for that address what the kickstart says. ``room`` are the bytes that the
    target must have, as far as that is known. ``made_from`` is for the manifest.
    """

    tree: Path
    disks: tuple[SourceDisk, ...]
    kernel_arguments: tuple[str, ...]
    payload: Callable[[str], Payload]
    made_from: tuple[Source, ...]
    verdict: accelerator.Verdict
    served: Path | None = None
    room: int = 0


class _Start(Protocol):
    def __call__(self, function: Callable[[], T]) -> Future[T]: ...


@contextmanager
def _side_by_side(threads: int) -> Iterator[_Start]:
    """Start functions side by side; at the end of the block all are waited for.

    When one fails, or the wait is interrupted, the programs and downloads of the others are ended.
    """
    futures: list[Future[Any]] = []
    with ThreadPoolExecutor(threads) as pool:

        def start(function: Callable[[], T]) -> Future[T]:
            futures.append(pool.submit(function))
            return futures[-1]

        try:
            yield start
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop_all()
            fetch.stop_all()
            raise


def prepare(recipe: Recipe, plan: plans.Plan, entries: Entries, verdict: Callable[[], accelerator.Verdict]) -> Prepared:
    """Make, or find, what the installation needs. ``verdict`` proves the accelerator; it runs beside all else."""
    if isinstance(plan.preparation, SourcePreparation):
        return _from_source(recipe, plan.preparation, entries, verdict)
    return _for_kickstrap(recipe, plan.preparation, entries, verdict)


def _from_source(
    recipe: Recipe, preparation: SourcePreparation, entries: Entries, verdict: Callable[[], accelerator.Verdict]
) -> Prepared:
    found = preparation.found

    def make(folder: Path, progress: Progress) -> str:
        return medium.make(found, folder, Cache(entries.settings.store), progress, recipe.os.arch)

    with _side_by_side(2) as start:
        entry = start(lambda: entries.make(preparation.source, make))
        proof = start(verdict)
    there = medium.read(entry.result(), found)
    return Prepared(
        tree=there.tree,
        disks=(SourceDisk(there.image, "medium", cdrom=True),) if there.image else (),
        kernel_arguments=boot_options.kernel_arguments(recipe),
        payload=lambda address: boot_options.payload(recipe, address),
        made_from=tuple(Source(*told) for told in medium.made_from(entry.result())),
        verdict=proof.result(),
        served=there.served,
    )


def _for_kickstrap(
    recipe: Recipe, preparation: KickstrapPreparation, entries: Entries, verdict: Callable[[], accelerator.Verdict]
) -> Prepared:
    with _side_by_side(3) as start:
        made_tree = start(lambda: _tree(preparation, entries))
        made_payload = start(lambda: _payload(preparation, entries))
        proof = start(verdict)
    tree = made_tree.result()
    sources = [
        Source("installer's runtime", sha256(tree / _INSTALL_IMAGE)),
        Source("installer's kernel", sha256(tree / _KERNEL)),
        Source("installer's initrd", sha256(tree / _INITRD)),
    ]
    disks, room = [SourceDisk(tree / _INSTALL_IMAGE, "stage2")], 0
    payload: Payload
    if (entry := made_payload.result()) is None:
        payload = plans.packages_payload(recipe, preparation.mirror)
    else:
        archive = payloads.read(entry)
        payload = LiveimgPayload(plans.PAYLOAD_URL, archive.sha256)
        disks.append(SourceDisk(archive.path, "payload"))
        sources.append(Source("root archive", archive.sha256, preparation.mirror.main))
        # a file system takes some 5 % for itself
        room = int(archive.path.stat().st_size * 1.05) + 64 * MIB
    arguments = runtime.kernel_arguments(recipe.machine.firmware)
    return Prepared(
        tree, tuple(disks), arguments, lambda _: payload, tuple(sources), proof.result(), room=room
    )  # fmt: skip


def _tree(preparation: KickstrapPreparation, entries: Entries) -> Path:
    if found := entries.find(preparation.tree):
        return found / "tree"

    def make_base(folder: Path, progress: Progress) -> str:
        made = runtime.build_base(preparation.runtime_spec, folder / "base", progress)
        return f"installer's runtime, {len(made.packages)} packages"

    def make_tree(folder: Path, _progress: Progress) -> str:
        runtime.build_tree(base / "base", folder / "tree")
        return "install tree"

    base = entries.make(preparation.base, make_base)
    return entries.make(preparation.tree, make_tree) / "tree"


def _payload(preparation: KickstrapPreparation, entries: Entries) -> Path | None:
    step, spec = preparation.payload, preparation.payload_spec
    if step is None:
        return None

    def make(folder: Path, progress: Progress) -> str:
        result = payloads.build(spec, folder, progress)
        return f"root archive, {len(result.packages)} packages"

    return entries.make(step, make)
