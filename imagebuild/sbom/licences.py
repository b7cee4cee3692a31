"""Licences as guests name them, as SPDX licence expressions.

Debian's names are those of the machine-readable copyright format ("Machine-readable debian/copyright
file", 7.2: short names, ``or``, ``and`` and the comma; trailing zeros of a version do not count).
rpm's are SPDX's or, in older packages, Fedora's own ("Callaway") names; apk's are SPDX's. Expressions:
SPDX specification 2.3, annex D. A name that SPDX does not know becomes a LicenseRef.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache

_SYNONYMS = {
    "expat": "MIT", "mit/x11": "MIT", "apache": "", "artistic": "Artistic-1.0", "psf-2": "PSF-2.0",
    "zlib/libpng": "Zlib",
    "cc0": "CC0-1.0", "boost": "BSL-1.0", "bsl-1": "BSL-1.0", "openldap-2.8": "OLDAP-2.8", "python-2.0": "Python-2.0",
    "asl 2.0": "Apache-2.0", "asl 1.1": "Apache-1.1", "boost software": "BSL-1.0", "mplv1.1": "MPL-1.1",
    "mplv2.0": "MPL-2.0", "public domain": "LicenseRef-public-domain", "public-domain": "LicenseRef-public-domain",
    "bsd with advertising": "BSD-4-Clause", "ofl": "OFL-1.1", "cc-by": "", "unicode": "", "sleepycat": "Sleepycat",
    "artistic 2.0": "Artistic-2.0", "vim": "Vim", "gpl+": "GPL-1.0-or-later", "lgplv2": "LGPL-2.0-only",
    "lgplv2+": "LGPL-2.0-or-later", "gfdl": "", "opl-1": "", "opl-1.0": "",
}  # fmt: skip
"""Names that mean the same; an empty one says that SPDX has no such licence, whatever it looks like."""
_EXCEPTIONS = {
    "bison": "Bison-exception-2.2", "bison-2.2": "Bison-exception-2.2",
    "classpath": "Classpath-exception-2.0", "font": "Font-exception-2.0", "gcc": "GCC-exception-3.1",
    "gcc-runtime": "GCC-exception-3.1", "gcc runtime library": "GCC-exception-3.1", "libtool": "Libtool-exception",
    "linux-syscall-note": "Linux-syscall-note", "openjdk-assembly": "OpenJDK-assembly-exception-1.0",
    "texinfo": "Texinfo-exception",
}  # fmt: skip
_FAMILY = re.compile(r"(a?gpl|lgpl|gfdl(?:-niv)?)[-v]?([123](?:\.[0-3])?)(?:\.0)*(\+|-or-later|-only)?", re.IGNORECASE)
_VERSIONED = re.compile(r"(.+?-[0-9]+(?:\.[0-9]+)*?)(?:\.0)*")
"""Not with a plus for later versions: SPDX allows it, but spdx-tools does not read it."""
_TOKEN = re.compile(r"[()]|,|[^\s(),]+")
_IN_ID = re.compile(r"[^A-Za-z0-9.-]+")
_LONGEST_REFERENCE = 60
_DEEPEST = 12
_REFERENCE = "LicenseRef-"


class _UnreadableError(ValueError):
    """A text is no expression."""


def expression(names: Iterable[str]) -> str:
    """All of a package's licences in one expression; empty without names."""
    found = sorted({_converted(name) for name in names if name.strip()})
    if len(found) < 2:
        return "".join(found)
    return " AND ".join(f"({one})" if " OR " in one else one for one in found)


def references(text: str) -> list[str]:
    """The LicenseRefs in an expression."""
    return re.findall(rf"{_REFERENCE}[A-Za-z0-9.-]+", text)


@cache
def reference(name: str) -> str:
    """The LicenseRef of a name: two names never share one."""
    plain = _IN_ID.sub("-", name).strip("-")[:_LONGEST_REFERENCE] or "unnamed"
    if plain != name:
        plain = f"{plain}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
    _NAMES[_REFERENCE + plain] = name
    return _REFERENCE + plain


