"""Removes old versions of templates, and files that no record names.

Always kept: the newest versions, the current one, the previous one (unless only one is to be kept),
and every version that something still uses. The record loses a version before its files go, so that
no record ever names a file that is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imagebuild.publish import names
from imagebuild.publish import state as records
from imagebuild.publish.parallel import Attempt, Work
from imagebuild.publish.places import TargetPlace
from imagebuild.publish.protocol import TemplateTarget
from imagebuild.publish.results import TargetResult, TargetStatus, absent
from imagebuild.publish.state import Published, StoredFile, TemplateState
from imagebuild.publish.transfer import switch


@dataclass(frozen=True)
class PrunedFiles:
    """Files that are removed, or would be: of a version, or leftovers (``version`` is then empty)."""

    template: str
    version: str
    files: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Kept:
    """A version that is kept though it is not among the newest, and why."""

    template: str
    version: str
    why: str


@dataclass(frozen=True, kw_only=True)
class PruneResult(TargetResult):
    """What was removed at one target, or would be (``planned``). Sizes are in bytes; ``known`` has the
    names of all templates there.
    """

    removed: tuple[PrunedFiles, ...] = ()
    kept: tuple[Kept, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def freed(self) -> int:
        """The bytes of all that was removed."""
        return sum(one.size for one in self.removed)


@dataclass(frozen=True)
class _Choice:
    """What is to become of the versions of a template."""

    old: tuple[Published, ...]
    kept: tuple[Kept, ...]


def choice(state: TemplateState, keep: int, used: Mapping[str, str]) -> _Choice:
    """Which versions are removed if the newest ``keep`` stay. ``used`` names files and their users.
    Pure.
    """
    old: list[Published] = []
    kept: list[Kept] = []
    for version in state.versions[:-keep]:
        user = next((used[one.name] for one in version.files if one.name in used), None)
        if version.version == state.current:
            why = "current"
        elif version.version == state.previous and keep > 1:
            why = "previous"
        elif user is not None:
            why = f"used by {user}"
        else:
            old.append(version)
            continue
        kept.append(Kept(state.template, version.version, why))
    return _Choice(tuple(old), tuple(kept))


def prune(
    work: Work, places: Sequence[TargetPlace], templates: Sequence[str], keep: int, *, dry_run: bool
) -> list[PruneResult]:
    """Prune these templates, or all, at each place. A dry run takes no lock and changes nothing."""

    def one(place: TargetPlace, attempt: Attempt) -> PruneResult:
        attempt.enter("open", "connecting")
        with place.open() as target:
            if dry_run:
                return _Pruning(target, templates, keep, attempt).plan()
            attempt.enter("lock", "waiting for the lock")
            with target.lock():
                return _Pruning(target, templates, keep, attempt).go()

    return work.each(places, "prune", PruneResult, one)


class _Pruning:
    def __init__(self, target: TemplateTarget, templates: Sequence[str], keep: int, attempt: Attempt) -> None:
        self._target = target
        self._keep = keep
        self._attempt = attempt
        attempt.enter("read", "reading the records")
        there = target.templates()
        self._states = {name: target.state(name) for name in there}
        self._wanted = [name for name in there if not templates or name in templates]
        self._names = tuple(templates)
        self._stored = target.stored()
        self.removed: list[PrunedFiles] = []
        self.kept: list[Kept] = []

    def plan(self) -> PruneResult:
        """What would be removed."""
        for state in self._selected():
            self._choose(state)
        for name, files in self._leftovers().items():
            self.removed.append(self._removal(name, "", self._unused(name, files)))
        return self._result("planned")

    def go(self) -> PruneResult:
        """Remove it."""
        for state in self._selected():
            before = len(self.removed)
            self._choose(state)
            if len(self.removed) > before:
                self._drop(state, self.removed[before:])
        for name, files in self._leftovers().items():
            unused = self._unused(name, files)
            self._remove(unused)
            self.removed.append(self._removal(name, "", unused))
        return self._result("pruned" if any(one.files for one in self.removed) else "unchanged")

    def _selected(self) -> list[TemplateState]:
        found = [self._states[name] for name in self._wanted]
        return [state for state in found if state is not None]

    def _choose(self, state: TemplateState) -> None:
        chosen = choice(state, self._keep, self._target.used(state))
        self.kept += chosen.kept
        for one in chosen.old:
            self.removed.append(self._removal(state.template, one.version, [file.name for file in one.files]))

    def _drop(self, state: TemplateState, removals: Sequence[PrunedFiles]) -> None:
        """Remove versions from the record, and then their files.

        Who began to use a file in the meantime keeps it: it is a leftover then.
        """
        after = state
        for one in removals:
            after = after.without(one.version)
        switch(self._target, after, self._attempt)
        self._states[state.template] = after
        spared = {*self._target.used(state), *self._named()}
        for at, one in enumerate(removals, start=len(self.removed) - len(removals)):
            files = [file for file in one.files if file not in spared]
            self._remove(files)
            self.removed[at] = self._removal(one.template, one.version, files)

    def _remove(self, files: Sequence[str]) -> None:
        for file in files:
            self._attempt.enter("remove", f"removing {file}")
            self._target.remove(file)

    def _named(self) -> set[str]:
        """All files that records name."""
        return {file.name for state in self._states.values() if state for one in state.versions for file in one.files}

    def _leftovers(self) -> dict[str, list[str]]:
        """Files that no record names, by the disk that their name says."""
        going = {file for one in self.removed for file in one.files}
        found: dict[str, list[str]] = {}
        for file in sorted(set(self._stored) - self._named() - going):
            known = names.parsed(file)
            if known is not None and (not self._names or any(names.is_of(file, name) for name in self._names)):
                found.setdefault(known.disk, []).append(file)
        return found

    def _unused(self, disk: str, files: Sequence[str]) -> list[str]:
        """Those of the files that nothing uses."""
        used = self._target.used(_as_state(disk, files, self._stored))
        for file in files:
            if file in used:
                self.kept.append(Kept(disk, "", f"{file} is used by {used[file]}"))
        return [file for file in files if file not in used]

    def _removal(self, template: str, version: str, files: Sequence[str]) -> PrunedFiles:
        return PrunedFiles(template, version, tuple(files), sum(self._stored.get(file, 0) for file in files))

    def _result(self, status: TargetStatus) -> PruneResult:
        missing = bool(self._names) and not self._wanted and not self.removed and not self.kept
        status = "absent" if missing else status
        removed = tuple(one for one in self.removed if one.files)
        values = self._attempt.values(status) | {"phase": "", "message": absent(self._names) if missing else ""}
        return PruneResult(**values, removed=removed, kept=tuple(self.kept), known=tuple(self._states))


def _as_state(disk: str, files: Sequence[str], sizes: Mapping[str, int]) -> TemplateState:
    """A record that names files of which only the name is known, to ask a target what uses them."""
    known = [(name, names.parsed(name)) for name in files]
    stored = tuple(StoredFile(name, sizes.get(name, 0), one.digest.ljust(64, "0")) for name, one in known if one)
    return records.first(disk, Published("leftovers", stored))
