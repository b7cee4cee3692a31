"""Names of recipes and images as arguments. Completion imports this module, so it is light."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from imagebuild.printable import one_line

_NAMED = 4
"""As many recipes are named to somebody who named none."""


class RecipeName(click.ParamType[str]):
    """The name of a recipe or of an image, or a file; completes known names."""

    name = "recipe"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        from imagebuild.recipe.folders import by_default

        names = [path.stem for path in by_default()]
        more = ", …" if len(names) > _NAMED else ""
        return f"The recipes here: {', '.join(names[:_NAMED])}{more} (`imagebuild list` shows all)"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from imagebuild.recipe.folders import recipe_folders
        from imagebuild.recipe.known_names import known_names

        names = known_names(recipe_folders())
        return [CompletionItem(name) for name in names if name.startswith(incomplete) and one_line(name) == name]


class ImageName(click.ParamType[str]):
    """An image file, the folder of an artifact, or a recipe; completes files and recipes."""

    name = "image"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        recipes = RecipeName().shell_complete(ctx, param, incomplete)
        return [*recipes, CompletionItem(incomplete, type="file")]
