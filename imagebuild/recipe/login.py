"""Nobody can log in to a clone of the image.

Neither root nor a user has a password or an SSH key, and cloud-init is not installed, which would
give the clone an account. A recipe says who may log in with `users` or `root`, or with
`cloud_init: true`. Scripts and files that operations put into the guest may create accounts, so a
recipe with such operations is not reported, and neither are the shipped recipes, which are there to
be extended. An image whose clones get their accounts in another way, such as by `imagebuild
instantiate`, suppresses the rule in `lint.ignore`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path

from imagebuild.errors import Problem, Severity
from imagebuild.recipe import folders
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema import rule_names

NAME = rule_names.NOBODY_CAN_LOG_IN
SEVERITY: Severity = "warning"
_OF_KICKSTARTS = re.compile(r"\s*(?:sshkey\s|rootpw\s(?!.*--lock)|user\s.*--password)")
_IN_SCRIPTS = re.compile(r"authorized_keys|\bchpasswd\b|\bpasswd [a-z-]")
"""What gives somebody a password or a key, as a command or in a script."""
_MAY = (
    "add-ssh-keys", "copy-in", "create-user", "render-template", "run-at-first-boot", "run-command", "run-script",
    "set-password",
)  # fmt: skip
"""Operations that give an account a password or a key, or may do so."""
_AGENTS = (
    "cloud-init",
    "google-guest-agent",
    "ignition",
    "waagent",
    "WALinuxAgent",
    "freeipa-client",
    "ipa-client",
    "sssd",
)


def _gives_access(kickstart: str) -> bool:
    if any(map(_is_access, kickstart.split("\n"))):
        return True
    named = "passwd" in kickstart or "authorized_keys" in kickstart
    return named and _IN_SCRIPTS.search(kickstart) is not None


@lru_cache(maxsize=4096)  # the images of a matrix share most lines
def _is_access(line: str) -> bool:
    return _OF_KICKSTARTS.match(line + "\n") is not None


def found_in(recipe: Recipe, kickstart: str) -> Problem | None:
    """The warning that nobody can log in with this rendered ``kickstart``; None if somebody can, or
    may. Whether the recipe suppresses it is not looked at.
    """
    if _gives_access(kickstart) or any(call.name in _MAY for call in recipe.operations):
        return None
    installed = {
        *recipe.all_packages,
        *(
            name
            for call in recipe.operations
            if call.name.startswith("install-packages")
            for name in getattr(call.params, "packages", ())
        ),
    }
    if not installed.isdisjoint(_AGENTS) or _is_shipped(recipe.source.absolute()):
        return None
    mark = recipe.place(("name",))
    return Problem(
        mark.file,
        mark.value,
        "users",
        "nobody can log in to a clone of this image: nobody has a password or an SSH key",
        "add users: [{name: ops, sudo: true, ssh_keys: [KEY]}], or cloud_init: true; or say why in lint.ignore:"
        f" `{NAME}: …`",
        NAME,
        SEVERITY,
    )


@lru_cache(maxsize=64)  # the images of a matrix are of one file
def _is_shipped(source: Path) -> bool:
    shipped = folders.shipped("recipes")
    return shipped is not None and _real(shipped) in source.resolve().parents


@cache
def _real(folder: Path) -> Path:
    return folder.resolve()
