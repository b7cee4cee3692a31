"""The commands that a page suggests for an artifact's files. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagebuild.page.facts import Download, VersionRow
from imagebuild.printable import shell_word
from imagebuild.store.artifact import CHECKSUMS

_POOL = "/var/lib/libvirt/images/"


@dataclass(frozen=True)
class SuggestedCommands:
    """What commands are for, and the lines to type in the folder with the downloads."""

    what: str
    lines: tuple[str, ...]


def commands(row: VersionRow, offered: Sequence[Download]) -> list[SuggestedCommands]:
    """The commands for the files that are there."""
    names = {one.name for one in offered if not one.refused}
    images = [one.name for one in offered if one.what == "image"]
    image = next((name for name in images if name == f"{row.image}.qcow2"), images[0] if images else "")
    found = []
    if CHECKSUMS in names:
        checks = [f"sha256sum --ignore-missing -c {CHECKSUMS}"]
        if f"{CHECKSUMS}.asc" in names:
            checks.insert(0, f"gpgv --keyring ./trusted.gpg {CHECKSUMS}.asc {CHECKSUMS}")
        if f"{CHECKSUMS}.sig" in names:
            signer = f"ssh-keygen -Y verify -f allowed_signers -I SIGNER -n imagebuild -s {CHECKSUMS}.sig"
            checks.insert(0, f"{signer} < {CHECKSUMS}")
        found.append(SuggestedCommands("Check what was downloaded", tuple(checks)))
    if image:
        found.append(SuggestedCommands("Start a throwaway machine", (f"imagebuild run {shell_word(image)}",)))
    if image and f"{row.image}.xml" in names:
        definition = shell_word(f"{row.image}.xml")
        lines = (
            f"cp {shell_word(image)} {_POOL}",
            f"virsh define {definition}",
            f"virsh start {shell_word(row.image)}",
        )
        found.append(SuggestedCommands("Make a machine with libvirt, as root", lines))
    return found
