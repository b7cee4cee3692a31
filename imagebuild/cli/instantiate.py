"""``imagebuild instantiate``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from imagebuild.cli.options import Age, Size, json_option, log_to_stderr, verbose_option
from imagebuild.cli.output import echo_lines
from imagebuild.cli.progress_options import progress_options
from imagebuild.cli.project_options import config_option, destination_option, destinations
from imagebuild.cli.report import JsonReporter, reporter
from imagebuild.errors import UsageError
from imagebuild.progress import Reporter
from imagebuild.project.load import load
from imagebuild.project.model import Host
from imagebuild.publish import first_boot, instance
from imagebuild.publish.instance_record import Instance, InstanceRequest, Usable
from imagebuild.publish.instance_xml import HardwareChoice
from imagebuild.publish.libvirt_target import LibvirtTarget
from imagebuild.publish.reports import InstanceRemoved, TemplateInstantiated
from imagebuild.publish.signed import Acceptance, acceptance

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    epilog="""\b
Exit codes: 0 made, 1 failure, 2 invalid usage, 3 the host cannot do it, 130 interrupted.
\b
Examples:
  imagebuild instantiate debian-13 web1 --on kvm1 --start --wait
  imagebuild instantiate debian-13 web1 --on kvm1 --ssh-key ~/.ssh/id_ed25519.pub --disk-size 20GiB --start
  imagebuild instantiate debian-12 db1 --on qemu+ssh://root@kvm2/system --copy --version 2026-11-27.1
  imagebuild instantiate cloud web2 --on kvm1 --user-data user-data.yaml --network bridge=br0 --start
  imagebuild instantiate debian-13 web1 --on kvm1 --remove"""
)
@click.argument("template")
@click.argument("name")
@destination_option("--on", required=True, text="The host")
@click.option("--version", metavar="VERSION", default="", help="Version of the template. [default: the current one]")
@click.option(
    "--copy", is_flag=True, help="Copy the disks. [default: overlays, which keep the version from being pruned]"
)
@click.option("--disk-size", type=Size(), metavar="SIZE", help="Size of the system disk. [default: the template's]")
@click.option("--no-verify-stored", is_flag=True, help="Do not read the version's files back before they are used.")
@click.option("--memory", type=Size(), metavar="SIZE", help="Memory. [default: the template's]")
@click.option("--vcpus", type=click.IntRange(1, 4096), metavar="N", help="Virtual CPUs. [default: the template's]")
@click.option(
    "--network", "networks", multiple=True, metavar="NETWORK",
    help="A network card instead of the template's: the name of a libvirt network, bridge=NAME, or user; repeatable.",
)  # fmt: skip
@click.option("--hostname", metavar="NAME", help="Host name of the guest. [default: NAME]")
@click.option(
    "--ssh-key", "ssh_keys", type=_FILE, multiple=True, metavar="FILE",
    help="File with public keys: for root, or with cloud-init for its default user; repeatable.",
)  # fmt: skip
@click.option("--user-data", type=_FILE, metavar="FILE", help="User data for cloud-init.")
@click.option("--meta-data", type=_FILE, metavar="FILE", help="Further meta-data for cloud-init, in YAML.")
@click.option("--network-config", type=_FILE, metavar="FILE", help="Network configuration for cloud-init, in YAML.")
@click.option("--start", is_flag=True, help="Start the machine.")
@click.option("--wait", is_flag=True, help="Start the machine, and wait until it is usable.")
@click.option("--timeout", type=Age(), metavar="TIME", help="Time limit of --wait. [default: 5m; 20m when emulated]")
@click.option("--remove", is_flag=True, help="Remove the machine that was made: end it, and delete its disks.")
@config_option
@json_option
@progress_options
@verbose_option
def instantiate(
    template: str,
    name: str,
    on: tuple[str, ...],
    version: str,
    copy: bool,
    disk_size: int | None,
    no_verify_stored: bool,
    memory: int | None,
    vcpus: int | None,
    networks: tuple[str, ...],
    hostname: str | None,
    ssh_keys: tuple[Path, ...],
    user_data: Path | None,
    meta_data: Path | None,
    network_config: Path | None,
    start: bool,
    wait: bool,
    timeout: int | None,
    remove: bool,
    config: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Make a machine NAME from TEMPLATE, on a host where that was published.

    It has the hardware of the template's recipe, a new UUID and new MAC addresses. Host name, keys
    and user data reach a guest with cloud-init by a CD-ROM, another one with systemd 252 or later as
    credentials. If anything fails, nothing is left of it; only a machine that is started, and then
    does not become usable, stays. If the project names keys (`trust.keys` in imagebuild.yaml), the
    version must be what one of them signed.
    """
    if verbose:
        log_to_stderr()
    instance.checked_name(name)
    if timeout is not None and not wait:
        raise UsageError("--timeout needs --wait")
    if remove and (start or wait):
        raise UsageError("--remove, and --start or --wait, are mutually exclusive")
    values = first_boot.read(hostname, ssh_keys, user_data, meta_data, network_config)
    machine = HardwareChoice(memory, vcpus, networks)
    wanted = InstanceRequest(template, name, version, copy, disk_size, machine, values, not no_verify_stored)
    accepted = None if remove else _accepted(config, reads=not no_verify_stored)
    reports = reporter(as_json=as_json, quiet=False)
    with _host(on, config) as target:
        if remove:
            _remove(target, template, name, reports)
            return
        with reports.step(target.name, "instantiate") as step:
            made = instance.instantiate(target, wanted, start=start or wait, update=step.update, accepted=accepted)
            step.summary(f"{template} {made.version} → {name}")
        seen = None
        if wait:
            with reports.step(target.name, "boot") as step:
                seen = instance.wait(target, made, limit=timeout, update=step.update)
                step.summary(f"{seen.sign} after {seen.seconds:.0f} s")
        if isinstance(reports, JsonReporter):
            reports.emit(TemplateInstantiated(target=target.name, instance=made, started=start or wait, usable=seen))
        else:
            echo_lines(_lines(target.name, made, seen, started=start or wait))


