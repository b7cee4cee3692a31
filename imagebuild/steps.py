"""How each step of a plan is made: entries of the store in, an entry or the artifact out."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from imagebuild import accel, evidence, hypervisor, manifest, qemu_img, tools
from imagebuild import customise as customisation
from imagebuild import plan as plans
from imagebuild.artifact import MANIFEST, Artifact, Output
from imagebuild.customise import CustomiseResult
from imagebuild.domain import definition as domain
from imagebuild.errors import HostError, Problem, RecipeError
from imagebuild.files import sha256
from imagebuild.install.machine import disk_names, disk_sizes, install_machine
from imagebuild.install.supervise import Installed, install
from imagebuild.install.virt_install import InstallMachine, SourceDisk
from imagebuild.kickstart.render import LiveimgPayload, Payload
from imagebuild.kickstrap import payload as payloads
from imagebuild.kickstrap import runtime
from imagebuild.manifest import Source
from imagebuild.plan import Plan, Step
from imagebuild.progress import Progress, Reporter
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.recipe.section import MIB
from imagebuild.run import stop_all
from imagebuild.store import Store

T = TypeVar("T")
_FACTS = "installation.json"
_KERNEL, _INITRD, _INSTALL_IMAGE = "images/pxeboot/vmlinuz", "images/pxeboot/initrd.img", "images/install.img"
"""Files of an install tree."""
_CUSTOMISE_LIMIT = 1800.0
"""Seconds after which customising counts as hung."""


@dataclass(frozen=True)
class Settings:
    """Where a build keeps what it makes, and whether it may use what is there."""

    store: Store
    output: Path
    refresh: bool = False


def domain_name(run: str) -> str:
    """The name of a run's domain."""
    return f"imagebuild-{run}"


class _Start(Protocol):
    def __call__(self, function: Callable[[], T]) -> Future[T]: ...


@contextmanager
def _side_by_side(threads: int) -> Iterator[_Start]:
    """Start functions side by side; at the end of the block all are waited for.

    When one fails, or the wait is interrupted, the programs that the others run are ended.
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
            raise


@dataclass(frozen=True)
class _Prepared:
    """What an installation needs: the install tree, the root archive's entry if there is one, the accelerator."""

    tree: Path
    payload: Path | None
    verdict: accel.Verdict


