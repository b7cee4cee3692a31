"""Generates hundreds of kickstarts in the style of an installer's test suite, valid ones and broken
ones.

They are generated from pykickstart's tables of commands and options, for all versions, with a fixed
seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from pykickstart.version import versionMap

from imagebuild.kickstart.handler import handler_class

VERSIONS = tuple(sorted(versionMap))
_WORDS = (
    "/", "/home", "swap", "vg", "pv.01", "raid.01", "root", "us", "en_US.UTF-8", "Europe/Paris", "--", "-", "@core",
    "'a b'", '"x y"',
    "@KSTEST_URL@", "@KSTEST_OSINFO_NAME@", "http://mirror.example/os", "https://mirror.example/os", "100", "-1",
    "none", "sda", "a,b",
    "1.2.3.4", "eth0:dhcp", "é", "\\", "$(id)", "%end", "#c", "a=b", "''",
)  # fmt: skip
_SECTIONS = (
    "%packages",
    "%pre",
    "%post --nochroot",
    "%post --erroronfail",
    "%pre-install",
    "%onerror",
    "%traceback",
    "%addon x",
    "%anaconda",
    "%certificate",
    "%ksapend",
    "%",
)
_BODY = (
    "vim",
    "-nano",
    "@core --nodefaults",
    "@^server",
    "echo hi # x",
    "",
    "set -e",
    "%include /tmp/x",
    "cat <<EOF",
    "'",
    "-a*",
    "%x",
)


_GOOD = (
    "lang en_US.UTF-8", "keyboard us", "timezone --utc Europe/Paris", "rootpw --iscrypted $6$salt$hash", "zerombr",
    "clearpart --all",
    "part / --size=1024 --grow", "part swap --recommended", "part pv.01 --size=1", "volgroup vg pv.01",
    "network --bootproto=dhcp",
    "url --url=http://mirror.example/os", "repo --name=x --baseurl=https://mirror.example/x", "firewall --disabled",
    "reboot",
    "logvol /home --vgname=vg --name=home --size=1", "selinux --permissive",
    "bootloader --location=mbr --append='a=b c'",
    "user --name=a --password=b", "services --enabled=sshd", "text", "skipx", "firstboot --disable", "poweroff",
    "%include /tmp/x",
    "%packages\n@core\nvim\n-nano\n%end", "%post --nochroot\necho hi\n%end", "%pre\ntrue\n%end", "%addon x\ny\n%end",
    "# a comment",
)  # fmt: skip


def kickstarts(seed: int, number: int) -> Iterator[tuple[str, str, bytes]]:
    """The names, syntax versions and contents of ``number`` files."""
    chance = random.Random(seed)
    for index in range(number):
        version = VERSIONS[index % len(VERSIONS)]
        text = "\n".join(_lines(chance, version))
        spoiled = chance.choice(_SPOILERS)(chance, text)
        yield f"{index:04}.ks", version, spoiled


def _lines(chance: random.Random, version: str) -> Iterator[str]:
    if chance.random() < 0.5:
        yield from chance.sample(_GOOD, chance.randrange(1, 12))
        return
    commands = sorted(handler_class(version).commandMap.items())
    for _ in range(chance.randrange(1, 14)):
        yield _command(chance, *chance.choice(commands))
    for _ in range(chance.randrange(4)):
        yield chance.choice(_SECTIONS)
        yield from (chance.choice(_BODY) for _ in range(chance.randrange(6)))
        if chance.random() < 0.9:
            yield "%end"
    yield from ("%include /etc/passwd", "%ksappend ../x.ks", f"#version={version}")[: chance.randrange(4)]


def _command(chance: random.Random, name: str, command: type[Any]) -> str:
    """A command with some of the options that pykickstart knows for it, and plausible values."""
    parser = getattr(_one(command), "op", None)
    options = [action for action in getattr(parser, "_actions", []) if action.option_strings]
    words = [name]
    for action in chance.sample(options, min(len(options), chance.randrange(5))):
        option = chance.choice(action.option_strings)
        if action.nargs == 0:
            words.append(option)
        else:
            words.append(f"{option}{chance.choice('= ')}{chance.choice(_WORDS)}")
    words += chance.choices(_WORDS, k=chance.randrange(3))
    return " ".join(words)


_made: dict[type[Any], Any] = {}


def _one(command: type[Any]) -> Any:
    if command not in _made:
        _made[command] = command()
    return _made[command]


def _as_it_is(_: random.Random, text: str) -> bytes:
    return text.encode()


def _truncated(chance: random.Random, text: str) -> bytes:
    return text.encode()[: chance.randrange(len(text) + 1)]


def _with_garbage(chance: random.Random, text: str) -> bytes:
    at = chance.randrange(len(text) + 1)
    return text[:at].encode() + chance.randbytes(chance.randrange(1, 40)) + text[at:].encode()


def _with_crlf(_: random.Random, text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def _with_nul(chance: random.Random, text: str) -> bytes:
    return _at_a_word(chance, text, "\0").encode()


def _with_a_long_line(chance: random.Random, text: str) -> bytes:
    return _at_a_word(chance, text, "x" * 100_000).encode()


def _with_a_quote(chance: random.Random, text: str) -> bytes:
    return _at_a_word(chance, text, chance.choice("'\"\\")).encode()


def _over_and_over(chance: random.Random, text: str) -> bytes:
    return (f"{text}\n" * chance.choice([2, 30, 400])).encode()


def _in_another_encoding(_: random.Random, text: str) -> bytes:
    return text.encode("utf-16")


def _at_a_word(chance: random.Random, text: str, what: str) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + what + text[at:]


_SPOILERS: tuple[Callable[[random.Random, str], bytes], ...] = (
    *[_as_it_is] * 6, _truncated, _with_garbage, _with_crlf, _with_nul, _with_a_long_line, _with_a_quote,
    _over_and_over,
    _in_another_encoding,
)  # fmt: skip
