"""Searching for texts in all files of a guest together: two programs of the appliance do it, rather
than one call for each file."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imagebuild.errors import GuestError

LARGEST = 4 << 20
"""The size in bytes up to which a file is searched: no configuration file is larger."""
MOST = 512 << 10
"""The size limit of each result list in bytes; three of them in base64 fit into one libguestfs
message."""
_PIECE = 64 << 10
"""The size of one command in bytes; the kernel accepts 128 KiB per argument."""
_END = "."
_TEXTS = "/run/imagebuild-search"  # in the appliance


@dataclass(frozen=True)
class SearchResult:
    """What a search found: files by a line in them, anything by its name, and all links with their
    targets.

    ``complete`` is false if there was more than ``MOST`` bytes of one of them, or something could
    not be inspected.
    """

    contents: tuple[str, ...]
    names: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    complete: bool = True


def search(
    guestfs: Any, folders: Sequence[str], texts: Sequence[bytes], name: str, skip: Sequence[str]
) -> SearchResult:
    """Search real folders of the mounted guest and all their contents, except ``skip`` (shell
    patterns of paths). Links are not followed.

    ``texts`` and ``name`` are extended regular expressions without classes such as ``[[:alpha:]]``,
    so that Python interprets them in the same way. A line of the file must match one of ``texts``;
    the last part of a path must match ``name`` as a whole, which must not match a slash. Both
    ignore case.
    """
    if not folders:
        return SearchResult((), (), ())
    # Copied into the appliance in parts: a text may contain any byte, and the length of an argument is limited.
    encoded = base64.b64encode(b"".join(text + b"\n" for text in texts)).decode()
    parts = [encoded[at : at + _PIECE] for at in range(0, len(encoded), _PIECE)]
    for at, part in enumerate(parts):
        guestfs.debug("sh", [f"printf %s {part} {'>>' if at else '>'} {_TEXTS}.base64"])
    try:
        answer = str(guestfs.debug("sh", [_script(folders, name, skip)]))
    finally:
        guestfs.debug("sh", [f"rm -f {_TEXTS}.*"])
    lines = answer.split("\n")
    if len(lines) != 5 or lines[-1] != _END:
        raise GuestError("the libguestfs appliance did not answer a search of the guest's files")
    contents, names, links, errors = (base64.b64decode(line) for line in lines[:4])
    return SearchResult(
        tuple(_paths(contents)),
        tuple(_paths(names)),
        tuple(_pairs(links)),
        complete=not errors and max(map(len, (contents, names, links))) < MOST,
    )


def _script(folders: Sequence[str], name: str, skip: Sequence[str]) -> str:
    places = " ".join(shlex.quote(f"/sysroot{folder}") for folder in folders)
    left_out = " -o ".join(f"-path {shlex.quote(f'/sysroot{pattern}')}" for pattern in skip) or "-false"
    named = shlex.quote(f".*/({name})")
    lists = [f"{_TEXTS}.{end}" for end in ("contents", "names", "links", "errors")]
    contents, names, links, errors = lists
    find = (
        f"find -P {places} -regextype posix-extended \\( {left_out} \\) -prune -o "
        f"\\( -iregex {named} -fprint0 {names} -o -true \\) "
        f"\\( -type l -fprintf {links} '%p\\0%l\\0' -o -type f -size -{LARGEST // 1024 + 1}k -print0 \\) 2>{errors} "
    )
    return "; ".join([
        "export LC_ALL=C",
        f"base64 -d {_TEXTS}.base64 >{_TEXTS}.texts",
        f": >{contents}",
        f"{find}| xargs -0 -r grep -lZaiE -f {_TEXTS}.texts -- >{contents} 2>>{errors}",
        f"for list in {' '.join(lists)}; do head -c {MOST} $list | base64 -w0; echo; done",
        f"echo {_END}",
    ])  # fmt: skip


def _paths(answer: bytes) -> Iterator[str]:
    for part in answer.split(b"\0")[:-1]:
        yield part.decode("utf-8", "surrogateescape").removeprefix("/sysroot")


def _pairs(answer: bytes) -> Iterator[tuple[str, str]]:
    parts = [part.decode("utf-8", "surrogateescape") for part in answer.split(b"\0")[:-1]]
    for path, target in zip(parts[::2], parts[1::2], strict=False):
        yield path.removeprefix("/sysroot"), target
