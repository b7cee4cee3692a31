"""The install step: runs the recipe's installer in a supervised VM, and moves its disks into the
store.
"""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from imagebuild import fingerprint
from imagebuild.build import installers, postmortem
from imagebuild.build import plan as plans
from imagebuild.build.explain import KICKSTART
from imagebuild.build.installation_record import RECORD, InstallationRecord, MachineTimes
from imagebuild.build.job import Job
from imagebuild.errors import HostError, InstallStalled, Problem, RecipeError
from imagebuild.files import write_record
from imagebuild.host import hypervisor
from imagebuild.host.accelerator import Verdict
from imagebuild.image import qemu_img
from imagebuild.install.http_server import served
from imagebuild.install.supervise import Installed, install
from imagebuild.machine.install_vm import disk_names, disk_sizes, install_machine
from imagebuild.machine.virt_install import InstallMachine
from imagebuild.progress import Progress
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.schema.section import MIB
from imagebuild.step import ROOT_ARCHIVE, Prepared
from imagebuild.store.runs import domain_name


def check_fits(recipe: Recipe, room: int) -> None:
    """Raise RecipeError if what is installed cannot fit on the disks."""
    sizes = disk_sizes(recipe)
    if room > sum(sizes):
        mark = recipe.place(("disk", "size"))
        what = "the disk has" if len(sizes) == 1 else "the disks together have"
        message = f"the packages need {room / MIB:.0f} MiB, {what} {sum(sizes) // MIB}"
        raise RecipeError([Problem(mark.file, mark.value, "disk.size", message, "make the disk larger")])


def make(job: Job, prepared: Prepared, accelerator: Verdict) -> Path:
    """The store entry with the installed disks."""

    def fill(folder: Path, progress: Progress) -> str:
        folder.chmod(0o700)
        done = _installed(job, prepared, accelerator, progress)
        for name in disk_names(job.recipe):
            qemu_img.dig_holes(job.work / name)
            shutil.move(job.work / name, folder / name)
        postmortem.copy_logs(job.logs, folder)
        times = MachineTimes(round(done.seconds, 1), round(done.seconds_to_installer, 1))
        identity = _identity(job, prepared) if prepared.identified else ""
        record = InstallationRecord(prepared.made_from, accelerator.accelerator, times, identity)
        write_record(folder / RECORD, record)
        (folder / KICKSTART).write_text(job.plan.installed_kickstart.text)
        how = "emulated" if accelerator.emulated else "KVM"
        return f"virt-install, kickstart, {how}"

    return job.cache.make(job.plan.install, fill)


def _installed(job: Job, prepared: Prepared, accelerator: Verdict, progress: Progress) -> Installed:
    """Run the installer, and once more if an emulated VM got stuck."""
    with hypervisor.connected(hide_kvm=accelerator.emulated) as connection:
        try:
            return _run(job, connection, prepared, accelerator, progress)
        except InstallStalled as error:
            if not accelerator.emulated:
                raise
            # Rare, and mostly on a busy host: see docs/development.md.
            job.reporter.note(job.recipe.name, f"{error.message}; starting it again")
            _clear(job)
            return _run(job, connection, prepared, accelerator, progress)


def _clear(job: Job) -> None:
    """Remove the files of an aborted installation from the run's folder. Its logs are renamed to
    first-*.
    """
    for name in (*disk_names(job.recipe), "ks.cfg"):
        (job.work / name).unlink(missing_ok=True)
    for log in ("console.log", "installer.log"):
        with suppress(FileNotFoundError):
            (job.logs / log).rename(job.logs / f"first-{log}")


def _run(
    job: Job, connection: hypervisor.Hypervisor, prepared: Prepared, accelerator: Verdict, progress: Progress
) -> Installed:
    nonce = os.urandom(12).hex()
    machine = _machine(job, connection, prepared, accelerator)
    disks = [target.path for target in machine.targets]
    for name in job.settings.store.runs.orphans(connection):
        connection.end(name)
    for path in (*disks, machine.tree, *(source.path for source in machine.sources)):
        hypervisor.check_reachable(path, connection.qemu_uid())
    if not connection.can(machine.virt_type, machine.arch):
        raise HostError(
            f"libvirt at {connection.uri} cannot run {machine.virt_type} machines", "see `imagebuild doctor`"
        )
    for path, size in zip(disks, disk_sizes(job.recipe), strict=True):
        qemu_img.create_raw(path, size)
    with served(prepared.served) if prepared.served else nullcontext("") as address:
        kickstart, parsed = plans.checked(job.recipe, prepared.payload(address), nonce, RealSecrets())
        if prepared.write_ahead is not None:
            progress.update("writing the root file system")
            more = prepared.write_ahead(parsed.handler, disks, machine.kernel_args)
            machine = replace(machine, kernel_args=(*machine.kernel_args, *more))
        machine.kickstart.touch(mode=0o600)
        machine.kickstart.write_text(job.plan.preparation.installed(kickstart).text)
        return install(
            connection,
            machine,
            nonce=nonce,
            timeout=job.recipe.vm.timeout,
            progress=progress,
            evidence=job.logs,
            alone=job.settings.store.locked(
                "virt-install", lambda pid: progress.update(f"waiting for process {pid}, which starts a machine")
            ),
            folder=job.settings.store.root,
        )


def _identity(job: Job, prepared: Prepared) -> str:
    """What the identifiers of the disks are derived from: all that decides about the installation.

    So equal inputs have equal identifiers, and two disks that differ have different ones, unless only
    operations make the difference.
    """
    made_from = {f"source {one.name}": one.sha256 for one in prepared.made_from if one.name == ROOT_ARCHIVE}
    return job.settings.identity or fingerprint.of({"install": job.plan.install.fingerprint, **made_from})


def _machine(job: Job, connection: hypervisor.Hypervisor, prepared: Prepared, accelerator: Verdict) -> InstallMachine:
    boot = installers.of(job.recipe).boot(job.recipe)
    if prepared.identified is not None:
        named = prepared.identified(_identity(job, prepared))
        boot = replace(boot, kernel_arguments=(*boot.kernel_arguments, *named))
    return install_machine(
        job.recipe,
        name=domain_name(job.run),
        connect=connection.uri,
        virt_type="qemu" if accelerator.emulated else "kvm",
        tree=prepared.tree,
        folder=job.work,
        logs=job.logs,
        boot=boot,
        sources=prepared.disks,
        description=job.settings.store.runs.described(job.run),
    )
