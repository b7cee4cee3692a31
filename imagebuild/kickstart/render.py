"""Renders a recipe's template to the text of a kickstart, with the origin of each line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Template, TemplateError, TemplateNotFound, TemplateSyntaxError, UndefinedError

from imagebuild.customise.linux import io_scheduler
from imagebuild.errors import Problem, RecipeError
from imagebuild.kickstart import account_values, syntax
from imagebuild.kickstart.encode import ValueRefused
from imagebuild.kickstart.environment import KickstartEnvironment, Values
from imagebuild.kickstart.rendered import Origin
from imagebuild.kickstart.rendered import Rendered as Rendered
from imagebuild.kickstart.source_map import Markers, origins
from imagebuild.recipe.folders import template_folders
from imagebuild.recipe.model.guest import Locale, Os
from imagebuild.recipe.model.machine import Machine
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.model.tuning import Tuning, has_elevator
from imagebuild.recipe.secrets import Secrets
from imagebuild.schema.by_identity import by_identity
from imagebuild.schema.findings import did_you_mean

_NONCE = re.compile(r"[0-9A-Za-z-]{8,64}")
_ERRORS = (
    TemplateError,
    ValueRefused,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)


@dataclass(frozen=True)
class PackagesPayload:
    """The installer fetches packages from a mirror itself."""

    mirror: str
    suite: str
    components: tuple[str, ...]
    kind: Literal["packages"] = "packages"


@dataclass(frozen=True)
class LiveimgPayload:
    """The installer unpacks a root archive; ``sha256`` is the digest of its bytes."""

    url: str
    sha256: str
    kind: Literal["liveimg"] = "liveimg"


@dataclass(frozen=True)
class RepositoryValues:
    """A package repository, as templates see it; exactly one of the addresses is set."""

    name: str
    url: str | None = None
    metalink: str | None = None
    mirrorlist: str | None = None
    install: bool = False


@dataclass(frozen=True)
class TreePayload:
    """Anaconda installs from a tree on the network: ``tree``, and further ``repositories``."""

    tree: RepositoryValues
    repositories: tuple[RepositoryValues, ...] = ()
    kind: Literal["tree"] = "tree"


@dataclass(frozen=True)
class CdromPayload:
    """Anaconda installs from the ISO that is in the VM's drive."""

    repositories: tuple[RepositoryValues, ...] = ()
    kind: Literal["cdrom"] = "cdrom"


Payload = PackagesPayload | LiveimgPayload | TreePayload | CdromPayload


def render(
    recipe: Recipe, *, payload: Payload, nonce: str, secrets: Secrets, folders: Sequence[Path] | None = None
) -> Rendered:
    """Render the recipe's template.

    ``nonce`` is printed by the last %post as proof of success: 8 to 64 letters, digits and hyphens.
    Templates are searched in ``folders`` (default: the recipe's folder, ``./kickstart``, the
    shipped ones). Raises RecipeError for a missing template or secret, and for errors in a
    template, at the template's line.
    """
    return Renderer(recipe, nonce=nonce, secrets=secrets, folders=folders).render(payload)


class Renderer:
    """Renders the template of one recipe with several payloads: see ``render``. What does not depend
    on the payload is done once.
    """

    def __init__(self, recipe: Recipe, *, nonce: str, secrets: Secrets, folders: Sequence[Path] | None = None) -> None:
        if not _NONCE.fullmatch(nonce):
            raise ValueError("a nonce must be 8 to 64 letters, digits and hyphens")
        self._recipe = recipe
        self._searched = tuple(template_folders(recipe.source) if folders is None else folders)
        self._values = _values(recipe, nonce, secrets)

    def render(self, payload: Payload) -> Rendered:
        """Render the template with this payload."""
        values, searched = {**self._values, "payload": payload}, self._searched
        plain, marking = _environments(searched)
        template = _template(plain, self._recipe)
        text = _render(template, values, searched)

        def trace() -> tuple[Origin | None, ...]:
            return origins(_render(marking.get_template(self._recipe.kickstart.template), values, searched), text)

        return Rendered(text, Path(str(template.filename)), trace)


@lru_cache(maxsize=16)
def _environments(folders: tuple[Path, ...]) -> tuple[KickstartEnvironment, KickstartEnvironment]:
    return KickstartEnvironment(folders), KickstartEnvironment(folders, [Markers])


