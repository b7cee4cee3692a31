"""What identifies a machine to DHCP servers in dhclient.conf(5) and dhcpcd.conf(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|#[^\n]*|[{};]|[^\s{};"\'#]+|"|\'', re.DOTALL)
_OPTIONS = {"dhcp-client-identifier", "dhcp6.client-id", "dhcp6.client-identifier"}
_NAMES = {"host-name", "fqdn.fqdn", "dhcp6.fqdn"}
_BLOCKS = {"lease", "lease6"}
_DHCPCD = {"clientid", "duid", "iaid"}
_DUID_TYPES = {"ll", "llt", "lt", "uuid"}


@dataclass
class _Statement:
    """The range of a statement with its ``;`` or block, and its words up to there."""

    begin: int
    end: int
    words: tuple[str, ...]


def dhclient_without_identity(text: str, *, names: bool = False) -> str:
    """dhclient.conf without client identifiers, recorded leases and DUIDs; with ``names``, without
    hostnames instead.

    A computed identifier (``= hardware``) or name (``gethostname()``) is that of the running
    machine.
    """
    wanted = [one for one in _statements(text) if (_is_name(one.words) if names else _is_identity(one.words))]
    parts, at = [], 0
    for one in wanted:
        if one.begin < at:
            continue
        begin, end = _with_line(text, one.begin, one.end)
        parts.append(text[at:begin])
        at = end
    return "".join([*parts, text[at:]])


def _is_identity(words: tuple[str, ...]) -> bool:
    if words[0] in _BLOCKS or words[0] in ("default-duid", "hardware"):
        return True
    if words[0] in ("send", "append", "prepend", "supersede", "default", "option") and len(words) > 1:
        return words[1] in _OPTIONS and "hardware" not in words[2:]
    return False


def _is_name(words: tuple[str, ...]) -> bool:
    if len(words) < 3 or words[0] not in ("send", "supersede", "option") or words[1] not in _NAMES:
        return False
    return any(word.startswith(('"', "'")) for word in words[2:]) and "gethostname" not in "".join(words)


def _statements(text: str) -> list[_Statement]:
    """All statements, including those inside blocks."""
    found: list[_Statement] = []
    stack: list[_Statement] = []
    begin = -1
    words: list[str] = []
    for token in _TOKEN.finditer(text):
        if token[0].startswith("#"):
            continue
        if begin < 0:
            begin = token.start()
        if token[0] == "{":
            block = _Statement(begin, -1, tuple(words) or ("",))
            stack.append(block)
            found.append(block)
            begin, words = -1, []
        elif token[0] == "}":
            if stack:
                stack.pop().end = token.end()
            begin, words = -1, []
        elif token[0] == ";":
            if words:
                found.append(_Statement(begin, token.end(), tuple(words)))
            begin, words = -1, []
        else:
            words.append(token[0])
    return [one for one in found if one.end > 0]


def _with_line(text: str, begin: int, end: int) -> tuple[int, int]:
    """A range, extended to the whole line and the comment after it if there is nothing else on the
    line."""
    start = text.rfind("\n", 0, begin) + 1
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end + 1
    if not text[start:begin].strip() and re.fullmatch(r"[ \t\r]*(#[^\n]*)?\n?", text[end:line_end]):
        return start, line_end
    return begin, end


def dhcpcd_without_identity(text: str) -> str:
    """dhcpcd.conf with the client identifiers, DUIDs and IAIDs that dhcpcd generates on the machine
    itself."""
    return "".join(_dhcpcd(line) for line in re.findall(r"[^\n]*\n|[^\n]+", text))


def _dhcpcd(line: str) -> str:
    words = line.split("#")[0].split()
    if len(words) == 2 and words[0] in ("ia_na", "ia_ta") and "/" not in words[1]:
        return f"{words[0]}\n"
    if not words or words[0] not in _DHCPCD or len(words) == 1:
        return line
    if words[0] == "iaid":
        return ""
    return line if words[0] == "duid" and words[1] in _DUID_TYPES else f"{words[0]}\n"


def dhcpcd_without_hostname(text: str) -> str:
    """dhcpcd.conf that sends the current hostname rather than one in the file."""
    return "".join(
        "hostname\n" if len(words := line.split("#")[0].split()) > 1 and words[0] == "hostname" else line
        for line in re.findall(r"[^\n]*\n|[^\n]+", text)
    )
