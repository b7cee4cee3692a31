"""The last step: converts customised disks to an artifact, with its manifest, domain definition and
logs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from imagebuild.build import checkpoints, manifest, postmortem, repository, tool_versions, verdict, verification
from imagebuild.build.installation_record import RECORD, InstallationRecord
from imagebuild.build.job import Job
from imagebuild.contents.encoding import INVENTORY
from imagebuild.files import read_record, sha256
from imagebuild.image import layers
from imagebuild.image.conversion import convert
from imagebuild.image.formats import FinishedImage
from imagebuild.machine import domain_xml
from imagebuild.machine.install_vm import disk_names, disk_sizes
from imagebuild.progress import Progress
from imagebuild.recipe import host_inputs
from imagebuild.sbom import writing as sbom
from imagebuild.schema.section import MIB
from imagebuild.store.artifact import MANIFEST, Artifact, ArtifactFolder, ImageRecord


def artifact(job: Job, customised: Path) -> Artifact:
    """Convert the disks of an entry to a new artifact, which becomes the latest."""
    recipe = job.recipe
    output = ArtifactFolder(job.settings.output, recipe.name)
    with output.new(datetime.now().astimezone().date()) as new:
        with job.cache.running(job.plan.convert) as progress:
            images = _images(job, customised, new.folder, progress)
            facts = _facts(job, new, customised, images)
            sizes = (f"{image.size / MIB:.0f} MiB {image.format}" for image in images)
            progress.summary(f"{sum(disk_sizes(recipe)) / (1 << 30):.1f} GiB raw → {', '.join(sizes)}")
        (new.folder / MANIFEST).write_text(manifest.text(job.plan, facts))
        if (inventory := checkpoints.inventory(customised)) is not None:
            shutil.copyfile(inventory, new.folder / INVENTORY)
            sbom.write_documents(new)
        new.domain.write_text(domain_xml.definition(recipe))
        (new.folder / "kickstart.cfg").write_text(job.plan.kickstart.text)
        postmortem.copy_logs(customised, new.folder)
        postmortem.copy_logs(job.logs, new.folder)
        _set_modes(job, new, customised)
        if checks := verdict.wanted(recipe, asked=job.settings.verify):
            verification.check_artifact(job, new, checks)
    made = output.latest()
    assert made is not None
    return made


def _images(job: Job, customised: Path, folder: Path, progress: Progress) -> list[ImageRecord]:
    """The images of all disks in the primary format, then in each of the other formats."""
    output, images = job.recipe.output, []
    formats = (output.primary, *output.further)
    names = {each: domain_xml.image_names(job.recipe, each) for each in formats}
    for at, name in enumerate(disk_names(job.recipe)):
        disk = layers.found(customised, name)
        targets = {each: folder / names[each][at] for each in formats}
        made = convert(disk, targets, compression=output.compression, progress=progress)
        images.append([_image_record(made[each], disk.size) for each in formats])
    return [image for of_format in zip(*images, strict=True) for image in of_format]


def _image_record(image: FinishedImage, virtual_size: int) -> ImageRecord:
    return ImageRecord(
        file=image.path.name,
        format=image.format,
        compression=image.compression,
        size=image.size,
        virtual_size=virtual_size,
        sha256=image.sha256,
    )


def _facts(job: Job, new: Artifact, customised: Path, images: Sequence[ImageRecord]) -> manifest.Facts:
    disks = len(job.recipe.disks)
    inventory = checkpoints.inventory(customised)
    return manifest.Facts(
        version=new.version,
        installation=read_record(customised / RECORD, InstallationRecord),
        customised=checkpoints.result(customised),
        image=images[0],
        extra_images=images[1:disks],
        other_formats=images[disks:],
        domain=new.domain.name,
        inventory="" if inventory is None else sha256(inventory),
        began=job.began,
        ended=datetime.now(UTC),
        seconds=job.cache.seconds,
        tools=tool_versions.every(job.settings.store.probe_cache),
        run=job.run,
        repository=repository.of(job.recipe.source),
    )


def _set_modes(job: Job, new: Artifact, customised: Path) -> None:
    """Make files that contain or may contain secrets readable by their owner only: images, and the
    installation's logs.

    All users may read the other files.
    """
    secret = host_inputs.has_secrets(job.recipe) or checkpoints.result(customised).password_hashes is not False
    for path in new.folder.iterdir():
        harmless = path in (new.folder / MANIFEST, new.domain)
        path.chmod(0o600 if secret and not harmless else 0o644)
