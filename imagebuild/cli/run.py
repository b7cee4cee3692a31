"""``imagebuild run``: a throwaway machine of an image."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import click

from imagebuild.build import verification
from imagebuild.build.engine import clear_dead_runs
from imagebuild.cli import attached_console
from imagebuild.cli.options import (
    Age,
    RecipeName,
    log_to_stderr,
    opened,
    output_option,
    store_option,
    verbose_option,
)
from imagebuild.cli.output import echo, echo_bytes, is_terminal
from imagebuild.cli.progress_options import chosen, progress_options
from imagebuild.cli.report import PlainReporter
from imagebuild.cli.seed_options import SeedChoice, seed_options
from imagebuild.cli.seed_options import seed as chosen_seed
from imagebuild.cli.subject_options import MachineChoice, machine_options, named_subject
from imagebuild.errors import HostError, UsageError
from imagebuild.host import process
from imagebuild.image.disk_image import Format
from imagebuild.store.runs import new_run
from imagebuild.verify import command as in_guest
from imagebuild.verify import throwaway
from imagebuild.verify.clone import Clone
from imagebuild.verify.subject import Firmware, Subject
from imagebuild.verify.throwaway import Access
from imagebuild.verify.transport import AgentShell
from imagebuild.verify.verifying import Setting

_COMMAND_LIMIT = 24 * 3600.0
"""Seconds for a command, without --timeout."""


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog="""\b
Exit codes: that of COMMAND; without one, 0; 2 invalid usage, 3 host requirements not met.
\b
Examples:
  imagebuild run debian-13
  imagebuild run --ssh debian-13
  imagebuild run debian-13 -- cat /etc/os-release
  imagebuild run --user-data user-data.yaml cloud.qcow2 -- cloud-init status --long
  imagebuild run --keep changed cloud.qcow2 -- apt-get install -y nginx""",
)
@click.option("--ssh", is_flag=True, help="Open an SSH session instead of the console.")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Keep the overlays, with everything that was changed, in FOLDER. The image stays their backing file.",
)  # fmt: skip
@click.option(
    "--no-login", is_flag=True, help="Start at once, without adding an SSH key: only what the image allows works."
)
@seed_options
@machine_options
@click.option(
    "--timeout", type=Age(), metavar="TIME",
    help="Time limit of the boot, and of COMMAND. [default: 5m for the boot, 20m when emulated; none for COMMAND]",
)  # fmt: skip
@output_option
@store_option
@progress_options
@verbose_option
@click.argument("image", type=RecipeName(), metavar="IMAGE")
@click.argument("command", nargs=-1, metavar="[-- COMMAND...]")
@click.pass_context
def run(
    ctx: click.Context,
    image: str,
    command: tuple[str, ...],
    ssh: bool,
    keep: Path | None,
    no_login: bool,
    cloud_init: bool,
    hostname: str | None,
    ssh_keys: tuple[Path, ...],
    user_data: Path | None,
    network_config: Path | None,
    given: Format | None,
    firmware: Firmware | None,
    memory: int,
    machine: Path | None,
    timeout: int | None,
    output: Path,
    store: Path | None,
    verbose: bool,
) -> None:
    """Start a throwaway machine of IMAGE, on its serial console; or run COMMAND in it.

    IMAGE is a recipe (its latest artifact), the folder of an artifact, or an image file. It is never
    written: the machine works on an overlay, which is removed at the end. The machine is that of the
    domain definition beside the image, with QEMU's user network. Its SSH port is forwarded to this
    host, and a new key is added to root's account; Ctrl-] leaves the console and ends the machine.

    COMMAND runs as root, without input, as soon as the guest can run it; with a seed for cloud-init,
    after that has ended.
    """
    if verbose:
        log_to_stderr()
    command = command[1:] if command[:1] == ("--",) else command
    _check(command, keep, ssh=ssh, no_login=no_login)
    seed = chosen_seed(SeedChoice(cloud_init, hostname, ssh_keys, user_data, network_config))
    named = named_subject(image, output, MachineChoice(given, firmware, memory, machine))
    subject = named.subject
    if seed is not None and subject.cloud_init is False:
        raise UsageError(
            f"{named.label} has no cloud-init, which would read the seed", "set cloud_init: true in its recipe"
        )
    kept = opened(store)
    clear_dead_runs(kept)
    name = new_run("run")
    with kept.runs.workdir(name, shared=os.geteuid() == 0) as work, process.marked(name):
        key = None if command or no_login else _key(work)
        access = None if key is None else Access(_public(key), secrets.token_urlsafe(9))
        with verification.ready(subject, kept, verification.RunFolder(name, work), timeout) as setting:
            with ExitStack() as stack:
                clone = _started(stack, subject, setting, named.label, access, seed, booted=bool(command or access))
                if command:
                    status = _command(clone, command, timeout)
                elif ssh and key is not None:
                    status = _ssh(clone, key)
                else:
                    status = _console(clone, key, access)
            for path in throwaway.keep(subject, setting, keep) if keep is not None else ():
                echo(f"kept {path}", err=True)
    ctx.exit(status)


def _check(command: tuple[str, ...], keep: Path | None, *, ssh: bool, no_login: bool) -> None:
    if keep is not None and keep.is_dir() and any(keep.iterdir()):
        raise UsageError(f"--keep {keep}: the folder is not empty", "give a new folder")
    if command and (ssh or no_login):
        raise UsageError(f"--{'ssh' if ssh else 'no-login'} and a COMMAND are mutually exclusive")
    if ssh and no_login:
        raise UsageError("--ssh and --no-login are mutually exclusive")
    if not command and not (sys.stdin.isatty() and is_terminal()):
        raise UsageError("the console needs a terminal", "give a command: imagebuild run IMAGE -- COMMAND")
    if ssh and shutil.which("ssh") is None:
        raise HostError("ssh is not installed", "install an OpenSSH client, or use the console without --ssh")


def _started(
    stack: ExitStack,
    subject: Subject,
    setting: Setting,
    label: str,
    access: Access | None,
    seed: Mapping[str, bytes] | None,
    *,
    booted: bool,
) -> Clone:
    """A machine that ends with ``stack``. Its progress goes to standard error, out of the way of a command's output."""
    progress = chosen().progress
    spoken = progress == "plain" or (progress != "none" and is_terminal(err=True))
    reports = PlainReporter(lambda line: echo(line, err=True) if spoken else None)
    with reports.step(label, "run") as step:
        machine = throwaway.machine(throwaway.for_user(subject), setting, step, access=access, booted=booted, seed=seed)
        clone = stack.enter_context(machine)
        step.summary(f"ready after {clone.seconds_to_login:.0f} s" if booted else "started")
    return clone


