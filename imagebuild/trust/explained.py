"""What a check has shown, and what it has not, in plain lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imagebuild.printable import counted
from imagebuild.trust.bundle import VerifiedBundle
from imagebuild.trust.checking import Checked
from imagebuild.trust.keys import short

_SHOWN = 6
_NO_TIME = "when it was signed: a signature has no time that can be trusted"
NOT_SHOWN = (
    "that the builder was not tampered with: the provenance says what the holder of the key says",
    "that no newer version exists (--newer-than and --remember notice older ones)",
)
"""What no check of this kind can show."""


def lines(found: Checked) -> Iterator[tuple[str, str]]:
    """Pairs of a heading, empty where the one before goes on, and a text."""
    yield "result", f"{found.recipe} {found.version} is what was signed"
    for one in found.signed:
        yield "signed by", f"{one.name} (key ID {short(one.keyid)})"
    bundle = None if found.said is None else found.said.bundle
    if bundle is not None:
        yield "signed by", f"{bundle.identity.identity}, for which {bundle.identity.issuer} vouches"
        yield "signed at", _when(bundle)
    if found.said is not None and found.said.problem:
        yield "not accepted", found.said.problem
    for sums in found.sums:
        yield sums.file, f"not accepted: {sums.problem}" if sums.problem else f"signed by {sums.key}"
    yield "read", f"{counted(len(found.files), 'file')}, all with the signed digests: {_some(found.files)}"
    if (statement := found.statement) is not None:
        tool = f" with imagebuild {statement.tool}" if statement.tool else ""
        yield "built", f"{statement.finished or 'at an unknown time'} by {statement.builder}{tool}"
        for number, used in enumerate(statement.dependencies):
            parts = (used.name, used.digest, used.uri, used.note)
            yield "" if number else "from", ", ".join(part for part in parts if part)
    if found.absent:
        yield "not read", f"signed, but not here: {_some(found.absent)}"
    if found.uncovered:
        yield "not signed", f"in the folder, but not signed: {_some(found.uncovered)}"
    unknown = (_NO_TIME, *NOT_SHOWN) if bundle is None else NOT_SHOWN
    for number, text in enumerate(unknown):
        yield "" if number else "not shown", text


def _when(bundle: VerifiedBundle) -> str:
    if bundle.time is not None:
        return f"{bundle.time.isoformat()}, says a log that the trusted root names"
    # the library has checked that a timestamp authority says so
    return f"between {bundle.began.isoformat()} and {bundle.ended.isoformat()}, while the certificate was valid"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
