"""Customises an installed disk, starting from the latest checkpoint in the store, and stores new
checkpoints.

A checkpoint is the disk after some of the operations, stored when these took long: then an edit of
the last operation does not install packages again. The installed disk is raw and sparse, and what
is made of it are overlays on it: see imagebuild.image.layers. Measured with Debian's 430 MiB:
copying a disk takes 0.3 s, unpacking it from qcow2 or zstd 3 to 4 s, and packing it 2 to 17 s.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from imagebuild import customise as customisation
from imagebuild.build import postmortem
from imagebuild.build.installation_record import RECORD, InstallationRecord
from imagebuild.build.plan import Plan
from imagebuild.build.step_cache import StepCache
from imagebuild.contents.encoding import INVENTORY
from imagebuild.customise import OperationCall, registry
from imagebuild.errors import GuestError
from imagebuild.files import read_record, write_record
from imagebuild.guest import Key
from imagebuild.guest.encryption import ALL
from imagebuild.host.accelerator import Accelerator
from imagebuild.image import layers, qemu_img
from imagebuild.machine.install_vm import disk_names
from imagebuild.printable import counted
from imagebuild.progress import Progress
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.schema.customised import RESULT, RESULTS, CustomiseResult, OperationResult
from imagebuild.step import FURTHER_PACKAGES, AddedFiles, UsedSource

_RESULT = "customised.json"
_MOST_NAMED = 5
"""The most files that an error message names."""
_LIMIT = 1800.0
"""Seconds after which customising counts as hung."""


@dataclass(frozen=True)
class StartingPoint:
    """Where to start: a folder with disks, the record and the logs of their installation, and the
    operations that were applied to the disks.
    """

    folder: Path
    done: tuple[OperationResult, ...] = ()


def furthest(plan: Plan, cache: StepCache) -> StartingPoint | None:
    """The latest checkpoint of the plan, from this store or from the remote one; None if there is none."""
    for one in reversed(plan.layers):
        folder = cache.find(one)
        if folder is None:
            folder = cache.fetch(one)
        if folder is not None and (folder / RECORD).is_file():
            return StartingPoint(folder, RESULTS.validate_json((folder / _RESULT).read_bytes()))
    return None


def make(
    plan: Plan,
    start: StartingPoint,
    operations: Sequence[OperationCall],
    *,
    cache: StepCache,
    accelerator: Accelerator,
    added: AddedFiles | None = None,
) -> Path:
    """The store entry with the customised disks; ``operations`` are the plan's, with secrets. ``added`` is
    added to an installed disk first.
    """
    before_seal, sealing = registry.ordered(operations)

    def fill(folder: Path, progress: Progress) -> str:
        folder.chmod(0o700)
        progress.update(
            f"continuing from the checkpoint {plan.layers[len(start.done) - 1].what}"
            if start.done
            else "continuing from the installed disk"
        )
        names = disk_names(plan.recipe)
        record = _record(start, added)

        def customised() -> CustomiseResult:
            disks = layers.on_top(start.folder, folder, names)
            return customisation.run(
                disks[0].top,
                disks[0].format,
                [*before_seal[len(start.done) :], *sealing],
                accel=accelerator,
                workdir=cache.work,
                more=[disk.top for disk in disks[1:]],
                network=True,
                progress=progress,
                timeout=_LIMIT,
                before=start.done,
                keep_checkpoint=partial(_keep, plan, start, cache, record),
                additions=None if added is None else (added.archive, added.description),
                inventories=[folder / INVENTORY],
                keys=_keys(plan.recipe),
            )

        result = customisation.again_if_stuck(customised, lambda text: cache.reporter.note(cache.label, text))
        if result.failed:
            raise GuestError(
                f"failed to clean {counted(len(result.failed), 'file')}: "
                + "; ".join(f"{one.path}: {one.what}" for one in result.failed[:_MOST_NAMED])
            )
        for disk in (layers.found(folder, name) for name in names):
            if disk.format == "raw":
                qemu_img.dig_holes(disk.top)
        (folder / _RESULT).write_bytes(RESULT.dump_json(result))
        write_record(folder / RECORD, record)
        postmortem.copy_logs(start.folder, folder)
        again = f" (the first {len(start.done)} from a checkpoint)" if start.done else ""
        return f"{counted(len(result.operations), 'operation')}{again}, {counted(result.changed_paths, 'file')} changed"

    return cache.make(plan.customise, fill, known=start.folder)


def _keys(recipe: Recipe) -> tuple[Key, ...]:
    """What opens the recipe's encrypted disks."""
    ref = recipe.encryption.passphrase
    at = recipe.place(("encryption", "passphrase"))
    return () if ref is None else (Key(ALL, RealSecrets().passphrase(ref, at)),)


def result(customised: Path) -> CustomiseResult:
    """The operations that were applied to the disks of an entry."""
    return RESULT.validate_json((customised / _RESULT).read_bytes())


def inventory(customised: Path) -> Path | None:
    """The file with the inventory of the guest on the disks of an entry; None if there is none."""
    path = customised / INVENTORY
    return path if path.is_file() else None


def _record(start: StartingPoint, added: AddedFiles | None) -> InstallationRecord:
    """What the guest was made from, for the manifest."""
    record = read_record(start.folder / RECORD, InstallationRecord)
    if added is None:
        return record
    return replace(record, sources=(*record.sources, UsedSource(FURTHER_PACKAGES, added.sha256)))


def _keep(
    plan: Plan,
    start: StartingPoint,
    cache: StepCache,
    record: InstallationRecord,
    copies: Path,
    results: Sequence[OperationResult],
) -> None:
    """Make the store entry of the checkpoint whose disks are in ``copies``."""
    one = plan.layers[len(results) - 1]
    store = cache.settings.store
    with store.make(
        one.kind, one.fingerprint, within=cache.work, label=cache.label, inputs=one.inputs,
        replace=cache.settings.refresh, known=start.folder
    ) as folder:  # fmt: skip
        folder.chmod(0o700)
        for name in disk_names(plan.recipe):
            if not (copies / name).exists():
                layers.linked(layers.found(start.folder, name), folder)
        for path in copies.iterdir():
            path.rename(folder / path.name)
        (folder / _RESULT).write_bytes(RESULTS.dump_json(tuple(results)))
        write_record(folder / RECORD, record)  # so that nothing but this entry is needed to go on
        postmortem.copy_logs(start.folder, folder)
    cache.made(one)
    shutil.rmtree(copies)