def _key(work: Path) -> Path:
    """A new SSH key pair without passphrase: the path of the private key."""
    key = work / "id_ed25519"
    hint = "install an OpenSSH client, or use --no-login"
    process.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "imagebuild-run", "-f", key], timeout=60, hint=hint
    )
    return key


def _public(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


def _command(clone: Clone, command: tuple[str, ...], timeout: int | None) -> int:
    done = in_guest.run(clone, command, timeout=_COMMAND_LIMIT if timeout is None else float(timeout))
    # What a command prints is the user's: byte for byte where it is piped, and safe on a terminal.
    for data, err in ((done.output, False), (done.errors, True)):
        if data:
            echo_bytes(data, err=err)
    return done.status


def _ssh_words(clone: Clone, key: Path) -> list[str]:
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "IdentitiesOnly=yes"]
    words = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", "none", *words, "-i", str(key), "-p", str(clone.ssh_port), "root@127.0.0.1"]


def _ssh(clone: Clone, key: Path) -> int:
    if clone.ssh_port is None:
        raise HostError(
            "the machine has no network card whose port could be forwarded", "use the console without --ssh"
        )
    return process.interactive(_ssh_words(clone, key))


def _console(clone: Clone, key: Path | None, access: Access | None) -> int:
    echo("The serial console of a throwaway machine: Ctrl-] leaves it and ends the machine.", err=True)
    if key is not None and access is not None:
        if clone.ssh_port is not None:
            echo(f"  ssh:     {process.pasteable(_ssh_words(clone, key))}", err=True)
        if isinstance(clone.transport, AgentShell):
            echo(f"  console: root, password {access.password}", err=True)
    with clone.domain.serial("serial0") as stream:
        if not attached_console.attached(stream):
            echo("\nthe machine has ended", err=True)
    return 0
