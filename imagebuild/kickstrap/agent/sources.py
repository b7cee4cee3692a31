"""Where packages come from, as a kickstart says it.

A Debian source is more than an address: it has a suite and components. Kickstart's ``url
--url=`` and ``repo --baseurl=`` take any text, so kickstrap reads there what stands after ``deb``
in sources.list(5), the one spelling that every Debian administrator knows:

    url --url="http://mirror.example/debian trixie main contrib"
    repo --name=updates --baseurl="http://mirror.example/debian trixie-updates main"

Without components it is ``main``. The address of a suite's folder is read too, as
``http://mirror.example/debian/dists/trixie``, which is main only.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9./+_-]*")


class AptSource(NamedTuple):
    """One line of sources.list without ``deb``."""

    mirror: str
    suite: str
    components: tuple[str, ...] = ("main",)

    def __str__(self) -> str:
        return " ".join(["deb", self.mirror, self.suite, *self.components])


def parse(text: str) -> AptSource:
    """Read ``MIRROR SUITE [COMPONENT…]`` or ``MIRROR/dists/SUITE``. ValueError if it is neither."""
    mirror, *words = text.split()
    if not words and "/dists/" in mirror:
        mirror, _, suite = mirror.partition("/dists/")
        words = [suite.strip("/")]
    if not words:
        raise ValueError(f"{text!r} does not say the suite")
    address = urlsplit(mirror)
    if address.scheme not in {"http", "https"} or not address.netloc:
        raise ValueError(f"{mirror!r} is not an http or https address")
    for word in words:
        if not _WORD.fullmatch(word):
            raise ValueError(f"{word!r} is no suite or component")
    return AptSource(mirror.rstrip("/"), words[0], tuple(words[1:]) or ("main",))
