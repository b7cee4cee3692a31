"""The remote store that a project, an option or the environment names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from imagebuild.errors import UsageError
from imagebuild.project.shared_store import SharedStore
from imagebuild.recipe import secrets
from imagebuild.remote.folder_place import FolderPlace
from imagebuild.remote.place import RemotePlace
from imagebuild.remote.remote_store import PATIENCE, RemoteStore
from imagebuild.schema.findings import findings

NONE = "none"
"""What the option says for no remote store at all."""
_SHORTEST_KEY = 32
_OF_ANY_KIND = ("key", "push", "keep", "insecure")


@dataclass(frozen=True)
class RemoteSettings:
    """A section ``store`` with a ``remote``; ``folder`` is what relative paths in it are relative to, and
    ``words`` are the options with which another process opens the same.
    """

    entry: SharedStore
    folder: Path
    words: tuple[str, ...] = ()
    patience: float = PATIENCE


def chosen(entry: SharedStore | None, folder: Path, given: str | None) -> RemoteSettings | None:
    """The remote store that a command uses: ``given`` by its option or the environment (``none`` is none), else
    that of the project's section ``entry``, whose relative paths are in ``folder``.

    The section's key and other settings apply to a given one too, as far as they are for its kind. Raises
    UsageError.
    """
    if given is None:
        return RemoteSettings(entry, folder) if entry is not None and entry.remote is not None else None
    if given in ("", NONE):
        return None
    where = given if "://" in given else str(Path(given).absolute())
    try:
        known = {} if entry is None else {name: getattr(entry, name) for name in entry.model_fields_set}
        kind = SharedStore.model_validate({"remote": where, "insecure": True}).kind
        if entry is not None and kind != entry.kind:
            known = {name: value for name, value in known.items() if name in _OF_ANY_KIND}
        return RemoteSettings(SharedStore.model_validate({**known, "remote": where}), folder)
    except ValidationError as error:
        found = next(findings(error, SharedStore))
        raise UsageError(
            f"--remote-store: {found.message}", "the section store of imagebuild.yaml can have more keys, such as key"
        ) from error


def open_remote(settings: RemoteSettings) -> RemoteStore:
    """The remote store; nothing is connected before it is used. Raises UsageError for a key or another
    secret that cannot be read.
    """
    entry = settings.entry
    name = entry.remote or ""
    key = _key(entry, settings.folder)
    return RemoteStore(name, _place(name, settings), key, pushes=entry.push == "always", patience=settings.patience)


def _key(entry: SharedStore, folder: Path) -> bytes | None:
    if entry.key is None:
        return None
    value = secrets.read(entry.key, folder)
    if len(value) < _SHORTEST_KEY:
        raise UsageError(
            f"the key of the remote store ({entry.key}) has fewer than {_SHORTEST_KEY} characters",
            "make one: openssl rand -hex 32",
        )
    return value.encode()


def _place(name: str, settings: RemoteSettings) -> RemotePlace:
    """What speaks to the place; most are imported only when they are used."""
    entry, folder = settings.entry, settings.folder
    if entry.kind == "folder":
        return FolderPlace(name, folder / Path(entry.parsed.path).expanduser())
    if entry.kind == "sftp":
        from imagebuild.remote.sftp_place import SftpPlace

        return SftpPlace(name, entry, folder)
    if entry.kind == "s3":
        from imagebuild.remote.s3_place import S3Place

        return S3Place(name, entry, folder)
    if entry.kind == "http":
        from imagebuild.remote.http_place import HttpPlace

        return HttpPlace(name)
    raise UsageError("no remote store is named", "set store.remote in imagebuild.yaml, or give --remote-store")
