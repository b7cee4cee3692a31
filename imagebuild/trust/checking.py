"""Checks an artifact against its signed provenance: who signed, and whether every byte is what was signed.

The folder may be anybody's. Files are opened by their names in it, without following links, and with
limits; nothing that a statement says is used before its signature is valid, and no path in it ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from imagebuild.errors import ImageBuildError
from imagebuild.printable import one_line
from imagebuild.project.trust import Trust
from imagebuild.store import beside, version_order
from imagebuild.store.artifact import (
    BUNDLE,
    CHECKSUMS,
    GPG_SIGNATURE,
    MANIFEST,
    PROVENANCE,
    SSH_SIGNATURE,
    UNLISTED,
    Artifact,
)
from imagebuild.trust import envelope as envelopes
from imagebuild.trust import sums, sums_signature
from imagebuild.trust.keys import Policy, VerificationKey, policy
from imagebuild.trust.signatures import SIGN_IT, NotTrusted, SignedFiles, SignedStatement, signed_statement
from imagebuild.trust.statement import Statement

_AGAIN = (
    "if the change is yours, sign it again with `imagebuild attest`;"
    " else get the artifact again from where it was built"
)


@dataclass(frozen=True)
class SumsChecked:
    """A signature of SHA256SUMS: its file, the key's name, and why it does not count (empty if it does)."""

    file: str
    key: str
    problem: str = ""


@dataclass(frozen=True)
class Checked:
    """What was checked. ``said`` is the provenance with its signers, None if only SHA256SUMS was signed.
    ``files`` were read and have the signed digests, ``absent`` are signed and not there, ``uncovered``
    are there and not signed. ``digests`` is name → SHA-256 of what was signed.
    """

    recipe: str
    version: str
    said: SignedStatement | None
    sums: tuple[SumsChecked, ...]
    digests: Mapping[str, str]
    files: tuple[str, ...]
    absent: tuple[str, ...]
    uncovered: tuple[str, ...]

    @property
    def statement(self) -> Statement | None:
        """What was signed about the artifact; None if only SHA256SUMS was signed."""
        return None if self.said is None else self.said.statement

    @property
    def signed(self) -> tuple[VerificationKey, ...]:
        """The keys that signed the provenance."""
        return () if self.said is None else self.said.keys


@dataclass(frozen=True)
class CheckOptions:
    """How to check. ``today`` is the day for which keys are judged; ``read`` has the digests of files that
    the caller has just read; ``image`` is a copy of an image elsewhere; ``newer_than`` is a version that
    the artifact must not be older than.
    """

    today: date | None = None
    read: Mapping[str, str] | None = None
    image: Path | None = None
    newer_than: str = ""


_DEFAULT = CheckOptions()


def check(artifact: Artifact, trust: Trust, folder: Path, options: CheckOptions = _DEFAULT) -> Checked:
    """Check an artifact against the keys of a project; ``folder`` is that of the project's file.

    Every file that is there is read. Raises NotTrusted with one sentence, UsageError for keys that cannot
    be used.
    """
    return checked(artifact, policy(trust, folder), options)


def checked(artifact: Artifact, accepted: Policy, options: CheckOptions = _DEFAULT) -> Checked:
    """The same with keys that are loaded."""
    return _Check(artifact, accepted, options).done()


