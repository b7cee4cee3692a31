"""Finds the digest of a file in a distribution's checksum file. Pure."""

from __future__ import annotations

import difflib
import re

from imagebuild.fetch import Digest

_BSD = re.compile(r"(?P<algorithm>SHA(?:256|384|512)) \((?P<name>[^()]+)\) = (?P<digest>[0-9A-Fa-f]+)")
_GNU = re.compile(r"(?P<digest>[0-9A-Fa-f]{64}|[0-9A-Fa-f]{96}|[0-9A-Fa-f]{128}) [ *](?:\./)?(?P<name>\S.*)")
_BY_LENGTH = {64: "sha256", 96: "sha384", 128: "sha512"}


def find(text: str, name: str) -> Digest:
    """The digest of the file ``name``, from lines in the format of ``sha256sum`` or
    ``sha256sum --tag``.

    Raises ValueError with a sentence if it is not listed, or is listed with two digests.
    """
    listed: dict[str, set[Digest]] = {}
    for line in text.splitlines():
        found = _BSD.fullmatch(line.strip()) or _GNU.fullmatch(line.strip())
        if found:
            digest = found["digest"].lower()
            algorithm = found.groupdict().get("algorithm", _BY_LENGTH.get(len(digest), "")).lower()
            try:
                listed.setdefault(found["name"], set()).add(Digest(algorithm, digest))
            except ValueError as error:
                raise ValueError(f"its line for {found['name']} has a digest of the wrong length") from error
    if name not in listed:
        near = difflib.get_close_matches(name, listed, n=1)
        raise ValueError(f"it does not list {name}" + (f"; it lists {near[0]}" if near else ""))
    strongest = max(len(digest.value) for digest in listed[name])
    first, *others = [digest for digest in listed[name] if len(digest.value) == strongest]
    if others:
        raise ValueError(f"it lists {name} twice, with different digests")
    return first
