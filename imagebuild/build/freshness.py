"""What the world changed: packages grow old while nothing in the recipe changes.

By default it does not count: a build from the store needs no network. Who asks gets new packages where the mirror has newer ones, or where those that
are there were taken too long ago. Then what they are in, a root archive or an installation, has another fingerprint, and so has everything that is made
of it; the store keeps which state of the world is in force, so that builds that do not ask go on from there.

A state is a text. For what is compared by digests it consists of words, ``place=digest``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imagebuild import fingerprint
from imagebuild.step import Archive, Dated, Offers
from imagebuild.store.store import Store

_STATE = "packages as of"
"""The input that tells which state of the world packages were taken from."""
_DIGITS = 16


@dataclass(frozen=True)
class Freshness:
    """``if_changed`` looks at the mirror; ``max_age`` is in seconds. With neither, what is there is taken."""

    store: Store
    if_changed: bool = False
    max_age: int | None = None

    def payload(self, archive: Archive, inputs: Mapping[str, str]) -> Dated:
        """The inputs of a root archive, with the state of the world that is in force, or a new one. Which packages are in it is known."""
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
        """As ``payload``, for an installation whose packages the VM fetches: of these, only where they came from is known."""
        state = self.store.state(fingerprint.of(inputs))
        now = _with(inputs, state)
        folder = self.store.find("installed", fingerprint.of(now))
        if folder is None:
            return Dated(_with(inputs, self._to_come(state, offers)))
        why, new = self._too_old(folder)
        # what is made anew needs the network: what it is made of is recorded then, for whoever asks next
        seen = _words(offers) if why or self.if_changed else {}
        if not why and (moved := [place for place, word in seen.items() if word not in state.split()]):
            known = any(word.startswith(f"{place}=") for place in moved for word in state.split())
            why = f"{', '.join(moved)}: {'other packages there' if known else 'what was there is not recorded'}"
        words = " ".join([*seen.values(), *([new] if new else [])])
        return Dated(_with(inputs, words), why) if why else Dated(now)

    def _to_come(self, state: str, offers: Offers) -> str:
        """The state that something is made of which the store does not have: nothing tells how old it would be.

        A finished image may be there all the same, so what is seen must count; the state in force stays if it says the same.
        """
        words = list(_words(offers).values()) if self.if_changed else []
        if self.max_age is not None:
            words.append(f"period={int(datetime.now(UTC).timestamp()) // max(self.max_age, 1)}")
        return state if set(words) <= set(state.split()) else " ".join(words)

    def _too_old(self, made: Path) -> tuple[str, str]:
        """Why what was ``made`` then will not do any more, and a state for what comes after it; empty if it will. Two builds that ask at once agree."""
        taken = datetime.fromtimestamp(made.stat().st_mtime, UTC)
        age = datetime.now(UTC) - taken
        if self.max_age is None or age <= timedelta(seconds=self.max_age):
            return "", ""
        return f"its packages are {_days(age)} old", f"after={taken:%Y-%m-%dT%H:%M:%S}"


def in_force(store: Store, inputs: Mapping[str, str]) -> None:
    """Note that what was made with these inputs is what builds take that do not ask."""
    plain = {name: value for name, value in inputs.items() if name != _STATE}
    store.set_state(fingerprint.of(plain), inputs.get(_STATE, ""))


def _with(inputs: Mapping[str, str], state: str) -> dict[str, str]:
    return {**inputs, _STATE: state} if state else dict(inputs)


def _words(offers: Offers) -> dict[str, str]:
    """The words of a state for what is offered now, by the place."""
    return {place: f"{place}={digest[:_DIGITS]}" for place, digest in offers().items()}


def _days(age: timedelta) -> str:
    return f"{age.days} days" if age.days > 1 else f"{age // timedelta(hours=1)} h"
