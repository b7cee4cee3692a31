"""What is where: the versions of templates at each target, and what differs from their records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imagebuild.publish import names, signed
from imagebuild.publish.parallel import Attempt, Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.protocol import TemplateTarget
from imagebuild.publish.results import TargetResult, TargetStatus, absent
from imagebuild.publish.signed import Acceptance
from imagebuild.publish.state import Published, RecordError, TemplateState
from imagebuild.publish.transfer import read_back
from imagebuild.trust.signatures import NotTrusted

Drift = Literal["missing", "incomplete", "altered"]


@dataclass(frozen=True)
class DriftedFile:
    """A file that is not what its record says: missing, of another size (incomplete), or with another
    SHA-256 (altered by hand).
    """

    file: str
    drift: Drift


@dataclass(frozen=True)
class ListedVersion:
    """A version at a target: ``size`` in bytes is that of all its files, the rest as in the record.
    ``untrusted`` says why it is not what was signed, if the project names keys and files are read back.
    """

    version: str
    published: str
    size: int
    verdict: str
    current: bool
    previous: bool
    drift: tuple[DriftedFile, ...] = ()
    untrusted: str = ""


@dataclass(frozen=True)
class ListedTemplate:
    """A template at a target; ``problem`` says why its record cannot be used, ``hint`` what to do.
    ``highest`` is the newest version that was ever current, ``rolled_back`` when somebody went back.
    """

    template: str
    current: str = ""
    previous: str = ""
    versions: tuple[ListedVersion, ...] = ()
    problem: str = ""
    hint: str = ""
    highest: str = ""
    rolled_back: str = ""


@dataclass(frozen=True)
class Leftover:
    """A file with a published file's name that no record names; its size in bytes."""

    file: str
    size: int


@dataclass(frozen=True, kw_only=True)
class ListedTarget(TargetResult):
    """What is at one target; ``known`` has the names of all templates there."""

    templates: tuple[ListedTemplate, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether something there differs from its record."""
        return any(
            one.problem or any(version.drift or version.untrusted for version in one.versions) for one in self.templates
        )


def overview(
    work: Work,
    places: Sequence[TargetPlace],
    templates: Sequence[str],
    *,
    check: bool,
    accepted: Acceptance | None = None,
) -> list[ListedTarget]:
    """What is at each place of these templates, or of all. With ``check``, all files are read back, and
    each version must be what was signed if ``accepted`` says by whom.

    Takes no lock: what is being published in the meantime may appear among the leftovers.
    """

    def one(place: TargetPlace, attempt: Attempt) -> ListedTarget:
        attempt.enter("open", "connecting")
        with place.open() as target:
            return _Look(target, templates, attempt, check=check, accepted=accepted).go()

    return work.each(places, "read", ListedTarget, one)


class _Look:
    def __init__(
        self,
        target: TemplateTarget,
        templates: Sequence[str],
        attempt: Attempt,
        *,
        check: bool,
        accepted: Acceptance | None = None,
    ) -> None:
        self._target = target
        self._names = tuple(templates)
        self._attempt = attempt
        self._check = check
        self._accepted = accepted if check else None
        self._named: set[str] = set()

    def go(self) -> ListedTarget:
        self._attempt.enter("read", "reading the records")
        there = self._target.templates()
        self._stored = dict(self._target.stored())
        listed = tuple(self._template(name) for name in there)
        wanted = tuple(one for one in listed if one.template in self._names or not self._names)
        unknown = any(one.problem for one in listed)
        left = () if unknown else tuple(self._leftovers())
        status: TargetStatus = "absent" if self._names and not wanted and not left else "read"
        values = self._attempt.values(status) | {
            "phase": "",
            "message": absent(self._names) if status == "absent" else "",
        }
        return ListedTarget(**values, templates=wanted, leftovers=left, known=tuple(there))

    def _template(self, name: str) -> ListedTemplate:
        try:
            state = self._target.state(name)
        except RecordError as error:
            return ListedTemplate(name, problem=error.message, hint=error.hint or "")
        if state is None:  # removed since its name was read
            return ListedTemplate(name)
        self._named |= {file.name for one in state.versions for file in one.files}
        shown = not self._names or name in self._names
        versions = tuple(self._version(one, state) for one in state.versions) if shown else ()
        problem = hint = ""
        if self._accepted is not None and state.is_replayed:
            try:
                signed.refuse_replay(state, self._target.name)
            except NotTrusted as error:
                problem, hint = error.message, error.hint or ""
        return ListedTemplate(
            name, state.current, state.previous, versions, problem, hint, state.highest, state.rolled_back
        )

    def _version(self, one: Published, state: TemplateState) -> ListedVersion:
        return ListedVersion(
            version=one.version,
            published=one.published,
            size=sum(file.size for file in one.files),
            verdict=one.verdict,
            current=one.version == state.current,
            previous=one.version == state.previous,
            drift=tuple(self._drift(one)),
            untrusted=""
            if self._accepted is None
            else signed.problem(one, state.template, self._target.name, self._accepted),
        )

    def _drift(self, version: Published) -> list[DriftedFile]:
        found: list[DriftedFile] = []
        for file in version.files:
            size = self._stored.get(file.name)
            if size is None:
                found.append(DriftedFile(file.name, "missing"))
            elif self._check:
                digest = read_back(self._target, file, self._attempt)
                if digest != file.sha256:
                    found.append(DriftedFile(file.name, "altered" if digest else "missing"))
            elif size != file.size:
                found.append(DriftedFile(file.name, "incomplete"))
        return found

    def _leftovers(self) -> list[Leftover]:
        return [
            Leftover(file, size)
            for file, size in sorted(self._stored.items())
            if file not in self._named and (not self._names or any(names.is_of(file, name) for name in self._names))
        ]
