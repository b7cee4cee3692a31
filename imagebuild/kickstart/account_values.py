"""Root and the users as templates see them, with the hashes and keys that the recipe refers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagebuild.recipe.model.recipe import Recipe
from imagebuild.recipe.secrets import Secrets
from imagebuild.schema.accounts import SshKey, User
from imagebuild.schema.document import Route
from imagebuild.schema.section import SecretRef

_SUDO_GROUP = {"debian": "sudo", "redhat": "wheel"}
"""The group whose members may use sudo, according to /etc/sudoers in each family's sudo package."""


@dataclass(frozen=True)
class UserValues:
    """A user, as templates see it. ``sudo`` is True if a file in /etc/sudoers.d grants the right
    instead of a group.
    """

    name: str
    password_hash: str | None
    ssh_keys: tuple[str, ...]
    groups: tuple[str, ...]
    sudo: bool
    uid: int | None
    gid: int | None
    shell: str
    gecos: str


def password_hash(recipe: Recipe, ref: SecretRef | None, route: Route, secrets: Secrets) -> str | None:
    """The hash of the password at ``route`` in the recipe; None without one. Raises RecipeError."""
    return None if ref is None else secrets.password_hash(ref, recipe.place(route))


def ssh_keys(recipe: Recipe, keys: Sequence[SshKey], route: Route, secrets: Secrets) -> tuple[str, ...]:
    """All keys of the list at ``route`` in the recipe. Raises RecipeError."""
    found: list[str] = []
    for index, key in enumerate(keys):
        at = recipe.place((*route, index))
        found += secrets.ssh_keys(key, at) if isinstance(key, SecretRef) else [key]
    return tuple(found)


def users(recipe: Recipe, secrets: Secrets) -> tuple[UserValues, ...]:
    """The recipe's users. Raises RecipeError for a secret that is missing or unsuitable."""
    return tuple(_user(recipe, user, ("users", at), secrets) for at, user in enumerate(recipe.users))


def _user(recipe: Recipe, user: User, route: Route, secrets: Secrets) -> UserValues:
    # sudo asks members of the group for their password; a user without one needs a rule that does not ask.
    by_group = user.sudo and user.password is not None
    group = (_SUDO_GROUP[recipe.os.family],) if by_group else ()
    return UserValues(
        name=user.name,
        password_hash=password_hash(recipe, user.password, (*route, "password"), secrets),
        ssh_keys=ssh_keys(recipe, user.ssh_keys, (*route, "ssh_keys"), secrets),
        groups=tuple(dict.fromkeys((*user.groups, *group))),
        sudo=user.sudo and not by_group,
        uid=user.uid,
        gid=user.gid,
        shell=user.shell,
        gecos=user.gecos,
    )
