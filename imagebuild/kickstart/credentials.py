"""Recognises passwords: hashes, addresses with a user and a password, and commands in scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_HASH = re.compile(
    r"\$[0-9a-z]+[-\w]*\$.+"  # crypt(5): $6$salt$digest, $y$j9T$salt$digest
    r"|_[./0-9A-Za-z]{19}"  # BSDi
    r"|[./0-9A-Za-z]{13}"  # DES
    r"|[!*].*"  # locked
    r"|x|grub\.pbkdf2\..+"
    r"|[$@%{<].*"  # a variable, or the markup of a template
)
_PLACEHOLDER = re.compile(r"password-(?:hash|[0-9a-f]{64})|passphrase-(?:sample|[0-9a-f]{64})")
_IN_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s:]*:(?P<secret>[^/@\s]+)@", re.IGNORECASE)
_IN_PROXY = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?[^/@\s:]+:(?P<secret>[^/@\s]+)@", re.IGNORECASE)
_LITERAL = r"(?P<secret>'[^'$]+'|\"[^\"$`]+\"|[^\s'\"$`;|&<>()-][^\s'\"$`;|&<>()]*)"
"""A word of a shell script without a variable in it."""
_SAYS = r"\b(?:echo|printf)\b"
_TO = r"[^|]*\|\s*(?:sudo\s+)?\S*"
_WITHIN = r"\b[^;|&]*?"
_SCRIPTS: tuple[tuple[str, str], ...] = (
    (rf"{_SAYS}[^|]*?[\s'\"](?:[\w.-]+|\$\{{?\w+\}}?):(?P<secret>[^\s'\"$|:]+){_TO}chpasswd\b", "chpasswd"),
    (r"\bchpasswd\b[^|;]*<<<\s*['\"]?[\w.-]+:(?P<secret>[^\s'\"$]+)", "chpasswd"),
    (rf"{_SAYS}(?:\s+-\S+)*\s+{_LITERAL}{_TO}passwd\b[^|;]*--stdin", "passwd"),
    (rf"\bpasswd\b[^|;]*--stdin[^|;]*<<<\s*{_LITERAL}", "passwd"),
    (rf"{_SAYS}(?:\s+-\S+)*\s+{_LITERAL}{_TO}cryptsetup\b", "cryptsetup"),
    (rf"\b(?:useradd|usermod|adduser){_WITHIN}\s(?:-p|--password)[\s=]\s*{_LITERAL}", "useradd or usermod"),
    (rf"\bopenssl\s+passwd(?:\s+-(?:[156]|crypt|apr1|salt\s+\S+))*\s+{_LITERAL}", "openssl passwd"),
    (
        rf"\b(?:subscription-manager|rhnreg_ks){_WITHIN}--(?:password|activationkey)[\s=]\s*{_LITERAL}",
        "the registration",
    ),
    (
        rf"\b(?:mysqladmin|ipa-client-install|smbclient){_WITHIN}(?:--password|\s-w)[\s=]\s*{_LITERAL}",
        "another command",
    ),
)
_PROGRAMS = tuple((re.compile(pattern), program) for pattern, program in _SCRIPTS)
_CHPASSWD_HERE = re.compile(
    r"\bchpasswd\b[^|;]*<<-?\s*['\"]?(\w+)|<<-?\s*['\"]?(\w+)['\"]?\s*\|\s*\S*chpasswd\b",
)
_NAME_AND_SECRET = re.compile(r"\s*[\w.-]+:(?P<secret>[^\s:$]+)\s*$")
_HINT = "lock the account and use SSH keys, or set a hash"
_WORDS = ("passwd", "password", "useradd", "usermod", "adduser", "cryptsetup", "activationkey", "://", "ipa-client")


def is_placeholder(password: str) -> bool:
    """Whether it is what a recipe's kickstart has in place of a hash while it is planned and linted
    (``imagebuild.recipe.secrets``).
    """
    return _PLACEHOLDER.fullmatch(password) is not None


def is_hash(password: str) -> bool:
    """Whether a password is a hash that crypt(5) or GRUB knows, or a locked one, or a variable of a
    template.
    """
    return _HASH.fullmatch(password) is not None


def in_address(text: str, *, proxy: bool = False) -> bool:
    """Whether an address has a user and a password; that of a ``proxy`` may have no scheme."""
    match = (_IN_PROXY if proxy else _IN_ADDRESS).search(text)
    return match is not None and not match["secret"].startswith(("$", "{", "%{", "<"))


def in_script(body: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """The lines of a script that contain a password: line, message, hint. ``body`` has the lines
    with their numbers.
    """
    here: str | None = None
    for number, line in body:
        if here is not None:
            if line.strip() == here:
                here = None
                continue
            match = _NAME_AND_SECRET.match(line)
            if match and not is_hash(match["secret"]):
                yield number, "the script gives chpasswd a password in plain text", _HINT
            continue
        if not any(word in line for word in _WORDS) or line.lstrip().startswith("#"):
            continue
        opened = _CHPASSWD_HERE.search(line)
        here = (opened[1] or opened[2]) if opened else None
        program = _program(line)
        if program:
            yield number, f"the script gives {program} a password in plain text", _HINT
        elif in_address(line):
            yield number, "the script has an address with a password in plain text", "remove it from the address"


def _program(line: str) -> str | None:
    for pattern, program in _PROGRAMS:
        match = pattern.search(line)
        if match and not is_hash(match["secret"].strip("'\"")):
            return program
    return None
