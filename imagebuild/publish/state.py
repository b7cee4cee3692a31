"""The record of a template at one place: which versions are there, which one is current.

It is kept as JSON, in the metadata of the pointer domain on a libvirt host and in a file elsewhere. It
is read as strictly as everything that somebody else could have written. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

from imagebuild.errors import ImageBuildError, UsageError
from imagebuild.host.hints import command_line
from imagebuild.publish import names
from imagebuild.store.version_order import is_older, newest
from imagebuild.store.version_order import key as order_key

SCHEMA = 1
"""Incremented when a field changes its meaning or is removed."""
LARGEST = 3 << 20
"""The most bytes of a record; libvirt passes no text of more than 4 MiB."""
TOO_LARGE = "it is too large"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEFINITION = 64 << 10
LARGEST_PROVENANCE = 512 << 10
"""Characters of the provenance of a version."""


class RecordError(ImageBuildError):
    """The record of a template cannot be used; the message says why."""


class _Flaw(ValueError):
    """What is wrong with a record, as the end of a sentence, and what to do if that is special."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.why, self.hint = why, hint


@dataclass(frozen=True)
class StoredFile:
    """A published file: its size in bytes and its SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class FirstBootSupport:
    """What in a guest takes values at its first boot: ``cloud_init`` is whether it has cloud-init,
    ``systemd`` the version of systemd (0 without it), ``root_keys`` whether root has SSH keys already.
    """

    cloud_init: bool = False
    systemd: int = 0
    root_keys: bool = False


@dataclass(frozen=True)
class Published:
    """A version of a template at one place. ``files`` has the system disk first; ``definition`` is the
    libvirt domain definition of its machine, with only the names of the files; ``published`` is UTC
    (ISO 8601); ``verdict`` is passed, failed or empty; ``fingerprint`` is the artifact's;
    ``first_boot`` is None if that is not known, as in records of before. ``provenance`` is what
    :mod:`imagebuild.publish.signed` checks, empty if nobody signed it.
    """

    version: str
    files: tuple[StoredFile, ...]
    definition: str = ""
    published: str = ""
    verdict: str = ""
    fingerprint: str = ""
    first_boot: FirstBootSupport | None = None
    provenance: str = ""


@dataclass(frozen=True)
class TemplateState:
    """A template at one place. ``current`` and ``previous`` name versions in ``versions``, which are in
    the order of publishing; ``previous`` is what was current before, and may be empty.

    ``highest`` is the newest version that was ever current, empty if that is not known; it need not be
    there any more. If ``current`` is older, ``rolled_back`` is when somebody went back (UTC, ISO 8601).
    """

    template: str
    current: str
    previous: str
    versions: tuple[Published, ...]
    highest: str = ""
    rolled_back: str = ""

    def version(self, name: str) -> Published | None:
        """The version of this name, if it is there."""
        return next((one for one in self.versions if one.version == name), None)

    def switched(self, version: str) -> TemplateState:
        """The same with another current version, which must be there."""
        if version == self.current:
            return self
        highest = newest([self.highest, self.current, version])
        back = self.rolled_back if is_older(version, highest) else ""
        return replace(self, current=version, previous=self.current, highest=highest, rolled_back=back)

    def back(self, version: str, now: str) -> TemplateState:
        """The same with an earlier version as the current one, deliberately."""
        done = self.switched(version)
        return replace(done, rolled_back=now) if is_older(version, done.highest) else done

    def signed(self, version: str, provenance: str) -> TemplateState:
        """The same with another provenance of a version: it was signed again."""
        changed = (replace(one, provenance=provenance) if one.version == version else one for one in self.versions)
        return replace(self, versions=tuple(changed))

    @property
    def is_replayed(self) -> bool:
        """Whether an older version is current than was before, and nobody went back to it."""
        return is_older(self.current, self.highest) and not self.rolled_back

    def with_version(self, new: Published) -> TemplateState:
        """The same with this version, as the newest and current one."""
        others = tuple(one for one in self.versions if one.version != new.version)
        return replace(self, versions=(*others, new)).switched(new.version)

    def without(self, version: str) -> TemplateState:
        """The same without a version, which must not be the current one."""
        kept = tuple(one for one in self.versions if one.version != version)
        return replace(self, versions=kept, previous="" if self.previous == version else self.previous)


def first(template: str, version: Published) -> TemplateState:
    """The record of a template with its first version."""
    return TemplateState(template, version.version, "", (version,), newest([version.version]))


def encoded(state: TemplateState) -> str:
    """The record as JSON in pure ASCII."""
    return json.dumps({"schema": SCHEMA, **asdict(state)}, indent=1, ensure_ascii=True)


def decoded(text: str | bytes, template: str, file: str = "") -> TemplateState:
    """The record of ``template`` in a text that anybody could have written.

    ``file`` is the file or object that it was read from; without one, it is from the metadata of the
    pointer domain. Raises RecordError.
    """
    try:
        return _decoded(text, template, file)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
        raise unusable(template, file, _why(error), error.hint if isinstance(error, _Flaw) else "") from error


def unusable(template: str, file: str, why: str, hint: str = "") -> RecordError:
    """The error for a record in a file, or in a pointer domain's metadata; see :func:`decoded`."""
    if file:
        place, hint = (
            file,
            hint or "restore it from a backup; or move it away and publish again, without older versions",
        )
    else:
        place = f"the metadata of the domain {template}"
        hint = (
            hint or f"restore it with virsh edit; or {command_line('virsh', 'undefine', template)}, and publish again"
        )
    return RecordError(f"the record of the template {template} cannot be used: {why} ({place})", hint)