class _Check:
    def __init__(self, artifact: Artifact, accepted: Policy, options: CheckOptions) -> None:
        self._artifact = artifact
        self._folder = artifact.folder
        self._policy = accepted
        self._options = options
        self._today = options.today or datetime.now(UTC).date()
        self._what = f"{artifact.recipe} {artifact.version}"

    def done(self) -> Checked:
        """See :func:`check`."""
        said: SignedStatement | None = None
        signed = SignedFiles()
        if self._policy.checks_provenance:
            signed = SignedFiles(*(self._found(name, envelopes.LARGEST) or b"" for name in (PROVENANCE, BUNDLE)))
            said = signed_statement(signed, self._policy, self._what, self._today)
        statement = None if said is None else said.statement
        listed_text = self._content(CHECKSUMS, sums.LARGEST, "its files are not listed")
        try:
            listed = sums.parsed(listed_text)
        except ValueError as error:
            raise self._refused(f"{CHECKSUMS} cannot be used: {error}") from error
        if statement is not None:
            self._check_identity(statement)
        self._check_age()
        digests = listed if statement is None else statement.subjects
        self._check_names(digests)
        files, absent = self._read(digests)
        if statement is not None:
            self._compare(statement.subjects, listed)
        signatures = tuple(self._sums(listed_text))
        self._require_sums(signatures, provenance=statement is not None)
        uncovered = sorted(
            path.name for path in self._folder.iterdir() if path.name not in digests and path.name not in UNLISTED
        )
        return Checked(
            self._artifact.recipe, self._artifact.version, said, signatures, digests, files, absent,
            tuple(uncovered),
        )  # fmt: skip

    def _refused(self, why: str, hint: str | None = None) -> NotTrusted:
        return NotTrusted(one_line(f"{self._what} cannot be trusted: {why}"), hint)

    def _found(self, name: str, limit: int) -> bytes | None:
        try:
            return beside.content_of(self._folder / name, limit)
        except ValueError as error:
            raise self._refused(f"{name} cannot be used: {error}") from error

    def _content(self, name: str, limit: int, missing: str) -> bytes:
        content = self._found(name, limit)
        if content is None:
            raise self._refused(f"{missing}: there is no {name}", SIGN_IT)
        return content

    def _check_identity(self, statement: Statement) -> None:
        """Refuse the provenance of another image, and an artifact in the folder of another version."""
        if (statement.recipe, statement.version) != (self._artifact.recipe, self._artifact.version):
            raise self._refused(
                f"its provenance belongs to {statement.recipe} {statement.version}", "get the artifact's own again"
            )

    def _check_age(self) -> None:
        name, version = self._folder.name, self._artifact.version
        if version_order.key(name) is not None and name != version:
            raise self._refused(f"it is in the folder of version {name}, and is another version")
        least = self._options.newer_than
        if least and version_order.is_older(version, least):
            raise self._refused(
                f"it is older than {least}, which was seen before",
                "an old version may have been put in the place of a new one",
            )
        if least and version != least and version_order.key(version) is None:
            raise self._refused(f"its version cannot be compared with {least}")

    def _check_names(self, digests: Mapping[str, str]) -> None:
        """Refuse a statement that leaves out what an artifact consists of."""
        manifest = self._content(MANIFEST, beside.LARGEST_MANIFEST, "it is incomplete")
        if MANIFEST not in digests:
            raise self._refused(f"{MANIFEST} is not among the signed files", _AGAIN)
        if self._digest(MANIFEST) != digests[MANIFEST]:
            raise self._refused(f"{MANIFEST} was changed after it was signed", _AGAIN)
        try:
            data = json.loads(manifest)
            images = [data["image"], *data.get("extra_images", []), *data.get("other_formats", [])]
            needed = {str(one["file"]): str(one["sha256"]) for one in images}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._refused(f"{MANIFEST} is damaged") from error
        for name, sha256 in needed.items():
            if digests.get(name) != sha256:
                why = "is not among the signed files" if name not in digests else f"has another digest in {MANIFEST}"
                raise self._refused(f"the image {name} {why}", _AGAIN)
        domain = f"{self._artifact.recipe}.xml"
        if domain not in digests and (self._folder / domain).exists():
            raise self._refused(f"{domain} is not among the signed files", _AGAIN)
        self._images = frozenset(needed)

    def _digest(self, name: str) -> str | None:
        known = self._options.read or {}
        if name in known:
            return known[name]
        try:
            return sums.digest(self._folder / name)
        except OSError as error:
            raise self._refused(f"{name} cannot be read: {error.strerror or error}") from error

    def _read(self, digests: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The signed files that are there, which have the signed digests, and the others; small ones first."""
        files, absent = [], []
        elsewhere = self._elsewhere(digests)
        for name in sorted(digests, key=lambda one: (one in self._images, one)):
            found = digests[name] if name == elsewhere else self._digest(name)
            if found is None:
                absent.append(name)
            elif found != digests[name]:
                what = f"the image {name}" if name in self._images else name
                raise self._refused(f"{what} was changed after it was signed", _AGAIN)
            else:
                files.append(name)
        missing = [name for name in absent if name == f"{self._artifact.recipe}.xml" or name in self._images]
        if missing and elsewhere is None:
            raise self._refused(f"{missing[0]} is missing", "get the artifact again from where it was built")
        return tuple(files), tuple(absent)

    def _elsewhere(self, digests: Mapping[str, str]) -> str | None:
        """The name of the image whose copy the user named; it is read in place of the artifact's."""
        path = self._options.image
        if path is None:
            return None
        try:
            found = sums.digest(path.resolve())
        except OSError as error:
            raise self._refused(f"{path} cannot be read: {error.strerror or error}") from error
        if found is None:
            raise self._refused(f"there is no file {path}")
        names = [name for name in self._images if digests[name] == found]
        if not names:
            raise self._refused(f"{path} is not one of its signed images: it was changed, or is of another version")
        return names[0]

    def _compare(self, subjects: Mapping[str, str], listed: Mapping[str, str]) -> None:
        """Refuse a statement that does not name exactly what SHA256SUMS lists."""
        if more := sorted(set(listed) - set(subjects)):
            raise self._refused(f"{CHECKSUMS} lists {more[0]}, which is not among the signed files", _AGAIN)
        if fewer := sorted(set(subjects) - set(listed)):
            raise self._refused(f"{fewer[0]} is among the signed files, and {CHECKSUMS} does not list it", _AGAIN)
        if other := [name for name in sorted(listed) if listed[name] != subjects[name]]:
            raise self._refused(f"{CHECKSUMS} has another digest for {other[0]} than was signed", _AGAIN)

    def _sums(self, content: bytes) -> Iterable[SumsChecked]:
        """The signatures of SHA256SUMS that are there."""
        for name, signer in ((GPG_SIGNATURE, sums_signature.gpg_signer), (SSH_SIGNATURE, sums_signature.ssh_signer)):
            try:
                signature = beside.content_of(self._folder / name, 1 << 20)
            except ValueError as error:
                yield SumsChecked(name, "", f"it cannot be used: {error}")
                continue
            if signature is None:
                continue
            try:
                key = signer(content, signature, self._policy.keys)
            except ImageBuildError as error:
                yield SumsChecked(name, "", error.message)
                continue
            yield SumsChecked(name, key.name, key.refusal(self._today))

    def _require_sums(self, found: Sequence[SumsChecked], *, provenance: bool) -> None:
        """Refuse an artifact whose SHA256SUMS must be signed and is not."""
        files = {"gpg": (GPG_SIGNATURE,), "ssh": (SSH_SIGNATURE,)}
        needed: tuple[str, ...] = files.get(self._policy.sums, ())
        if not provenance and not needed:
            needed = (GPG_SIGNATURE, SSH_SIGNATURE)
        if not needed or any(one.file in needed and not one.problem for one in found):
            return
        why = next((f"{one.file}: {one.problem}" for one in found if one.file in needed), f"there is no {needed[0]}")
        raise self._refused(f"{CHECKSUMS} is not signed with an accepted key: {why}")
