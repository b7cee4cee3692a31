"""Installations as shell scripts to run manually. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from imagebuild.machine.virt_install import InstallMachine, command

HERE = Path("/@HERE @")
"""A placeholder for the script's folder. Its space makes both virt-install's and the shell's
quoting apply.
"""

_ODD = """case $here in *[\\'\\"\\&\\<\\>]*) echo "virt-install cannot handle the path $here" >&2; exit 3 ;; esac"""
"""See imagebuild.machine.virt_install_options.file."""


def pasteable(machine: InstallMachine) -> str:
    """The command as a person would write it: one option per line."""
    first, *words = command(machine)
    lines = [first]
    for word in words:
        if word.startswith("--"):
            lines.append(word)
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n  ".join(lines) + "\n"


def script(machine: InstallMachine, sizes: Sequence[int], comments: Iterable[str], needed: Iterable[str] = ()) -> str:
    """A script that creates empty disks of these sizes in bytes in its folder, starts the VM and
    prints its console.

    Paths of ``machine`` in the folder HERE are in the script's folder; without the files ``needed``
    it exits immediately.
    """
    lines = ["#!/bin/sh", *(f"# {comment}" for comment in comments), "set -eu"]
    lines += ['here=$(cd "$(dirname "$0")" && pwd)', _ODD]
    for name in needed:
        lines.append(f'[ -e "$here"/{shlex.quote(name)} ] || {{ echo "$here/{name} is missing" >&2; exit 3; }}')
    for target, size in zip(machine.targets, sizes, strict=True):
        name = f'"$here"/{shlex.quote(target.path.name)}'
        lines += [f"rm -f {name}", f"truncate -s {size} {name}"]
    log = f'"$here"/{shlex.quote(machine.console_log.name)}'
    lines += [f"rm -f {log}", pasteable(machine).rstrip("\n").replace(str(HERE), "'\"$here\"'")]
    lines.append(f"exec tail -n +1 -F {log}")
    return "\n".join(lines) + "\n"


def repeat_script(machine: InstallMachine) -> str:
    """A script that repeats a failed installation, with the kickstart in its folder."""
    again = replace(
        machine,
        name=f"{machine.name}-again",
        kickstart=HERE / machine.kickstart.name,
        targets=tuple(replace(target, path=HERE / target.path.name) for target in machine.targets),
        nvram=HERE / "nvram.fd" if machine.nvram else None,
        console_log=HERE / "console-again.log",
        installer_log=HERE / "installer-again.log",
    )
    sizes = [target.path.stat().st_size if target.path.exists() else 0 for target in machine.targets]
    return script(
        again,
        sizes,
        ["Runs the failed installation again. QEMU must be able to reach this folder. ks.cfg lacks the secrets."],
    )
