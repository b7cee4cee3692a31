"""``%packages --excludedocs`` and ``--inst-langs``: files of packages that dpkg does not unpack. Pure."""

from __future__ import annotations

import re
from typing import Any

_DOCS = (
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-include=/usr/share/doc/*/copyright",
)
"""Debian's policy demands the copyright files, and bills of materials take licences from them."""
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(_[A-Z]{2})?(@[a-z]+)?")


def patterns(packages: Any) -> tuple[str, ...]:
    """Options of dpkg(1) for pykickstart's ``packages``; they apply while the root archive is made."""
    found = _DOCS if packages.excludeDocs else ()
    if packages.instLangs is None:
        return found
    return (*found, "path-exclude=/usr/share/locale/*", *_kept(packages.instLangs))


def _kept(languages: str) -> tuple[str, ...]:
    """The translations that stay: ``en_US`` keeps ``en`` too."""
    named = [name.strip().partition(".")[0] for name in re.split(r"[,:]", languages)]
    wanted = [name for name in named if _LANGUAGE.fullmatch(name)]
    names = dict.fromkeys(one for name in wanted for one in (name, name.partition("_")[0]))
    files = "path-include=/usr/share/locale/locale.alias"
    return (files, *(f"path-include=/usr/share/locale/{name}/*" for name in names))