def _why(error: Exception) -> str:
    """What is wrong with a record, without the words of the library that reads it."""
    if isinstance(error, _Flaw):
        return error.why
    if isinstance(error, json.JSONDecodeError):
        return f"it is not JSON from line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeError | RecursionError):
        return "it is not JSON"
    if isinstance(error, UsageError):
        return f"a name in it is not valid: {error.message}"
    return f"it has no {error.args[0]}" if isinstance(error, KeyError) else "it has a wrong value"


def _decoded(text: str | bytes, template: str, file: str) -> TemplateState:
    if len(text) > LARGEST:
        raise _Flaw(TOO_LARGE)
    data = json.loads(text)
    if not isinstance(data, dict):
        raise _Flaw("it is not a JSON object")
    if data["schema"] != SCHEMA:
        raise _Flaw("it was written by another version of imagebuild")
    if data["template"] != template:
        raise _foreign(template, data["template"], file)
    versions = tuple(map(_published, _list(data["versions"])))
    current, previous = _name(data["current"]), _name(data["previous"]) if data["previous"] else ""
    known = [one.version for one in versions]
    if len(set(known)) != len(known) or current not in known or (previous or current) not in known:
        raise _Flaw("its versions contradict each other")
    # a record of before does not know the highest version
    highest = _text(data.get("highest", newest([current])))
    if highest and order_key(highest) is None:
        raise _Flaw("it has a wrong value")
    return TemplateState(template, current, previous, versions, highest, _text(data.get("rolled_back", "")))


def _foreign(template: str, other: Any, file: str) -> _Flaw:
    """The flaw of a record that is another template's."""
    try:
        belongs = _name(other)
    except (UsageError, _Flaw):
        return _Flaw("it belongs to another template")
    if file:
        hint = f"if the file was renamed, name it {belongs}.json again; if it is a copy, remove it"
    else:
        renamed, clone = (
            command_line("virsh", "domrename", template, belongs),
            command_line("virsh", "undefine", template),
        )
        hint = f"if it was renamed: {renamed}; if it is a clone: {clone}"
    return _Flaw(f"it belongs to the template {belongs}", hint)


def _published(data: Mapping[str, Any]) -> Published:
    definition = _text(data["definition"])
    if len(definition) > _DEFINITION:
        raise _Flaw("a definition in it is too large")
    files = tuple(map(_file, _list(data["files"])))
    if not files:
        raise _Flaw("a version in it has no file")
    texts = {key: _text(data[key]) for key in ("published", "verdict", "fingerprint")}
    provenance = _text(data.get("provenance", ""))
    if len(provenance) > LARGEST_PROVENANCE:
        raise _Flaw("a provenance in it is too large")
    support = _support(data.get("first_boot"))
    return Published(
        _name(data["version"]), files, definition, **texts, first_boot=support, provenance=provenance
    )  # fmt: skip


def _support(data: Any) -> FirstBootSupport | None:
    if data is None:
        return None
    found = FirstBootSupport(data["cloud_init"], data["systemd"], data["root_keys"])
    if not all(type(value) is kind for value, kind in zip(astuple(found), (bool, int, bool), strict=True)):
        raise _Flaw("it has a wrong value")
    return found


def _file(data: Mapping[str, Any]) -> StoredFile:
    name, size, sha256 = _text(data["name"]), data["size"], _text(data["sha256"])
    known = names.parsed(name)
    if type(size) is not int or size < 0:
        raise _Flaw("a size in it is not a number")
    if not _SHA256.fullmatch(sha256) or known is None or known.digest != sha256[: names.DIGITS]:
        raise _Flaw("it names a file that is not one of a template")
    return StoredFile(name, size, sha256)


def _name(value: Any) -> str:
    return names.checked(_text(value))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Flaw("it has a wrong value")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Flaw("it has a wrong value")
    return value
