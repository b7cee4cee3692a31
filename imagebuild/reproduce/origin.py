"""The artifact that is built again, as its manifest describes it.

Whoever passes on an artifact wrote its manifest. Each value is checked, no path in it is acted upon,
and what its recipe names on this host is listed, so that somebody can agree to it first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imagebuild.customise import host_inputs
from imagebuild.customise.host_inputs import HostPath
from imagebuild.errors import RecipeError, UsageError
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.model.verify import Verify
from imagebuild.schema.document import Document, Route, dotted
from imagebuild.schema.findings import findings, problems
from imagebuild.store import beside
from imagebuild.store.artifact import MANIFEST
from imagebuild.store.beside import ManifestError

_LARGEST = 64 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SOURCE = ("tree", "iso", "kernel", "initrd", "stage2", "checksums", "signature", "keyring")


@dataclass(frozen=True)
class OriginalBuild:
    """What a manifest says about a build. ``recipe`` is its text as plain values, ``steps`` are the
    fingerprints by step; ``identity`` is empty if the identifiers of the disks are random.
    """

    manifest: Path
    name: str
    version: str
    recipe: dict[str, Any]
    kickstart: str
    packages: Mapping[str, str]
    tools: Mapping[str, str]
    steps: Mapping[str, str]
    sources: Mapping[str, str]
    identity: str
    image: str
    image_sha256: str

    @property
    def folder(self) -> Path:
        """The folder of the artifact."""
        return self.manifest.parent

    def loaded(self) -> Recipe:
        """Its recipe, checked as a file would be; it is not verified in booted clones, since its checks
        may run programs of this host. Raises RecipeError.
        """
        document = Document.of(str(self.manifest), self.recipe)
        try:
            recipe = Recipe.model_validate(self.recipe)
        except ValidationError as error:
            raise RecipeError(list(problems(findings(error, Recipe), document))) from error
        return unverified(recipe.attach(document, self.manifest))


def unverified(recipe: Recipe) -> Recipe:
    """The recipe without the checks of its finished image."""
    quiet = recipe.model_copy(update={"verify": Verify(enabled=False)})
    return quiet.attach(recipe.document, recipe.source)


def read(place: Path) -> OriginalBuild:
    """What the manifest at ``place`` says, a file or the folder of an artifact. Raises UsageError."""
    path = (place / MANIFEST if place.is_dir() else place).absolute()
    try:
        content = beside.content_of(path, _LARGEST)
        if content is None:
            raise UsageError(f"{path} does not exist", "give a manifest.json, or the folder of an artifact")
        return _origin(path, json.loads(content))
    except ManifestError as error:
        raise UsageError(f"{path} cannot be used: {error}") from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not the manifest of an artifact", "give the manifest.json of a build") from error


def _origin(path: Path, data: Any) -> OriginalBuild:
    if data["schema"] != 1:
        raise ManifestError(f"its schema is {data['schema']!r}, but this version knows only 1")
    identity = _text(data["built"].get("identity", ""))
    if identity and not _DIGEST.fullmatch(identity):
        raise TypeError("not a digest")
    image = _text(data["image"]["file"])
    if "/" in image or image in ("", ".", ".."):
        raise ManifestError("it names an image in another folder")
    recipe = data["recipe"]
    if not isinstance(recipe, dict):
        raise TypeError("not a recipe")
    return OriginalBuild(
        path,
        _text(data["name"]),
        _text(data["version"]),
        recipe,
        _text(data["kickstart"]["sha256"]),
        _texts(data["packages"]),
        _texts(data["tools"]),
        {_text(name): _text(step["fingerprint"]) for name, step in data["steps"].items()},
        {_text(one["name"]): _text(one["sha256"]) for one in data["sources"]},
        identity,
        image,
        _text(data["image"]["sha256"]),
    )


def relative_paths(recipe: Recipe) -> Iterator[str]:
    """The paths of ``named_on_host`` that are relative to a recipe's file, which no manifest contains."""
    for line in named_on_host(recipe):
        _, is_file, path = line.partition(": file ")
        if is_file and not path.startswith(("/", "~")):
            yield path


def named_on_host(recipe: Recipe) -> Iterator[str]:
    """What a build of the recipe would read or use on this host, one line for each."""
    named: list[tuple[Route, Any]] = list(host_inputs.references(recipe))
    for at, call in enumerate(recipe.operations):
        named += [(("operations", at, call.name, *route), ref) for route, ref in host_inputs.references(call.params)]
    for route, ref in named:
        yield f"{dotted(route)}: {f'file {ref}' if isinstance(ref, HostPath) else ref}"
    source = recipe.installer.source
    for key in _SOURCE if source else ():
        value = getattr(source, key)
        if value and "://" not in str(value):
            yield f"installer.source.{key}: file {value}"
    for at, card in enumerate(recipe.vm.networks):
        if card.type != "user":
            yield f"vm.networks[{at}]: a card on this host's network ({card.type})"


def _texts(value: Any) -> dict[str, str]:
    return {_text(name): _text(one) for name, one in value.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
