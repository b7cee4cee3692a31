"""What Anaconda is told: where packages come from (in the kickstart), and its kernel's command line. Pure.

The boot options are those of Anaconda's own documentation, docs/boot-options.rst.
"""

from __future__ import annotations

import re

from imagebuild.kickstart.render import CdromPayload, Payload, RepositoryValues, TreePayload
from imagebuild.recipe.model import Recipe
from imagebuild.recipe.source import Repository

FOLDER_URL = "http://tree.invalid/"
"""Stands in for the address at which the VM reaches a folder of this host: that is known once the VM starts."""


def payload(recipe: Recipe, folder_url: str = FOLDER_URL) -> Payload:
    """Where the packages come from, for a recipe whose installer is Anaconda. Needs no network."""
    source = recipe.installer.source
    assert source is not None  # the model's rule
    repositories = recipe.installer.repositories
    if source.kind == "kernel":
        first, *repositories_left = repositories
        return TreePayload(_values(first), tuple(map(_values, repositories_left)))
    more = tuple(map(_values, repositories))
    if source.kind == "iso":
        return CdromPayload(more) if source.attach else TreePayload(RepositoryValues("tree", url=folder_url), more)
    url = str(source.tree) if is_url(source.tree) else folder_url
    return TreePayload(RepositoryValues("tree", url=url), more)


def is_url(place: str | None) -> bool:
    """Whether a place of a recipe is an address, and not a path."""
    return place is not None and "://" in place


def kernel_arguments(label: str | None) -> tuple[str, ...]:
    """What goes onto the installer kernel's command line, beside inst.ks= and console=.

    ``label`` is the volume label of the medium with Anaconda's runtime image, or None where Anaconda is to take it
    from the kickstart's repository. inst.cmdline: ask nothing, whatever the kickstart says of the display.
    inst.nosave: the kickstart, which may hold password hashes, does not stay in the image.
    """
    stage2 = (f"inst.stage2=hd:LABEL={_escaped(label)}",) if label else ()
    return (*stage2, "inst.cmdline", "inst.nosave=all_ks", "inst.noshell")


def _escaped(label: str) -> str:
    """A label as udev names its link in /dev/disk/by-label, where Anaconda looks."""
    return re.sub(r"[^A-Za-z0-9#+.:=@_-]", lambda found: "".join(f"\\x{byte:02x}" for byte in found[0].encode()), label)


def _values(repository: Repository) -> RepositoryValues:
    return RepositoryValues(**repository.model_dump())