def _values(recipe: Recipe, nonce: str, secrets: Secrets) -> dict[str, Any]:
    """What templates see, with an empty place for the payload; docs/recipes.md lists it."""
    root = {
        "password_hash": account_values.password_hash(recipe, recipe.root.password, ("root", "password"), secrets),
        "ssh_keys": account_values.ssh_keys(recipe, recipe.root.ssh_keys, ("root", "ssh_keys"), secrets),
    }
    scheduler = None if has_elevator(recipe.os) else recipe.tuning.io_scheduler
    udev = {
        "udev_scheduler": scheduler,
        "udev_rules": io_scheduler.path(),
        "udev_rule": io_scheduler.rule(scheduler) if scheduler else None,
    }
    return {
        "name": recipe.name,
        "description": recipe.description,
        "os": _os(recipe.os),
        "locale": _locale(recipe.locale),
        "network": Values("network", {**recipe.network.model_dump(mode="json"), "prefix": recipe.network.prefix}),
        "root": Values("root", root),
        "encryption": Values("encryption", {"passphrase": _passphrase(recipe, secrets)}),
        "users": account_values.users(recipe, secrets),
        "services": Values("services", {"enabled": recipe.enabled_services, "disabled": recipe.services.disabled}),
        "tuning": Values("tuning", {**_tuning(recipe.tuning), **udev}),
        "machine": _machine(recipe.machine),
        "syntax": syntax.of(recipe).name,
        "system_disk": "vda" if recipe.disk.bus == "virtio" else "sda",
        "kernel_arguments": recipe.all_kernel_arguments,
        "packages": recipe.all_packages,
        "variables": Values("variables", recipe.variables),
        "payload": None,
        "nonce": nonce,
    }


# Templates cannot change values: the images of a matrix share those of a section.
@by_identity
def _os(section: Os) -> Values:
    return Values("os", {**section.model_dump(), "major": section.major})


@by_identity
def _locale(section: Locale) -> Values:
    return Values("locale", section.model_dump())


@by_identity
def _tuning(section: Tuning) -> dict[str, Any]:
    return section.model_dump()


@by_identity
def _machine(section: Machine) -> Values:
    return Values("machine", section.model_dump(mode="json"))


def _passphrase(recipe: Recipe, secrets: Secrets) -> str | None:
    ref = recipe.encryption.passphrase
    return None if ref is None else secrets.passphrase(ref, recipe.place(("encryption", "passphrase")))


def _template(environment: KickstartEnvironment, recipe: Recipe) -> Template:
    name = recipe.kickstart.template
    try:
        return environment.get_template(name)
    except TemplateSyntaxError as error:
        raise _at(error.filename or name, error.lineno, error.message or "invalid Jinja2") from error
    except TemplateNotFound as error:
        mark = recipe.place(("kickstart", "template"))
        known = environment.list_templates(extensions=["j2"])
        message = f"no such kickstart template: {name!r}"
        raise RecipeError(
            [Problem(mark.file, mark.value, "kickstart.template", message, did_you_mean(name, known))]
        ) from error
    except UnicodeDecodeError as error:
        raise _at(name, None, "the template is not UTF-8 text") from error


def _render(template: Template, values: dict[str, Any], folders: Sequence[Path]) -> str:
    try:
        return template.render(values)
    except TemplateSyntaxError as error:
        raise _at(error.filename or error.name or "", error.lineno, error.message or "invalid Jinja2") from error
    except _ERRORS as error:
        file, line = _place(error, folders) or (str(template.filename), None)
        hint = None
        message = str(error)
        if isinstance(error, TemplateNotFound):
            message = f"no such template: {error.name!r}"
        elif isinstance(error, UndefinedError):
            match = re.fullmatch(r"'(\w+)' is undefined", message)
            hint = did_you_mean(match[1], values) if match else None
        raise _at(file, line, message, hint) from error


def _place(error: BaseException, folders: Sequence[Path]) -> tuple[str, int | None] | None:
    """The innermost template line in a traceback, to which Jinja2 adds template names and lines."""
    inside = tuple(f"{folder}/" for folder in folders)
    frames = traceback.extract_tb(error.__traceback__)
    return next(((f.filename, f.lineno) for f in reversed(frames) if f.filename.startswith(inside)), None)


def _at(file: str, line: int | None, message: str, hint: str | None = None) -> RecipeError:
    return RecipeError([Problem(file, line, "", message, hint)])
