"""The input of Anaconda: the source of packages (in the kickstart), and its kernel's command line.
Pure.

The boot options are described in Anaconda's documentation, docs/boot-options.rst.
"""

from __future__ import annotations

from imagebuild.kickstart.render import CdromPayload, Payload, RepositoryValues, TreePayload
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.model.source import Repository

LABEL = "IMAGEBUILD"
"""The label of the ISO image that contains Anaconda's runtime image."""
FOLDER_URL = "http://tree.invalid/"
"""A placeholder for the address at which the VM reaches a folder of this host: it is known only
when the VM starts.
"""

_NAMING = ("net.ifnames=", "biosdevname=")


def payload(recipe: Recipe, folder_url: str = FOLDER_URL) -> Payload:
    """The source of packages for a recipe whose installer is Anaconda. Needs no network."""
    source = recipe.installer.source
    assert source is not None  # ensured by the model
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
    """Whether a place in a recipe is an address rather than a path."""
    return place is not None and "://" in place


def has_medium(recipe: Recipe) -> bool:
    """Whether the VM's drive contains the ISO image, or the one with the runtime image."""
    source = recipe.installer.source
    return source is not None and bool(source.tree or source.stage2 or (source.iso and source.attach))


def kernel_arguments(recipe: Recipe) -> tuple[str, ...]:
    """Arguments for the installer's kernel, in addition to inst.ks= and console=.

    inst.stage2: the runtime image is in the drive; without it Anaconda takes it from the
    kickstart's repository. inst.cmdline: ask nothing, whatever display the kickstart selects.
    inst.nosave: the kickstart, which may contain password hashes, is not left in the image.
    Interface names are those of the guest: the kickstart refers to eth0.
    """
    source = recipe.installer.source
    stage2: tuple[str, ...] = ()
    if source is not None and has_medium(recipe):
        stage2 = ("inst.stage2=cdrom",) if source.iso else (f"inst.stage2=hd:LABEL={LABEL}",)
    names = tuple(one for one in recipe.all_kernel_arguments if one.startswith(_NAMING))
    return (*stage2, "inst.cmdline", "inst.nosave=all_ks", "inst.noshell", *names)


def _values(repository: Repository) -> RepositoryValues:
    return RepositoryValues(**repository.model_dump())
