"""Writes what pykickstart does where a guess may be wrong, by running pykickstart itself.

    python -m scripts.pykickstart_table >tests/kickstart/data/pykickstart.json

The table has, for some versions of the syntax:

- ``options``: each option of the commands that count once, when the command is given again without
  it: ``kept`` or ``reset``. ``ignored``: the option changes nothing. ``deprecated`` and what becomes
  of it: ``deprecated, kept``. ``unwritten``: pykickstart's own output lacks the option or is refused.
- ``packages``: the same for the options of %packages in two sections.
- ``sources``: of two sources of packages, the one that pykickstart reports, in both orders.
- ``repeated``: a command that may be repeated, twice with the same words: a warning or silence.
- ``includes``: whether a section is changed by a line ``%include FILE`` in it.
- ``after an include``: the commands for which it matters that an included file gives them first.
- ``written``: what pykickstart writes for a single command beside it, or that it refuses its output.

tests/kickstart/test_pykickstart_table.py compares a sample with the installed version.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pykickstart.errors import KickstartDeprecationWarning, KickstartError
from pykickstart.parser import KickstartParser

from imagebuild.kickstart.handler import handler_class

SYNTAXES = ("RHEL7", "RHEL9", "RHEL10", "F43")
_URL = "https://mirror.example/os"
BASES: Mapping[str, str] = {
    "auth": "--enableshadow",
    "authconfig": "--enableshadow",
    "authselect": "select minimal",
    "bootc": f"--source-imgref={_URL}",
    "eula": "--agreed",
    "harddrive": "--partition=sda1 --dir=/d",
    "ignoredisk": "--only-use=sda",
    "iscsiname": "iqn.2020-01.example:a",
    "key": "--skip",
    "keyboard": "us",
    "lang": "en_US",
    "liveimg": f"--url={_URL}",
    "logging": "--host=a",
    "nfs": "--server=a --dir=/b",
    "ostreecontainer": f"--url={_URL}",
    "ostreesetup": f"--osname=a --url={_URL} --ref=b",
    "realm": "join a.example",
    "rhsm": "--organization=1 --activation-key=k",
    "rootpw": "word",
    "services": "--enabled=a",
    "syspurpose": "--role=a",
    "timezone": "UTC",
    "updates": _URL,
    "url": f"--url={_URL}",
}
"""The words that a command needs."""
LISTS: Mapping[str, str] = {
    "btrfs": "/a --label=l btrfs.1",
    "group": "--name=a",
    "iscsi": "--ipaddr=192.0.2.1 --target=t",
    "logvol": "/a --vgname=v --name=a --size=1",
    "mount": "/dev/sda1 /a",
    "network": "--device=eth0 --bootproto=dhcp",
    "part": "/a --size=1",
    "raid": "/a --device=md0 --level=1 raid.1 raid.2",
    "repo": f"--name=a --baseurl={_URL}",
    "snapshot": "v/a --name=s --when=post-install",
    "sshkey": "--username=a key",
    "sshpw": "--username=a word",
    "user": "--name=a",
    "volgroup": "v pv.1",
}
"""Commands that may be repeated, and the words that they need."""
_VALUES = ("x", "10", "a", _URL, "/dev/sda1", "eth0", "sda", "btrfs", "pbkdf2", "luks2", "yes", "a:b")
_SOURCES = ("cdrom", "harddrive", "nfs", "url", "liveimg", "hmc")
_FAMILIES = (
    ("auth", "authconfig"),
    ("halt", "poweroff", "reboot", "shutdown"),
    ("cmdline", "graphical", "text"),
    ("part", "partition"),
)
_OWN = {"op", "currentCmd", "currentLine", "handler", "lineno", "seen", "writePriority"}
"""Attributes of a command that say nothing about the kickstart."""


class Parsed(NamedTuple):
    """A handler after it has read a text, and its warnings."""

    handler: Any
    deprecated: bool
    warned: bool


def read(version: str, text: str, names: Iterator[str] | tuple[str, ...]) -> Parsed | None:
    """``text`` as pykickstart reads it, with only these commands; None if it refuses it."""
    whole = handler_class(version)
    handler = whole(mapping={name: whole.commandMap[name] for name in names if name in whole.commandMap})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            KickstartParser(handler).readKickstartFromString(text)
        except (KickstartError, ValueError, TypeError, AttributeError, LookupError, AssertionError):
            return None
    old = any(issubclass(one.category, KickstartDeprecationWarning) for one in caught)
    return Parsed(handler, old, bool(caught))


def _family(name: str) -> tuple[str, ...]:
    """The names under which pykickstart may write a command."""
    return next((names for names in _FAMILIES if name in names), (name,))


def state(handler: Any, name: str) -> dict[str, str]:
    """The attributes of a command, or of %packages, as text."""
    command = handler.packages if name == "%packages" else handler.commands[name]
    return {key: repr(value) for key, value in sorted(vars(command).items()) if key not in _OWN}


def options(version: str, name: str) -> dict[str, str]:
    """What becomes of each option of a command when the command is given again without it."""
    command = handler_class(version).commandMap[name]()
    actions = getattr(getattr(command, "op", None), "_actions", [])
    found = {action.option_strings[0]: _option(version, name, action) for action in actions if action.option_strings}
    return {option: became for option, became in found.items() if became}


def _option(version: str, name: str, action: Any) -> str | None:
    base = f"{name} {BASES.get(name, '')}".rstrip() + "\n"
    option = action.option_strings[0]
    values = action.choices or _VALUES
    words = [option] if action.nargs == 0 else [f"{option}={value}" for value in values]
    plain = read(version, base, (name,))
    if plain is None:
        return None
    before = state(plain.handler, name)
    ignored = None
    for word in words:
        line = base.rstrip("\n") + f" {word}\n"
        once = read(version, line, (name,))
        if once is None:
            continue
        given = state(once.handler, name)
        if given == before:
            ignored = "ignored"
            continue
        twice = read(version, line + base, (name,))
        return _became(version, name, plain, once, before, given, twice)
    return ignored


def _became(
    version: str,
    name: str,
    plain: Parsed,
    once: Parsed,
    before: dict[str, str],
    given: dict[str, str],
    twice: Parsed | None,
) -> str:
    after = state(twice.handler, name) if twice else {}
    changed = {key for key in {*given, *before} if given.get(key) != before.get(key)}
    kept = {key for key in changed if after.get(key) == given.get(key)}
    became = "refused" if twice is None else "kept" if kept == changed else "mixed" if kept else "reset"
    words = [became]
    if once.deprecated and not plain.deprecated:
        words.insert(0, "deprecated")
    again = read(version, str(once.handler), _family(name))
    if again is None or state(again.handler, name) != given:
        words.append("unwritten")
    return ", ".join(words)


def packages(version: str) -> dict[str, str]:
    """What becomes of the options of %packages when another %packages follows without them."""
    found = {}
    for option in _packages_options(version):
        for word in (option, f"{option}=10", f"{option}=a"):
            once = read(version, f"%packages {word}\nx\n%end\n", ())
            plain = read(version, "%packages\nx\n%end\n", ())
            if once is None or plain is None or state(once.handler, "%packages") == state(plain.handler, "%packages"):
                continue
            twice = read(version, f"%packages {word}\nx\n%end\n%packages\n%end\n", ())
            before, given = state(plain.handler, "%packages"), state(once.handler, "%packages")
            changed = {key for key in given if given[key] != before[key]}
            after = state(twice.handler, "%packages") if twice else {}
            kept = all(after.get(key) == given[key] for key in changed)
            found[option] = ("deprecated, " if once.deprecated else "") + ("kept" if kept else "reset")
            break
    return found


def _packages_options(version: str) -> list[str]:
    parser = KickstartParser(handler_class(version)(mapping={"text": handler_class(version).commandMap["text"]}))
    section = parser.getSection("%packages")
    return sorted(section._getParser()._option_string_actions)  # noqa: SLF001 - nothing public lists them


def sources(version: str) -> dict[str, str]:
    """Of two install sources, the one that pykickstart reports as the method."""
    known = handler_class(version).commandMap
    names = [name for name in _SOURCES if name in known]
    whole = [*names, "method"]
    found = {}
    for first in names:
        for second in names:
            text = "".join(f"{name} {BASES.get(name, '')}\n" for name in (first, second))
            done = read(version, text, tuple(whole)) if first != second else None
            if done is not None:
                found[f"{first}, {second}"] = str(done.handler.commands["method"].method) if "method" in known else "?"
    return found


def repeated(version: str) -> dict[str, str]:
    """Whether the same line twice is a warning."""
    found = {}
    for name, words in LISTS.items():
        if name in handler_class(version).commandMap:
            done = read(version, f"{name} {words}\n" * 2, (name,))
            found[name] = "refused" if done is None else "warning" if done.warned else "silent"
    return found


def includes(version: str) -> dict[str, str]:
    """Whether a line ``%include FILE`` in a section is replaced by the file while it is read."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part"
        file.write_text("included\n")
        for name in ("%pre", "%post", "%packages", "%addon x"):
            done = read(version, f"{name}\n%include {file}\n%end\n", ())
            found[name.split()[0]] = "refused" if done is None else _included(done.handler)
    return found


