"""Parses package sources in a kickstart.

A Debian source is more than an address: it has a suite and components. Kickstart's ``url --url=``
and ``repo --baseurl=`` accept any text, so kickstrap expects there what follows ``deb`` in
sources.list(5), the spelling that every Debian administrator knows:

    url --url="http://mirror.example/debian trixie main contrib"
    repo --name=updates --baseurl="http://mirror.example/debian trixie-updates main"

Without components it is ``main``. The address of a suite's folder is also accepted, as
``http://mirror.example/debian/dists/trixie``, which means only main.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9./+_-]*")


class AptSource(NamedTuple):
    """A line of sources.list without ``deb``."""

    mirror: str
    suite: str
    components: tuple[str, ...] = ("main",)

    def __str__(self) -> str:
        return " ".join(["deb", self.mirror, self.suite, *self.components])


def is_debian(text: str | None) -> bool:
    """Whether ``text`` may be a package source of Debian; the address of RPM packages has no suite."""
    return bool(text) and (len(str(text).split()) > 1 or "/dists/" in str(text))


def parse(text: str) -> AptSource:
    """Parse ``MIRROR SUITE [COMPONENT…]`` or ``MIRROR/dists/SUITE``. Raises ValueError if it is
    neither.
    """
    mirror, *words = text.split()
    if not words and "/dists/" in mirror:
        mirror, _, suite = mirror.partition("/dists/")
        words = [suite.strip("/")]
    if not words:
        raise ValueError(f"{text!r} has no suite")
    address = urlsplit(mirror)
    if address.scheme not in {"http", "https"} or not address.netloc:
        raise ValueError(f"{mirror!r} is not an http or https address")
    for word in words:
        if not _WORD.fullmatch(word):
            raise ValueError(f"{word!r} is not a suite or component")
    return AptSource(mirror.rstrip("/"), words[0], tuple(words[1:]) or ("main",))
