"""Kickstarts as people have them for the RHEL family, installed as Debian guests, which are asked.

``foreign/`` has the files. The test adds what a user of imagebuild adds: the source of the packages,
the root password, and the mark of success. All but one are slow, because there are many of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagebuild.host import accelerator

from .conftest import PASSWORD, Project
from .foreign_guests import GUESTS
from .guest_console import logged_in

FOREIGN = Path(__file__).parent / "foreign"
pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(2400),
    pytest.mark.usefixtures("nothing_left"),
]

RECIPE = """\
name: {name}
os: {{family: debian, version: 13, codename: trixie}}
disk: {{size: {disks[0]}}}
vm: {{timeout: 30m, vcpus: 1}}
root:
  password: {{env: SMALL_ROOT_PASSWORD}}
kernel_arguments: [net.ifnames=0, biosdevname=0, console=tty0, "console=ttyS0,115200n8"]
kickstart: {{template: {name}.ks.j2{syntax}}}
{more}lint:
  ignore: {{{ignored}}}
"""
ADDED = """\
{{ imagebuild.source(payload) }}
{{ imagebuild.root(root, sshkey=false) }}
{{ imagebuild.success(nonce) }}
"""
RULES = (
    "defined-twice", "deprecated", "given-again", "http-without-checksum", "interactive", "plaintext-password",
    "post-without-erroronfail", "reboot", "several-install-sources", "several-root-file-systems", "shared-identity",
    "swap",
)  # fmt: skip
"""Opinions on golden images, which these files do not share."""

QUICK = "bond_and_firewall"
"""The one that `make test` runs: it has most of what only foreign kickstarts have."""
HEALTHY = "systemctl is-system-running --wait; systemctl --failed --no-legend --plain"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name != QUICK else []) for name in GUESTS]
)
def test_a_foreign_kickstart_is_installed(project: Project, name: str) -> None:
    guest, recipe = GUESTS[name], name.replace("_", "-")
    text = (FOREIGN / f"{name}.ks").read_text(encoding="utf-8")
    project.write(f"kickstart/{recipe}.ks.j2", f'{text}{{% import "macros.ks.j2" as imagebuild %}}\n{ADDED}')
    project.write("recipes/passphrase", guest.passphrase or "none")
    project.write(f"recipes/{recipe}.yaml", recipe_of(name))
    ended = project.run("build", recipe, "--json")
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    image = project.folder / str(ended.last("artifact")["image"])
    manifest = json.loads((image.parent / "manifest.json").read_text())
    more = [image.with_name(one["file"]) for one in manifest.get("extra_images") or ()]
    assert len(more) == len(guest.disks) - 1
    accel = accelerator.verdict(project.store / "host.json").accelerator
    overlay = project.folder / f"{recipe}-clone.qcow2"
    with logged_in(
        image, overlay, accel, PASSWORD, more=more, cards=2, seconds=900, passphrase=guest.passphrase
    ) as console:
        console.run(HEALTHY, 600)  # until then services write to the console, too
        answers = {HEALTHY: console.run(HEALTHY, 60)}
        answers |= {command: console.run(command, 180) for command in guest.asked}
    assert answers == {HEALTHY: "running", **guest.asked}


def recipe_of(name: str) -> str:
    guest = GUESTS[name]
    more = f"extra_disks: [{', '.join(f'{{size: {size}}}' for size in guest.disks[1:])}]\n" if guest.disks[1:] else ""
    return RECIPE.format(
        name=name.replace("_", "-"),
        disks=guest.disks,
        syntax=f", syntax: {guest.syntax}" if guest.syntax else "",
        more=more + (f"{guest.recipe}\n" if guest.recipe else ""),
        ignored=", ".join(f"{rule}: it is foreign" for rule in RULES),
    )
