"""``imagebuild render``: show what is generated from a recipe, without building anything."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import click

from imagebuild.build import export, installers
from imagebuild.build import plan as plans
from imagebuild.cli.options import RecipeName, opened, refuse_unknown, store_option, var_option
from imagebuild.cli.output import echo, echo_document
from imagebuild.errors import UsageError
from imagebuild.machine.domain_xml import IMAGES, definition
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.yaml.written import written


@click.command(
    epilog="""\b
Examples:
  imagebuild render debian-13
  imagebuild render debian-13 --payload in-vm
  imagebuild render debian-13 --recipe
  imagebuild render debian-13 --domain --name web1 --images /srv/images | virsh define /dev/stdin
  imagebuild render debian-13 --into /var/tmp/by-hand && sh /var/tmp/by-hand/virt-install.sh"""
)
@click.argument("recipe", type=RecipeName())
@click.option("--recipe", "what", flag_value="recipe", help="Print the composed recipe.")
@click.option("--command", "what", flag_value="command", help="Print the virt-install command of the installation.")
@click.option("--domain", "what", flag_value="domain", help="Print the libvirt domain definition of the machine.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the kickstart, virt-install.sh and the domain definition to this folder; with --command: the folder of"
    " the files that the command names.",
)
@click.option(
    "--payload", type=click.Choice(["host", "in-vm"]), help="Use this instead of the recipe's installer.payload."
)
@click.option("--name", help="With --domain: the domain's name instead of the recipe's.")
@click.option("--images", help=f"With --domain: the folder of the images.  [default: {IMAGES}]")
@store_option
@var_option
def render(
    recipe: str,
    what: str | None,
    into: Path | None,
    payload: str | None,
    name: str | None,
    images: str | None,
    store: Path | None,
    given: dict[str, str],
) -> None:
    """Print the checked kickstart of RECIPE, with placeholders for secrets, nonce and digest.

    With --recipe, print the recipe merged with all that it extends and with its variables replaced.
    The result is a complete recipe; each value is followed by the file and line that it comes from.

    With --command, print the virt-install command. The files it names are those that --into writes;
    without --into they are in a subfolder of the current folder with the recipe's name.
    """
    wanted = _wanted(load(recipe, given=given), payload)
    refuse_unknown(given, [wanted.variables])
    if what != "domain" and (name or images):
        raise UsageError("--name and --images require --domain")
    if what == "recipe":
        echo_document(written(wanted))
    elif what == "domain":
        folder = PurePosixPath(Path(images).absolute()) if images else IMAGES
        echo_document(definition(wanted, name=name, images=folder))
    elif what == "command":
        kind = export.virt_type(wanted, opened(store))
        echo_document(export.command(export.as_known_here(wanted), into or Path(wanted.name), kind))
    elif into is not None:
        for path in export.write(wanted, into, opened(store)):
            echo(path)
    else:
        echo_document(rendered(wanted))


def rendered(recipe: Recipe) -> str:
    """The recipe's kickstart with placeholders for what only a build knows.

    Raises RecipeError with all problems.
    """
    return plans.sample(recipe, installers.of(recipe).look_here(recipe)).text


def _wanted(recipe: Recipe, payload: str | None) -> Recipe:
    if payload is None:
        return recipe
    if not installers.of(recipe).HAS_PAYLOADS:
        raise UsageError(f"--payload cannot be used with {recipe.name}: its installer fetches the packages itself")
    return recipe.model_copy(update={"installer": recipe.installer.model_copy(update={"payload": payload})})