@dataclass
class Run:
    """One run of a plan. Steps take the store's entries and give entries; the last gives the artifact."""

    plan: Plan
    settings: Settings
    reporter: Reporter
    run: str
    work: Path
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        return self.plan.recipe

    def go(self) -> Artifact:
        installed = self._find(self.plan.install)
        if installed is None:
            prepared = self._prepare()
            self._check_fits(prepared.payload)
            installed, verdict = self._install(prepared), prepared.verdict
        else:
            verdict = self._verdict()
        disks, customised = self._customise(installed, verdict)
        return self._convert(disks, installed, customised, verdict)

    def _find(self, step: Step) -> Path | None:
        return None if self.settings.refresh else self.settings.store.find(step.kind, step.fingerprint)

    @contextmanager
    def _step(self, step: Step) -> Iterator[Progress]:
        begin = time.monotonic()
        with self.reporter.step(self.recipe.name, step.name) as progress:
            yield progress
        self.seconds[step.name] = time.monotonic() - begin

    def _entry(self, step: Step, fill: Callable[[Path, Progress], str]) -> Path:
        """The store's entry of a step; ``fill`` makes it in the folder it is given and says what it made."""
        store = self.settings.store
        if found := self._find(step):
            return found
        with self._step(step) as progress:
            lock = f"{step.kind}-{step.fingerprint[:16]}"
            with store.locked(lock, lambda pid: progress.update(f"process {pid} is making it")):
                if found := self._find(step):
                    progress.summary("made by another build meanwhile")
                    return found
                with store.make(
                    step.kind,
                    step.fingerprint,
                    within=self.work,
                    label=self.recipe.name,
                    inputs=step.inputs,
                    replace=self.settings.refresh,
                ) as folder:
                    progress.summary(fill(folder, progress))
        made = store.find(step.kind, step.fingerprint)
        assert made is not None
        return made

    # Preparation: the runtime, the root archive and the proof of the accelerator need nothing of each other.

    def _prepare(self) -> _Prepared:
        with _side_by_side(3) as start:
            tree = start(self._tree)
            payload = start(self._payload)
            verdict = start(self._verdict)
        return _Prepared(tree.result(), payload.result(), verdict.result())

    def _verdict(self) -> accel.Verdict:
        wanted = self.recipe.vm.virt_type
        if wanted == "qemu":
            return accel.Verdict("tcg", "the recipe says so")
        if wanted == "xen":
            raise HostError(
                "the recipe wants to install under Xen, which imagebuild does not start machines with",
                "install with vm.virt_type: auto; machine.virt_type: xen describes a machine for Xen all the same",
            )
        found = accel.verdict(self.settings.store.root / "accelerator.json", self.recipe.os.arch)
        if wanted == "kvm" and found.emulated:
            raise HostError(
                f"the recipe wants KVM, but {found.reason}",
                "vm.virt_type: auto takes emulation where KVM does not work",
            )
        return found

    def _tree(self) -> Path:
        if found := self._find(self.plan.tree):
            return found / "tree"

        def make_base(folder: Path, progress: Progress) -> str:
            made = runtime.build_base(self.plan.runtime_spec, folder / "base", progress)
            return f"installer's runtime, {len(made.packages)} packages"

        def make_tree(folder: Path, _progress: Progress) -> str:
            runtime.build_tree(base / "base", folder / "tree")
            return "install tree"

        base = self._entry(self.plan.base, make_base)
        return self._entry(self.plan.tree, make_tree) / "tree"

    def _payload(self) -> Path | None:
        step, spec = self.plan.payload, self.plan.payload_spec
        if step is None or spec is None:
            return None

        def make(folder: Path, progress: Progress) -> str:
            result = payloads.build(spec, folder, progress)
            return f"root archive, {len(result.packages)} packages"

        return self._entry(step, make)

    def _check_fits(self, payload: Path | None) -> None:
        """Raise RecipeError where the root archive cannot fit the disks; a file system takes some 5 % for itself."""
        needed = payloads.read(payload).path.stat().st_size * 1.05 + 64 * MIB if payload else 0
        sizes = disk_sizes(self.recipe)
        if needed > sum(sizes):
            mark = self.recipe.place(("disk", "size"))
            what = "the disk has" if len(sizes) == 1 else "the disks together have"
            message = f"the packages need {needed / MIB:.0f} MiB, {what} {sum(sizes) // MIB}"
            raise RecipeError([Problem(mark.file, mark.value, "disk.size", message, "make the disk larger")])

    # The installation.

    def _install(self, prepared: _Prepared) -> Path:
        def make(folder: Path, progress: Progress) -> str:
            folder.chmod(0o700)
            with hypervisor.connected(hide_kvm=prepared.verdict.emulated) as connection:
                done = self._run_installer(connection, prepared, progress)
            for name in disk_names(self.recipe):
                shutil.move(self.work / name, folder / name)
            evidence.copy_logs(self.work / "logs", folder)
            facts = {
                "sources": [asdict(source) for source in self._sources(prepared)],
                "machine": {
                    "seconds": round(done.seconds, 1),
                    "seconds_to_installer": round(done.seconds_to_installer, 1),
                },
            }
            (folder / _FACTS).write_text(json.dumps(facts))
            how = "emulated" if prepared.verdict.emulated else "KVM"
            return f"virt-install, kickstart, {how}"

        return self._entry(self.plan.install, make)

    def _run_installer(self, connection: hypervisor.Hypervisor, prepared: _Prepared, progress: Progress) -> Installed:
        nonce = os.urandom(12).hex()
        machine = self._machine(connection, prepared)
        disks = [target.path for target in machine.targets]
        for path in (*disks, machine.tree, *(source.path for source in machine.sources)):
            hypervisor.check_reachable(path, connection.qemu_uid())
        if not connection.can(machine.virt_type, machine.arch):
            raise HostError(
                f"libvirt at {connection.uri} cannot run {machine.virt_type} machines", "see `imagebuild doctor`"
            )
        for path, size in zip(disks, disk_sizes(self.recipe), strict=True):
            qemu_img.create_raw(path, size)
        text = self._final_kickstart(prepared.payload, nonce)
        machine.kickstart.touch(mode=0o600)
        machine.kickstart.write_text(text)
        return install(
            connection,
            machine,
            nonce=nonce,
            timeout=self.recipe.vm.timeout,
            progress=progress,
            evidence=self.work / "logs",
        )

    def _final_kickstart(self, payload: Path | None, nonce: str) -> str:
        if payload is None:
            source: Payload = plans.packages_payload(self.recipe, self.plan.mirror)
        else:
            source = LiveimgPayload(plans.PAYLOAD_URL, payloads.read(payload).sha256)
        rendered, _ = plans.checked(self.recipe, source, nonce, RealSecrets())
        return rendered.text

    def _machine(self, connection: hypervisor.Hypervisor, prepared: _Prepared) -> InstallMachine:
        sources = [SourceDisk(prepared.tree / _INSTALL_IMAGE, "stage2")]
        if prepared.payload is not None:
            sources.append(SourceDisk(payloads.read(prepared.payload).path, "payload"))
        return install_machine(
            self.recipe,
            name=domain_name(self.run),
            connect=connection.uri,
            virt_type="qemu" if prepared.verdict.emulated else "kvm",
            tree=prepared.tree,
            folder=self.work,
            logs=self.work / "logs",
            kernel_args=runtime.kernel_arguments(self.recipe.machine.firmware),
            sources=sources,
        )

    def _sources(self, prepared: _Prepared) -> list[Source]:
        tree, payload = prepared.tree, prepared.payload
        image = tree / _INSTALL_IMAGE
        sources = [
            Source("installer's runtime", sha256(image)),
            Source("installer's kernel", sha256(tree / _KERNEL)),
        ]
        sources.append(Source("installer's initrd", sha256(tree / _INITRD)))
        if payload is not None:
            sources.append(Source("root archive", payloads.read(payload).sha256, self.plan.mirror.main))
        return sources

    # What comes after the installation.

    def _customise(self, installed: Path, verdict: accel.Verdict) -> tuple[list[Path], CustomiseResult]:
        disks = [self.work / f"customised-{name}" for name in disk_names(self.recipe)]
        with self._step(self.plan.customise) as progress:
            progress.update("copying the installed disk")
            for name, disk in zip(disk_names(self.recipe), disks, strict=True):
                qemu_img.copy_raw(installed / name, disk)
            result = customisation.run(
                disks[0],
                "raw",
                self.recipe.operations,
                accel=verdict.accelerator,
                workdir=self.work,
                more=disks[1:],
                network=True,
                progress=progress,
                timeout=_CUSTOMISE_LIMIT,
            )
            progress.summary(f"{len(result.operations)} operations, {result.changed_paths} files changed")
        return disks, result

    def _convert(
        self, disks: Sequence[Path], installed: Path, customised: CustomiseResult, verdict: accel.Verdict
    ) -> Artifact:
        recipe = self.recipe
        output = Output(self.settings.output, recipe.name)
        with output.new(datetime.now().astimezone().date()) as artifact:
            with self._step(self.plan.convert) as progress:
                for disk, name in zip(disks, domain.image_names(recipe), strict=True):
                    image = artifact.folder / name
                    qemu_img.convert(disk, image, compression=recipe.output.compression, progress=progress)
                    qemu_img.check(image)
                    image.chmod(0o644)
                facts = self._facts(artifact, installed, customised, verdict)
                progress.summary(
                    f"{recipe.disk.size / (1 << 30):.1f} GiB raw → {facts.image.size / MIB:.0f} MiB {recipe.output.format}"
                    f" ({recipe.output.compression})"
                )
            (artifact.folder / MANIFEST).write_text(manifest.text(self.plan, facts))
            artifact.domain.write_text(domain.definition(recipe))
            (artifact.folder / "kickstart.cfg").write_text(self.plan.kickstart.text)
            evidence.copy_logs(installed, artifact.folder)
            evidence.copy_logs(self.work / "logs", artifact.folder)
        made = output.latest()
        assert made is not None
        return made

    def _facts(
        self, artifact: Artifact, installed: Path, customised: CustomiseResult, verdict: accel.Verdict
    ) -> manifest.Facts:
        images = [
            manifest.ImageFacts(
                file=name,
                format=self.recipe.output.format,
                compression=self.recipe.output.compression,
                size=(artifact.folder / name).stat().st_size,
                virtual_size=size,
                sha256=sha256(artifact.folder / name),
            )
            for name, size in zip(domain.image_names(self.recipe), disk_sizes(self.recipe), strict=True)
        ]
        installation = json.loads((installed / _FACTS).read_text())
        return manifest.Facts(
            version=artifact.version,
            accelerator=verdict.accelerator,
            sources=[Source(**source) for source in installation["sources"]],
            machine=installation["machine"],
            customised=customised,
            image=images[0],
            extra_images=images[1:],
            domain=artifact.domain.name,
            began=self.began,
            ended=datetime.now(UTC),
            seconds=self.seconds,
            tools=tools.every(tools.deciding()),
        )
