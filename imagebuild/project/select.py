"""The hosts and targets that words on the command line select."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from imagebuild.errors import UsageError
from imagebuild.project.file import FILE
from imagebuild.project.groups import ALL, members
from imagebuild.project.model import Host, Project, StorageTarget
from imagebuild.schema.findings import did_you_mean, findings

_TARGETS = ("file", "sftp", "s3", "http", "https")
"""The schemes of targets; any other URL is meant as one of libvirt."""


@dataclass(frozen=True)
class Destination:
    """A place to publish to. ``folder`` is what relative paths in ``entry`` are relative to."""

    name: str
    entry: Host | StorageTarget
    folder: Path

    def path(self, written: str) -> Path:
        """The absolute path of a file or folder that ``entry`` names. Raises UsageError."""
        try:
            return self.folder / Path(written).expanduser()
        except RuntimeError as error:
            raise UsageError(f"{self.name}: there is no such user: {written}") from error


def select(project: Project, words: Sequence[str], what: str = "--to") -> tuple[Destination, ...]:
    """The places that ``words`` name, each once: those of the file in its order, then the others.

    A word is the name of a host, target or group, ``all``, ``label=WORD``, a libvirt URI, the URL
    of a target or the path of a folder (with a ``/``), or several of these with commas between
    them. ``what`` is the option that they are from, for messages. Raises one UsageError for
    all words that select nothing.
    """
    chosen: set[str] = set()
    errors: list[UsageError] = []
    direct: dict[str, Destination] = {}
    for word in (part for written in words for part in written.split(",")):
        try:
            if is_place(word):
                direct[word] = Destination(word, _entry(word, what), Path.cwd())
            else:
                chosen.update(_named(project, word, what))
        except UsageError as error:
            errors.append(error)
    if errors:
        raise _together(errors)
    named = (Destination(name, entry, project.folder) for name, entry in project.entries.items() if name in chosen)
    return (*named, *direct.values())


def is_place(word: str) -> bool:
    """Whether a word is a URI or a path and not a name: a name has no ``/``."""
    return "/" in word or word in (".", "..")


def _named(project: Project, word: str, what: str) -> Iterator[str]:
    entries = project.entries
    label = word.removeprefix("label=") if word.startswith("label=") else None
    if word == ALL:
        if not entries:
            raise UsageError(f"{what} {ALL}: {_none(project)}", _hint(project))
        yield from entries
    elif label is not None:
        found = [name for name, entry in entries.items() if label in entry.labels]
        if not found:
            labels = dict.fromkeys(one for entry in entries.values() for one in entry.labels)
            message = f"no host or target has the label {label!r}" if entries else _none(project)
            raise UsageError(f"{what} {word}: {message}", did_you_mean(label, labels) or _hint(project))
        yield from found
    elif word in project.groups:
        found = list(members(word, project.groups))
        if not found:
            raise UsageError(f"{what} {word}: this group has no members", f"see {project.place('groups', word).file}")
        yield from found
    elif word in entries:
        yield word
    else:
        known = [*entries, *project.groups, ALL]
        message = f"there is no host, target or group {word!r} in {project.file}" if entries else _none(project)
        hint = (did_you_mean(word, known) if entries else None) or _hint(project)
        if word and _is_folder(word):
            hint = f"for the folder of this name: ./{word}"
        raise UsageError(f"{what} {word}: {message}", hint)


def _is_folder(word: str) -> bool:
    try:
        return Path(word).is_dir()
    except (OSError, ValueError):  # too long a name, for example
        return False


def _together(errors: Sequence[UsageError]) -> UsageError:
    """One error for several words."""
    if len(errors) == 1:
        return errors[0]
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    return UsageError("; ".join(dict.fromkeys(error.message for error in errors)), "; ".join(hints))


def _none(project: Project) -> str:
    if not project.exists:
        return f"there is no {project.file} here, so there are no names of hosts"
    return f"{project.file} has no hosts and no targets yet"


def _hint(project: Project) -> str:
    known = [*project.entries, *project.groups]
    if known:
        return f"known: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}"
    return "give a URI such as qemu:///system, the path of a folder, or the project's file with --config"


def _entry(word: str, what: str) -> Host | StorageTarget:
    """The entry that a URI or a path stands for, under the rules of the file."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", word)
    model: type[Host] | type[StorageTarget] = Host if scheme and scheme[1] not in _TARGETS else StorageTarget
    key = "uri" if model is Host else "url"
    try:
        return model.model_validate({key: word})
    except ValidationError as error:
        found = next(findings(error, model))
        raise UsageError(
            f"{what}: {found.message}", f"an entry in {FILE} can have more keys, such as insecure"
        ) from error
