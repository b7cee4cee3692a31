"""The options of virt-customize and virt-sysprep: from a command line, a shell script, or a list for
--commands-from-file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from imagebuild.migration import shell_commands
from imagebuild.migration.shell_commands import Word

TOOLS = ("virt-customize", "virt-sysprep")
SHORT = {
    "a": "add", "c": "connect", "d": "domain", "m": "memsize", "n": "dry-run", "q": "quiet", "v": "verbose",
    "V": "version", "x": "trace",
}  # fmt: skip
FLAGS = frozenset((
    "color", "colors", "colour", "colours", "debug-gc", "dry-run", "dryrun", "dump-pod", "dump-pod-options",
    "echo-keys", "help", "keys-from-stdin", "list-operations", "network", "no-logfile", "no-network",
    "no-selinux-relabel", "quiet", "selinux-relabel", "sm-register", "sm-remove", "sm-unregister", "trace",
    "update", "verbose", "version", "wrap",
))  # fmt: skip
"""The options without a value, as virt-customize --help and virt-sysprep --help list them."""
VALUES = frozenset((
    "add", "append-line", "attach", "attach-format", "chmod", "chown", "commands-from-file", "connect", "copy",
    "copy-in", "delete", "domain", "edit", "enable", "firstboot", "firstboot-command", "firstboot-install",
    "format", "hostname", "inject-blnsvr", "inject-qemu-ga", "inject-virtio-win", "install", "keep-user-accounts",
    "key", "link", "memsize", "mkdir", "mount-options", "move", "operation", "operations", "password",
    "password-crypto", "remove-user-accounts", "root-password", "run", "run-command", "script", "scriptdir",
    "scrub", "sm-attach", "sm-credentials", "smp", "ssh-inject", "tar-in", "timezone", "touch", "truncate",
    "truncate-recursive", "uninstall", "upload", "write",
))  # fmt: skip
"""The options with a value, those of later versions than 1.48 included."""


@dataclass(frozen=True)
class GivenOption:
    """An option: its long name, and its value, which is empty for a flag. ``open`` is a part of the
    value that the shell would have replaced. ``known`` is False for what is no option."""

    name: str
    value: str = ""
    open: str = ""
    known: bool = True


@dataclass(frozen=True)
class GivenCommand:
    """One run of a tool with its options, and the line of a file where it begins; 0 without a file."""

    tool: str
    options: tuple[GivenOption, ...]
    line: int = 0


def of_arguments(arguments: Sequence[str], tool: str = "virt-customize") -> GivenCommand:
    """A command line; the name of a tool may be its first word."""
    if arguments and arguments[0].rpartition("/")[2] in TOOLS:
        tool, arguments = arguments[0].rpartition("/")[2], arguments[1:]
    return GivenCommand(tool, tuple(_options([Word(one) for one in arguments])))


def of_text(text: str, file: str) -> list[GivenCommand]:
    """The commands of a file: a shell script, or a list for --commands-from-file. Raises UsageError
    for a script that cannot be split into words."""
    if shell_commands.is_script(text):
        found = shell_commands.commands(text, file)
        return [GivenCommand(one.tool, tuple(_options(one.words)), one.line) for one in found]
    return [GivenCommand("virt-customize", tuple(_listed(text)))]


def _listed(text: str) -> Iterator[GivenOption]:
    """The options of a list: one on each line, without dashes; a backslash continues a line."""
    lines: list[str] = []
    continued = False
    for line in text.splitlines():
        lines = [*lines[:-1], lines[-1] + line.strip()] if continued else [*lines, line.strip()]
        continued = line.endswith("\\") and not lines[-1].startswith("#")
        lines[-1] = lines[-1].removesuffix("\\") if continued else lines[-1]
    for line in lines:
        if line and not line.startswith("#"):
            name, _, value = line.partition(" ")
            option = _named(name.lstrip("-"))
            yield GivenOption(option or name, "" if option in FLAGS else value.strip(), known=option is not None)


def _options(words: Iterable[Word]) -> Iterator[GivenOption]:
    left = iter(words)
    for word in left:
        dashed, equals, value = word.text.partition("=")
        name = _named(dashed.lstrip("-")) if dashed.startswith("-") else None
        if name is None:
            yield GivenOption(word.text, open=word.open, known=False)
        elif name in FLAGS:
            yield GivenOption(name)
        elif equals:
            yield GivenOption(name, value, word.open)
        else:
            given = next(left, Word(""))
            yield GivenOption(name, given.text, given.open)


def _named(name: str) -> str | None:
    """The long name of an option, which may be a letter or the beginning of its name."""
    options = FLAGS | VALUES
    if name in SHORT or name in options:
        return SHORT.get(name, name)
    near = [one for one in options if name and one.startswith(name)]
    return near[0] if len(near) == 1 else None