_NAMES = {"LicenseRef-public-domain": "public-domain"}


def name_of(found: str) -> str:
    """The name that a LicenseRef stands for."""
    return _NAMES.get(found, found.removeprefix(_REFERENCE))


@cache
def _converted(text: str) -> str:
    whole = _known(text)
    if whole:
        return whole
    try:
        return _LicenceParser(_TOKEN.findall(text)).whole()
    except _UnreadableError:
        return reference(text)


class _LicenceParser:
    """Reads names that are connected by and, or and commas; ``or`` binds less than ``and``, and a
    comma less than both."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> str:
        found = self._list()
        if self._at < len(self._tokens) or not found:
            raise _UnreadableError
        return found

    def _next(self) -> str:
        return self._tokens[self._at].lower() if self._at < len(self._tokens) else ""

    def _take(self, *words: str) -> bool:
        if self._next() in words:
            self._at += 1
            return True
        return False

    def _list(self) -> str:
        found = self._any()
        while self._take(","):
            connection = "OR" if self._take("or", "|") else "AND"
            self._take("and", "&")
            following = self._any()
            if connection == "AND":
                found, following = _grouped(found), _grouped(following)
            found = f"{found} {connection} {following}"
        return found

    def _any(self) -> str:
        found = [self._all()]
        while self._take("or", "|"):
            found.append(self._all())
        return " OR ".join(dict.fromkeys(found))

    def _all(self) -> str:
        found = [self._one()]
        while self._take("and", "&"):
            found.append(self._one())
        unique = list(dict.fromkeys(found))
        return " AND ".join(map(_grouped, unique)) if len(unique) > 1 else unique[0]

    def _one(self) -> str:
        if self._take("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise _UnreadableError
            found = self._list()
            if not self._take(")"):
                raise _UnreadableError
            self._depth -= 1
            return found
        words: list[str] = []
        while self._next() not in ("", "(", ")", ",", "and", "or", "&", "|"):
            words.append(self._tokens[self._at])
            self._at += 1
        if not words:
            raise _UnreadableError
        return _named(words)


def _grouped(text: str) -> str:
    return f"({text})" if " OR " in text else text


def _named(words: list[str]) -> str:
    """A licence, with its exception if it has one."""
    name = " ".join(words)
    if found := _known(name):
        return found
    lower = [word.lower() for word in words]
    if "with" in lower[1:]:
        at = lower.index("with", 1)
        licence, exception = _known(" ".join(words[:at])), _exception(" ".join(words[at + 1 :]))
        if licence and exception and not licence.startswith(_REFERENCE):
            return f"{licence} WITH {exception}"
    several = [_known(word) for word in words]
    return " AND ".join(dict.fromkeys(several)) if len(words) > 1 and all(several) else reference(name)


def _exception(text: str) -> str:
    plain = re.sub(r"[\s-]+exceptions?$", "", text.lower())
    if plain in _EXCEPTIONS:
        return _EXCEPTIONS[plain]
    return next((one for one in _EXCEPTIONS.values() if one.lower() == text.lower()), "")


@cache
def _known(name: str) -> str:
    """The SPDX id of one licence; empty if there is none."""
    from cyclonedx.spdx import fixup_id  # loading its list takes its time

    lower = name.lower()
    if lower in _SYNONYMS:
        return _SYNONYMS[lower]
    if lower.startswith(_REFERENCE.lower()):
        return reference(name[len(_REFERENCE) :])
    if match := _FAMILY.fullmatch(name):
        kind, version = match[1].upper(), match[2] if "." in match[2] else f"{match[2]}.0"
        kind, middle = ("GFDL", "-no-invariants") if kind == "GFDL-NIV" else (kind, "")
        later = "-or-later" if match[3] in ("+", "-or-later") else "-only"
        return fixup_id(f"{kind}-{version}{middle}{later}") or ""
    if found := fixup_id(name):
        return found
    match = _VERSIONED.fullmatch(name)
    return (fixup_id(match[1]) or fixup_id(f"{match[1]}.0") or "") if match else ""
