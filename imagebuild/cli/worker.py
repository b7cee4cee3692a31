"""``imagebuild worker``."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

import click

from imagebuild.build import scheduler as admission
from imagebuild.build.scheduler import Room
from imagebuild.build.step_cache import Settings
from imagebuild.cli.farm_options import chosen, chosen_ledger, ledger_option, require_libraries, scheduler_options
from imagebuild.cli.options import Age, Size, log_to_stderr, opened, store_option, verbose_option
from imagebuild.cli.output import echo, shown
from imagebuild.cli.project_options import config_option
from imagebuild.cli.remote_options import remote_option, remote_settings
from imagebuild.errors import HostError
from imagebuild.farm import software
from imagebuild.farm.offer import WorkerOffer
from imagebuild.farm.security import require_reachable
from imagebuild.farm.settings import GivenKeys
from imagebuild.farm.shared import identity_of
from imagebuild.host import accelerator
from imagebuild.project.model import Project
from imagebuild.remote.opening import NONE, RemoteSettings
from imagebuild.store.runs import new_run
from imagebuild.store.store import Store


@click.command(
    epilog="""\b
Examples:
  imagebuild worker --scheduler tls://farm.example.org:8786
  imagebuild worker --memory 16GiB --vcpus 8 --label dc2"""
)
@scheduler_options
@ledger_option
@click.option("--name", metavar="NAME", help="What the worker is called. [default: the host's name]")
@click.option("-j", "--jobs", type=click.IntRange(min=1), metavar="N",
              help="Builds at the same time. [default: one per processor]")  # fmt: skip
@click.option("--memory", type=Size(), metavar="SIZE", help="Memory for builds. [default: what is free now]")
@click.option("--vcpus", type=click.IntRange(min=1), metavar="N",
              help="Virtual processors for builds. [default: two per processor]")  # fmt: skip
@click.option("--disk", type=Size(), metavar="SIZE", help="Disk space for builds. [default: what is free now]")
@click.option("--label", "labels", multiple=True, metavar="WORD", help="A word that says what this worker has.")
@click.option("--finish", type=Age(), default="10m", show_default=True, metavar="TIME",
              help="How long builds may go on after SIGTERM before they are handed back.")  # fmt: skip
@config_option
@store_option
@remote_option
@verbose_option
def worker(
    scheduler: str | None,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    ledger: str | None,
    name: str | None,
    jobs: int | None,
    memory: int | None,
    vcpus: int | None,
    disk: int | None,
    labels: tuple[str, ...],
    finish: int,
    config: Path | None,
    store: Path | None,
    remote_store: str | None,
    verbose: bool,
) -> None:
    """Build images for the farm of a scheduler, until SIGTERM.

    The worker says what this host has room for, and takes no more. After SIGTERM it takes nothing new;
    builds that do not end in time are handed back, and other workers go on with them.
    """
    require_libraries()
    from imagebuild.farm import worker as farm_worker
    from imagebuild.ledger.ledger import Ledger

    if verbose:
        log_to_stderr()
    choice = chosen(config, scheduler, GivenKeys(ca, certificate, key))
    kept = opened(store)
    remote = remote_settings(remote_store, config, choice.project)
    address = chosen_ledger(choice.project, ledger, kept.root)
    known = Ledger(address)
    known.close()
    room = _room(kept, memory, vcpus, disk)
    offer = WorkerOffer(
        name=name or socket.gethostname(),
        room=room,
        jobs=jobs or len(os.sched_getaffinity(0)),
        words=_words(kept, labels),
        software=software.installed(kept),
        ledger=known.id,
        store=identity_of(kept, remote),
    )
    require_reachable(choice.place.address, choice.place.keys)

    def ready() -> None:
        echo(f"worker {shown(offer.name)} of {shown(choice.place.address)}")

    # in the store, so that `gc` removes what a killed worker leaves
    with kept.runs.workdir(new_run("worker"), shared=False) as scratch:
        words = _remote_words(choice.project, remote, remote_store)
        settings = farm_worker.WorkerSettings(
            choice.place, offer, kept.root, address, float(finish), scratch, remote, words
        )
        farm_worker.run(settings, ready)


def _remote_words(project: Project, remote: RemoteSettings | None, given: str | None) -> tuple[str, ...]:
    """The options with which a build in another folder opens the same remote store."""
    if remote is None:
        return ("--remote-store", NONE)
    config = ("--config", str(project.file.absolute())) if project.exists else ()
    if given is None:
        return config
    return (*config, "--remote-store", given if "://" in given else str(Path(given).absolute()))


def _room(store: Store, memory: int | None, vcpus: int | None, disk: int | None) -> Room:
    """What builds may use: what is there, or less if the options say so."""
    there = admission.host(Settings(store, Path()))
    room = Room(min(memory or there.memory, there.memory), vcpus or there.vcpus, min(disk or there.disk, there.disk))
    if room.memory <= 0 or room.disk <= 0:
        raise HostError("this host has no memory or no disk space left for builds", "`imagebuild doctor` shows more")
    return room


def _words(store: Store, labels: tuple[str, ...]) -> frozenset[str]:
    verdict = accelerator.verdict(store.probe_cache)
    words = {f"arch:{platform.machine()}", *(f"label:{one}" for one in labels)}
    return frozenset(words if verdict.emulated else words | {"kvm"})
