"""How each step of a plan is made: entries of the store in, an entry or the artifact out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from imagebuild.anaconda.http_server import served
from imagebuild.build import checkpoints, installers, manifest, postmortem, tool_versions
from imagebuild.build import plan as plans
from imagebuild.build.explain import KICKSTART
from imagebuild.build.plan import Plan
from imagebuild.build.prepare import prepare
from imagebuild.build.step_cache import Entries, Settings
from imagebuild.errors import HostError, InstallStalled, Problem, RecipeError
from imagebuild.host import accelerator, hypervisor
from imagebuild.image import qemu_img
from imagebuild.image.conversion import convert
from imagebuild.image.formats import Image
from imagebuild.install.supervise import Installed, install
from imagebuild.machine import domain_xml as domain
from imagebuild.machine.install_vm import disk_names, disk_sizes, install_machine
from imagebuild.machine.virt_install import InstallMachine
from imagebuild.progress import Progress, Reporter
from imagebuild.recipe import supplies
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.schema.section import MIB
from imagebuild.step import Prepared, Source
from imagebuild.store.artifact import MANIFEST, Artifact, Output
from imagebuild.store.store import Store

_FACTS = "installation.json"


def domain_name(run: str) -> str:
    """The name of a run's domain."""
    return f"imagebuild-{run}"


def known_accelerator(recipe: Recipe, store: Store) -> accelerator.Accelerator | None:
    """What the machines of a build run with, or None where that would have to be proved."""
    if recipe.vm.virt_type == "qemu":
        return "tcg"
    found = accelerator.known(store.answers, recipe.os.arch)
    return found.accelerator if found else None


@contextmanager
def machines(store: Store) -> Iterator[hypervisor.Hypervisor | None]:
    """A connection to libvirt for a look at machines that were left; None where there is none: no daemon answers, and no virtual machine runs.

    A daemon that has to be started is started as a build does, since it serves the next one.
    """
    there = hypervisor.answers()
    if not there and not accelerator.others_run():
        yield None
        return
    with hypervisor.connected(hide_kvm=not there and accelerator.verdict(store.answers).emulated) as connection:
        yield connection


