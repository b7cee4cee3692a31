"""Decides whether packages are out of date: they age while the recipe does not change.

By default age is ignored, and a build from the store needs no network. On request, packages are
fetched again if the mirror has newer ones, or if the stored ones are older than a limit. Then the
root archive or installation that contains them gets a new fingerprint, and so does everything that
is built from it. The store records the current state, so that later builds without such a request
use it.

A state is a text. What is compared by digest is written as words, ``place=digest``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imagebuild import fingerprint
from imagebuild.host.looked_at import note_place
from imagebuild.step import Archive, Dated, Offers, Step
from imagebuild.store.store import Store

_STATE = "packages as of"
"""The name of the input that records the state from which packages were taken."""
_DIGITS = 16


@dataclass(frozen=True)
class Freshness:
    """``if_changed`` queries the mirror; ``max_age`` is in seconds. With neither, stored packages
    are used.
    """

    store: Store
    if_changed: bool = False
    max_age: int | None = None

    def payload(self, archive: Archive, inputs: Mapping[str, str]) -> Dated:
        """The inputs of a root archive, whose packages are known, with the current state or a new
        one.
        """
        state = self.store.state(fingerprint.of(inputs))
        now = _with(inputs, state)
        folder = self.store.find("payload", fingerprint.of(now))
        if folder is None:
            return Dated(_with(inputs, self._to_come(state, archive.offers)))
        why, new = self._too_old(archive.file(folder))
        if not why and self.if_changed and (newer := archive.newer(folder)):
            first = next(iter(newer))
            some = f"{len(newer)} newer packages" if len(newer) > 1 else f"a newer {first}"
            why, new = f"the mirror has {some}", fingerprint.of(newer)
        return Dated(_with(inputs, new), why) if why else Dated(now)

    def installation(self, offers: Offers, inputs: Mapping[str, str]) -> Dated:
        """Like ``payload``, for an installation whose packages the VM fetches: only their sources
        are known.
        """
        state = self.store.state(fingerprint.of(inputs))
        now = _with(inputs, state)
        folder = self.store.find("installed", fingerprint.of(now))
        if folder is None:
            return Dated(_with(inputs, self._to_come(state, offers)))
        why, new = self._too_old(folder)
        # a rebuild needs the network anyway: record what is offered now, for the next comparison
        seen = _words(offers) if why or self.if_changed else {}
        if not why and (moved := [place for place, word in seen.items() if word not in state.split()]):
            known = any(word.startswith(f"{place}=") for place in moved for word in state.split())
            why = f"{', '.join(moved)}: {'packages have changed' if known else 'earlier packages were not recorded'}"
        words = " ".join([*seen.values(), *([new] if new else [])])
        return Dated(_with(inputs, words), why) if why else Dated(now)

    def refused(self, step: Step) -> bool:
        """Whether the result of ``step`` could not be added to an installed disk."""
        return bool(self.store.state(_refusal(step)))

    def _to_come(self, state: str, offers: Offers) -> str:
        """The state for a result that is not in the store, so that its age is not known.

        A finished image may exist all the same, so the offered packages must be part of the state;
        the current state is kept if it agrees with them.
        """
        words = list(_words(offers).values()) if self.if_changed else []
        if self.max_age is not None:
            words.append(f"period={int(datetime.now(UTC).timestamp()) // max(self.max_age, 1)}")
        return state if set(words) <= set(state.split()) else " ".join(words)

    def _too_old(self, made: Path) -> tuple[str, str]:
        """Why ``made`` is too old, and the state for its replacement; both empty if it is not.

        Two builds that check at the same time get the same state.
        """
        note_place(made)
        taken = datetime.fromtimestamp(made.stat().st_mtime, UTC)
        age = datetime.now(UTC) - taken
        if self.max_age is None or age <= timedelta(seconds=self.max_age):
            return "", ""
        return f"its packages are {_days(age)} old", f"after={taken:%Y-%m-%dT%H:%M:%S}"


class OwnDisk(Freshness):
    """No recipe shares an installed disk with others."""

    def refused(self, step: Step) -> bool:
        """Nothing is added to an installed disk."""
        return True


def refuse(store: Store, step: Step, why: str) -> None:
    """Record that the result of ``step`` cannot be added to an installed disk: the next plans have none of it."""
    store.set_state(_refusal(step), why)


def _refusal(step: Step) -> str:
    return fingerprint.of({"cannot be added": step.fingerprint})


def in_force(store: Store, inputs: Mapping[str, str]) -> None:
    """Record that the result made with these inputs is the current one, for builds that do not
    check for updates.
    """
    plain = {name: value for name, value in inputs.items() if name != _STATE}
    store.set_state(fingerprint.of(plain), inputs.get(_STATE, ""))


def states(steps: Iterable[Step]) -> dict[str, str]:
    """The states of packages in a plan, by the names under which a store keeps them: with these, another
    store makes the same plan.
    """
    found = {}
    for step in steps:
        plain = {name: value for name, value in step.inputs.items() if name != _STATE}
        found[fingerprint.of(plain)] = step.inputs.get(_STATE, "")
    return found


def _with(inputs: Mapping[str, str], state: str) -> dict[str, str]:
    return {**inputs, _STATE: state} if state else dict(inputs)


def _words(offers: Offers) -> dict[str, str]:
    """The words of a state for what is offered now, by place."""
    return {place: f"{place}={digest[:_DIGITS]}" for place, digest in offers().items()}


def _days(age: timedelta) -> str:
    return f"{age.days} days" if age.days > 1 else f"{age // timedelta(hours=1)} h"
