"""Kernel command lines in variables of shell files, such as GRUB_CMDLINE_LINUX in
/etc/default/grub. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imagebuild.customise.linux.kernel_arguments import Edit
from imagebuild.customise.linux.shell_variables import Assignment, ValuePart, assignments, quoted, value
from imagebuild.customise.linux.text import with_line_at_end
from imagebuild.errors import GuestError

_LONGEST = 1 << 16
"""The maximum length of a value in characters: an assignment can double another one again and
again."""
_MARK = "\0"
"""Surrounds the number of a part that is not literal text, while a value is edited as a command
line."""


@dataclass(frozen=True)
class Variables:
    """``main`` is passed to every kernel, and ``others`` are appended to it for some of them.
    ``default`` is the value of ``main`` if no file sets it."""

    main: str
    others: tuple[str, ...] = ()
    default: str = ""


def edited(files: Mapping[str, str], variables: Variables, edit: Edit, home: str) -> dict[str, str]:
    """The new texts of those ``files`` that change. The files are read in their order; ``home``
    gets ``main`` if none sets it.

    GuestError, with file and line, if something has to be removed from a value that is computed by
    a shell, and if the new files do not have the intended effect.
    """
    texts = dict(files)
    texts.setdefault(home, "")
    if not _is_right(texts, variables, edit):
        moved: list[str] = []
        for path, text in files.items():
            texts[path] = _cleared(path, text, _concerned(texts, variables), variables, edit, moved)
        _add(texts, variables, edit, home, moved)
        if not _is_right(texts, variables, edit):
            raise GuestError(
                f"the kernel command line in {', '.join(files) or home} cannot be changed: "
                f"{variables.main} is set in an unsupported way",
                "set it in one simple assignment, or change it manually",
            )
    return {path: text for path, text in texts.items() if text != files.get(path, "")}


def _is_right(texts: Mapping[str, str], variables: Variables, edit: Edit) -> bool:
    """Whether every kernel gets the added arguments, at the end where that matters, and none of the
    removed ones."""
    values = _values(texts)
    main = values.get(variables.main, variables.default)
    lines = [main, *(f"{main} {values.get(other, '')}" for other in variables.others)]
    if any(edit(line) != line for line in lines):
        return False
    names = _concerned(texts, variables)
    return not any(
        one.is_computed or edit.without(_flat(one.parts)) != _flat(one.parts)
        for one in _all(texts)
        if edit.remove and one.name in names
    )


def _values(texts: Mapping[str, str]) -> dict[str, str]:
    """The values of the variables after the files have been read."""
    found: dict[str, str] = {}
    for one in _all(texts):
        found[one.name] = value(one, found)
        if len(found[one.name]) > _LONGEST:
            raise GuestError(f"the value of {one.name} is longer than {_LONGEST} characters")
    return found


def _all(texts: Mapping[str, str]) -> list[Assignment]:
    return [one for path, text in texts.items() for one in _read(path, text)]


def _read(path: str, text: str) -> list[Assignment]:
    try:
        return assignments(text)
    except GuestError as error:
        raise GuestError(f"{path}: {error.message}", "correct it there first") from error


def _concerned(texts: Mapping[str, str], variables: Variables) -> set[str]:
    """The variables that are command lines, and those that they are composed of."""
    there = _all(texts)
    names = {variables.main, *variables.others}
    while more := {name for one in there if one.name in names for name in one.references} - names:
        names |= more
    return names


def _cleared(path: str, text: str, names: set[str], variables: Variables, edit: Edit, moved: list[str]) -> str:
    """``text`` without the removed arguments, and without those that would contradict the added
    ones. ``moved`` receives the arguments that must precede these."""
    for one in reversed(_read(path, text)):
        if one.name not in names:
            continue
        flat = _flat(one.parts)
        new = edit.cleared(flat)
        if one.name in variables.others:
            behind = edit.ordered(new)
            moved[:0] = [word for word in behind if word not in moved]
            new = " ".join(word for word in new.split(" ") if word not in behind)
        if edit.remove and one.is_computed:
            raise GuestError(
                f"{path}:{one.line}: {one.name} is computed by the shell, "
                f"so it is not known whether it contains {' '.join(edit.remove)}",
                "replace it with a literal value first",
            )
        if new != flat:
            text = _with_value(path, text, one, new)
    return text


def _add(texts: dict[str, str], variables: Variables, edit: Edit, home: str, moved: Sequence[str]) -> None:
    """Append to the last assignment of ``main`` that is always executed, or create one."""
    add = Edit(add=tuple(dict.fromkeys([*moved, *edit.add])))
    if not add.add:
        return
    places = [(path, one) for path, text in texts.items() for one in _read(path, text) if one.name == variables.main]
    certain = [at for at, (_, one) in enumerate(places) if one.certain]
    if not certain:
        line = f"{variables.main}={quoted((ValuePart(edit(variables.default)),))}"
        texts[home] = with_line_at_end(texts[home], line)
        return
    # Assignments that may be executed later and do not build on it need them too.
    chosen = places[certain[-1] : certain[-1] + 1]
    chosen += [(path, one) for path, one in places[certain[-1] + 1 :] if variables.main not in one.references]
    for path, one in reversed(chosen):
        texts[path] = _with_value(path, texts[path], one, add(_flat(one.parts)))


def _flat(parts: Sequence[ValuePart]) -> str:
    """A value as one text, with marks for the parts that are not literal text."""
    return "".join(part.text if part.kind == "text" else f"{_MARK}{number}{_MARK}" for number, part in enumerate(parts))


def _with_value(path: str, text: str, one: Assignment, flat: str) -> str:
    """``text`` with another value in an assignment; ``flat`` contains marks for the parts of the
    old one."""
    raw = [part.text for part in one.parts if part.kind == "computed"]
    if _MARK in text or any(not part.startswith(("$(", "${", "`")) for part in raw):
        raise GuestError(
            f"{path}:{one.line}: the value of {one.name} cannot be changed here",
            "replace it with a literal value first",
        )
    pieces = flat.strip().split(_MARK)
    parts = [ValuePart(piece) if number % 2 == 0 else one.parts[int(piece)] for number, piece in enumerate(pieces)]
    single = text[one.start : one.start + 1] == "'" and not raw and "'" not in flat and _MARK not in flat
    word = f"'{flat.strip()}'" if single else quoted(tuple(parts))
    return text[: one.start] + word + text[one.end :]
