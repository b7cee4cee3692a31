"""What is meant by a word of another tool: the operation, key or command that a recipe uses for it.

Everything here is called for words that a recipe does not know, so nothing is read before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from imagebuild.customise import manual, registry
from imagebuild.errors import UsageError
from imagebuild.schema.document import Route
from imagebuild.schema.findings import Meant, did_you_mean

_TABLE = Path(__file__).with_name("words.yaml")
_KEYS = "keys"
_OPTIONS = ("virt-customize", "virt-sysprep")
"""The tools whose words are options."""
_FILES = ("firstboot", "run", "script", "shell")
"""Words that name a script by its path."""


def operation(name: str) -> str | None:
    """A hint for ``name``, which is not an operation: an operation with a similar name, or the
    counterpart of what has this name in another tool."""
    same = next((ours for ours in registry.names() if _plain(ours) == _plain(name)), None)
    if same is not None:
        return f"did you mean {same!r}?"
    return counterpart(name) or did_you_mean(name, registry.names())


def refusal(name: str) -> UsageError:
    """The error for ``name`` on a command line, if that is not an operation."""
    return UsageError(f"there is no operation {name!r}", operation(name) or "`imagebuild operations list` lists them")


def operations() -> tuple[str, ...]:
    """The names of all operations."""
    return registry.names()


def counterpart(word: str, tools: Sequence[str] = ()) -> str | None:
    """A hint for a word of another tool, with an example of the operation that replaces it; None if
    no tool, or none of ``tools``, has it."""
    found = next(((tool, theirs) for tool, theirs in _named(word) if not tools or tool in tools), None)
    if found is None:
        return None
    tool, theirs = found
    ours = equivalents(tool)[theirs]
    option = f"--{theirs}" if tool in _OPTIONS and theirs not in manual.SYSPREP else word
    named = re.match(r"`([a-z-]+)`", ours)
    if named is not None and named[1] in registry.names():
        call = example(named[1], registry.params_model(named[1]))
        ours = ours.replace(named[0], f"`{call.replace('text:', 'file:') if theirs in _FILES else call}`", 1)
    return f"{option} of {tool} corresponds to {ours}"


def tools() -> tuple[str, ...]:
    """The tools that have a table."""
    return tuple(name for name in _table() if name != _KEYS)


@cache
def equivalents(tool: str) -> Mapping[str, str]:
    """The words of a tool, each with what is written here instead; names of ours are in
    backquotes."""
    own: dict[str, str] = dict(_table()[tool])
    if tool == "virt-customize":
        return own | manual.CUSTOMIZE
    if tool == "virt-sysprep":
        replaced = {name: registry.get(name).replaces for name in registry.names()}
        ours = {
            theirs: [f"`{name}`" for name, found in replaced.items() if theirs in found] for theirs in manual.SYSPREP
        }
        return {theirs: ", ".join(names) or manual.NOT_AN_OPERATION[theirs] for theirs, names in ours.items()} | own
    return own


def key(route: Route, value: Any, known: Sequence[str], missing: Sequence[str] = ()) -> Meant | None:
    """Which of the ``known`` keys of a mapping is meant by the unknown key at ``route``; those that
    the mapping is ``missing`` come first."""
    word = _plain(str(route[-1]))
    same = next((ours for ours in known if _plain(ours) == word), None)
    theirs: list[str] = next((ours for other, ours in _table()[_KEYS].items() if _plain(other) == word), [])
    if isinstance(value, str) and ("\n" in value or value.startswith("#!")):
        theirs = [*(one for one in theirs if one == "text"), *theirs]
    meant = same or next((one for names in (missing, known) for one in theirs if one in names), None)
    return None if meant is None else Meant(f"write {meant!r} instead", meant)


def example(name: str, params: type[BaseModel], value: Any = None) -> str:
    """A call of an operation or a check with the parameters that it needs; ``value`` is a list that
    was given instead of them."""
    fields = params.model_fields
    needed = [key for key, field in fields.items() if field.is_required()]
    needed += ["text"] if {"text", "file"} <= fields.keys() else []
    if len(needed) == 1 and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return f"{name}: {{{needed[0]}: [{', '.join(value)}]}}"
    return f"{name}: {{{', '.join(f'{key}: …' for key in needed)}}}" if needed else name


def _named(word: str) -> Iterator[tuple[str, str]]:
    """Every tool that has the word, and how the tool writes it."""
    for tool in tools():
        yield from ((tool, theirs) for theirs in equivalents(tool) if _plain(theirs) == _plain(word))


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


@cache
def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    return table