def _accepted(config: Path | None, *, reads: bool) -> Acceptance | None:
    """What the project accepts, None if it names no keys. ``reads`` says whether files are read back."""
    accepted = acceptance(load(config))
    if accepted is not None and not reads:
        raise UsageError(
            "--no-verify-stored: the project names keys, so the files must be read before they are used",
            "leave the option out",
        )
    return accepted


def _remove(target: LibvirtTarget, template: str, name: str, reports: Reporter) -> None:
    """Remove a machine that was made from a template, and report it."""
    with reports.step(target.name, "remove") as step:
        instance.removed(target, name, template=template)
        step.summary(name)
    if isinstance(reports, JsonReporter):
        reports.emit(InstanceRemoved(target=target.name, template=template, name=name))


def _host(words: tuple[str, ...], config: Path | None) -> LibvirtTarget:
    """The one host that ``--on`` names."""
    found = destinations(words, config, "--on")
    if len(found) != 1:
        raise UsageError(f"--on: expected one host, found {len(found)}: {', '.join(one.name for one in found)}")
    entry = found[0].entry
    if not isinstance(entry, Host):
        raise UsageError(f"--on {found[0].name}: machines can be made on libvirt hosts only, and this is storage")
    return LibvirtTarget(found[0].name, entry, found[0].folder)


def _lines(where: str, made: Instance, seen: Usable | None, *, started: bool) -> Iterator[str]:
    """What was made, for people."""
    by = {"cloud-init": "cloud-init", "credentials": "systemd's credentials"}
    yield f"{made.name} on {where}, {made.template} {made.version}, {'started' if started else 'not started'}"
    yield f"  UUID      {made.uuid}"
    for address in made.mac_addresses:
        yield f"  MAC       {address}"
    for volume in made.volumes:
        yield f"  volume    {volume}"
    if made.way:
        yield f"  hostname  {made.hostname}, by {by[made.way]}"
    else:
        yield "  hostname  as in the template: the guest has neither cloud-init nor systemd 252"
    if seen is not None:
        yield f"  usable    {seen.sign} after {seen.seconds:.0f} s"
        yield f"  address   {seen.address or 'not known'}"