@dataclass
class Run:
    """One run of a plan. Steps take the store's entries and give entries; the last gives the artifact."""

    plan: Plan
    settings: Settings
    reporter: Reporter
    run: str
    work: Path
    held: ExitStack
    """Closed when the run is over: until then nobody removes what it has taken from the store."""
    expected: Mapping[str, float] = field(default_factory=dict)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    entries: Entries = field(init=False)

    def __post_init__(self) -> None:
        name = self.plan.recipe.name
        self.entries = Entries(name, self.settings, self.reporter, self.work, self.held, self.expected)

    @property
    def recipe(self) -> Recipe:
        return self.plan.recipe

    def go(self) -> Artifact:
        customised = self.entries.find(self.plan.customise)
        if customised is None:
            installed, verdict = self._installed()
            operations = supplies.opened(self.recipe, self.plan.operations, RealSecrets())
            customised = checkpoints.make(
                self.plan, installed, operations, entries=self.entries, accelerator=verdict.accelerator, facts=_FACTS
            )
        return self._convert(customised)

    def _installed(self) -> tuple[Path, accelerator.Verdict]:
        installed = self.entries.find(self.plan.install)
        if installed is not None:
            return installed, self._verdict()
        prepared, verdict = prepare(self.plan.preparation, self.entries, self._verdict)
        self._check_fits(prepared.room)
        return self._install(prepared, verdict), verdict

    def _verdict(self) -> accelerator.Verdict:
        wanted = self.recipe.vm.virt_type
        if wanted == "qemu":
            return accelerator.Verdict("tcg", "the recipe says so")
        if wanted == "xen":
            raise HostError(
                "the recipe wants to install under Xen, which imagebuild does not start machines with",
                "install with vm.virt_type: auto; machine.virt_type: xen describes a machine for Xen all the same",
            )
        found = accelerator.verdict(self.settings.store.answers, self.recipe.os.arch)
        if wanted == "kvm" and found.emulated:
            raise HostError(
                f"the recipe wants KVM, but {found.reason}",
                "vm.virt_type: auto takes emulation where KVM does not work",
            )
        return found

    def _check_fits(self, room: int) -> None:
        """Raise RecipeError where what gets installed cannot fit the disks."""
        sizes = disk_sizes(self.recipe)
        if room > sum(sizes):
            mark = self.recipe.place(("disk", "size"))
            what = "the disk has" if len(sizes) == 1 else "the disks together have"
            message = f"the packages need {room / MIB:.0f} MiB, {what} {sum(sizes) // MIB}"
            raise RecipeError([Problem(mark.file, mark.value, "disk.size", message, "make the disk larger")])

    # The installation.

    def _install(self, prepared: Prepared, verdict: accelerator.Verdict) -> Path:
        def make(folder: Path, progress: Progress) -> str:
            folder.chmod(0o700)
            with hypervisor.connected(hide_kvm=verdict.emulated) as connection:
                try:
                    done = self._run_installer(connection, prepared, verdict, progress)
                except InstallStalled as error:
                    if not verdict.emulated:
                        raise
                    # Emulated processors get stuck, seldom, and mostly on a busy host: see docs/development.md.
                    self.reporter.note(self.recipe.name, f"{error.message}; it is begun again")
                    self._clear_installation()
                    done = self._run_installer(connection, prepared, verdict, progress)
            for name in disk_names(self.recipe):
                qemu_img.dig_holes(self.work / name)
                shutil.move(self.work / name, folder / name)
            postmortem.copy_logs(self.work / "logs", folder)
            facts = {
                "sources": [asdict(source) for source in prepared.made_from],
                "accelerator": verdict.accelerator,
                "machine": {
                    "seconds": round(done.seconds, 1),
                    "seconds_to_installer": round(done.seconds_to_installer, 1),
                },
            }
            (folder / _FACTS).write_text(json.dumps(facts))
            (folder / KICKSTART).write_text(self.plan.kickstart.text)
            how = "emulated" if verdict.emulated else "KVM"
            return f"virt-install, kickstart, {how}"

        return self.entries.make(self.plan.install, make)

    def _clear_installation(self) -> None:
        """Remove what an installation that was given up left in the run's folder. Its console stays, as the first one."""
        for name in (*disk_names(self.recipe), "ks.cfg"):
            (self.work / name).unlink(missing_ok=True)
        for log in ("console.log", "installer.log"):
            with suppress(FileNotFoundError):
                (self.work / "logs" / log).rename(self.work / "logs" / f"first-{log}")

    def _run_installer(
        self, connection: hypervisor.Hypervisor, prepared: Prepared, verdict: accelerator.Verdict, progress: Progress
    ) -> Installed:
        nonce = os.urandom(12).hex()
        machine = self._machine(connection, prepared, verdict)
        disks = [target.path for target in machine.targets]
        for name in self.settings.store.runs.orphans(connection):
            connection.end(name)
        for path in (*disks, machine.tree, *(source.path for source in machine.sources)):
            hypervisor.check_reachable(path, connection.qemu_uid())
        if not connection.can(machine.virt_type, machine.arch):
            raise HostError(
                f"libvirt at {connection.uri} cannot run {machine.virt_type} machines", "see `imagebuild doctor`"
            )
        for path, size in zip(disks, disk_sizes(self.recipe), strict=True):
            qemu_img.create_raw(path, size)
        with served(prepared.served) if prepared.served else nullcontext("") as address:
            kickstart, _ = plans.checked(self.recipe, prepared.payload(address), nonce, RealSecrets())
            machine.kickstart.touch(mode=0o600)
            machine.kickstart.write_text(kickstart.text)
            return install(
                connection,
                machine,
                nonce=nonce,
                timeout=self.recipe.vm.timeout,
                progress=progress,
                evidence=self.work / "logs",
            )

    def _machine(
        self, connection: hypervisor.Hypervisor, prepared: Prepared, verdict: accelerator.Verdict
    ) -> InstallMachine:
        return install_machine(
            self.recipe,
            name=domain_name(self.run),
            connect=connection.uri,
            virt_type="qemu" if verdict.emulated else "kvm",
            tree=prepared.tree,
            folder=self.work,
            logs=self.work / "logs",
            boot=installers.of(self.recipe).boot(self.recipe),
            sources=prepared.disks,
            description=self.settings.store.runs.described(self.run),
        )

    # What comes after the installation.

    def _convert(self, customised: Path) -> Artifact:
        recipe = self.recipe
        output = Output(self.settings.output, recipe.name)
        with output.new(datetime.now().astimezone().date()) as artifact:
            with self.entries.under_way(self.plan.convert) as progress:
                images = self._images(customised, artifact.folder, progress)
                facts = self._facts(artifact, customised, images)
                sizes = (f"{image.size / MIB:.0f} MiB {image.format}" for image in images)
                progress.summary(f"{sum(disk_sizes(recipe)) / (1 << 30):.1f} GiB raw → {', '.join(sizes)}")
            (artifact.folder / MANIFEST).write_text(manifest.text(self.plan, facts))
            artifact.domain.write_text(domain.definition(recipe))
            (artifact.folder / "kickstart.cfg").write_text(self.plan.kickstart.text)
            postmortem.copy_logs(customised, artifact.folder)
            postmortem.copy_logs(self.work / "logs", artifact.folder)
            self._set_modes(artifact, customised)
        made = output.latest()
        assert made is not None
        return made

    def _images(self, customised: Path, folder: Path, progress: Progress) -> list[manifest.ImageFacts]:
        """All disks in the primary format, then in each of the others."""
        output, images = self.recipe.output, []
        formats = (output.primary, *output.further)
        names = {each: domain.image_names(self.recipe, each) for each in formats}
        for at, name in enumerate(disk_names(self.recipe)):
            disk = customised / name
            targets = {each: folder / names[each][at] for each in formats}
            made = convert(disk, targets, compression=output.compression, progress=progress)
            images.append([_image_facts(made[each], disk.stat().st_size) for each in formats])
        return [image for of_format in zip(*images, strict=True) for image in of_format]

    def _set_modes(self, artifact: Artifact, customised: Path) -> None:
        """What holds a secret, or may, is for its owner alone: images, and what the installation said. The rest is for all to read."""
        secret = supplies.has_secrets(self.recipe) or checkpoints.result(customised).password_hashes is not False
        for path in artifact.folder.iterdir():
            harmless = path in (artifact.folder / MANIFEST, artifact.domain)
            path.chmod(0o600 if secret and not harmless else 0o644)

    def _facts(self, artifact: Artifact, customised: Path, images: Sequence[manifest.ImageFacts]) -> manifest.Facts:
        disks = len(self.recipe.disks)
        installation = json.loads((customised / _FACTS).read_text())
        return manifest.Facts(
            version=artifact.version,
            accelerator=installation["accelerator"],
            sources=[Source(**source) for source in installation["sources"]],
            machine=installation["machine"],
            customised=checkpoints.result(customised),
            image=images[0],
            extra_images=images[1:disks],
            other_formats=images[disks:],
            domain=artifact.domain.name,
            began=self.began,
            ended=datetime.now(UTC),
            seconds=self.entries.seconds,
            tools=tool_versions.every(tool_versions.deciding()),
        )


def _image_facts(image: Image, virtual_size: int) -> manifest.ImageFacts:
    return manifest.ImageFacts(
        file=image.path.name,
        format=image.format,
        compression=image.compression,
        size=image.size,
        virtual_size=virtual_size,
        sha256=image.sha256,
    )