def after_include(version: str) -> list[str]:
    """The commands for which a line in an included file has another effect than the same line in
    its place.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part"
        for name in once_only(version):
            line = f"{name} {BASES.get(name, '')}".rstrip() + "\n"
            file.write_text(line)
            there = read(version, f"%include {file}\n{line}", (name,))
            here = read(version, line * 2, (name,))
            if there and here and state(there.handler, name) != state(here.handler, name):
                found.append(name)
    return found


def _included(handler: Any) -> str:
    texts = [one.script for one in handler.scripts] + list(handler.packages.packageList) + handler._null_section_strings  # noqa: SLF001
    return "replaced" if any("included" in text and "%include" not in text for text in texts) else "left"


def written(version: str) -> dict[str, str]:
    """What pykickstart writes beside a command that is given alone, or that its output is refused."""
    found = {}
    for name in sorted(handler_class(version).commandMap):
        line = f"{name} {BASES.get(name) or LISTS.get(name) or ''}".strip()
        done = read(version, line + "\n", (name,))
        if done is None:
            continue
        if read(version, str(done.handler), _family(name)) is None:
            found[name] = "refused"
    bare = read(version, "", ("bootloader",))
    if bare is not None and "bootloader" in str(bare.handler):
        found["nothing"] = next(line for line in str(bare.handler).splitlines() if line.startswith("bootloader"))
    return found


def once_only(version: str) -> list[str]:
    """The commands of which only one counts."""
    handler = handler_class(version)()
    return sorted(name for name, command in handler.commands.items() if command.dataList() is None and name != "method")


def table() -> dict[str, Any]:
    """The whole table, with the version of pykickstart."""
    made: dict[str, Any] = {"pykickstart": importlib.metadata.version("pykickstart")}
    for version in SYNTAXES:
        every = {name: options(version, name) for name in once_only(version)}
        made[version] = {
            "options": {name: found for name, found in every.items() if found},
            "packages": packages(version),
            "sources": sources(version),
            "repeated": repeated(version),
            "includes": includes(version),
            "after an include": after_include(version),
            "written": written(version),
        }
    return made


def main() -> None:
    """Print the table as JSON."""
    json.dump(table(), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
