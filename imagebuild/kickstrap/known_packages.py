"""Looks up names of packages in the index of a Debian mirror, before anything is built.

Two states in the store make it quick. ``checked-…`` lists the names that were found, so that a
recipe whose packages are the same as last time needs neither the network nor the index; it also
remembers for a few minutes that a mirror did not answer. ``names-…`` has all names of the index.
Nothing is verified here: apt verifies what is installed.
"""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from imagebuild import fetch, fingerprint
from imagebuild.errors import HostError, ImageBuildError
from imagebuild.host import probe_cache
from imagebuild.kickstrap import index
from imagebuild.kickstrap.agent import package_names
from imagebuild.kickstrap.mirror import Mirror, host_mirror, mirror_depends_on
from imagebuild.step import PackageVerdict
from imagebuild.store.store import Store

LIMITS = fetch.Limits(connect=4.0, read=8.0, window=10.0, attempts=1, total=25.0)
"""Somebody waits, and a build will find out anyway."""
DAY = 24 * 3600.0
FOUND_FOR = 7 * DAY
"""Seconds for which names that were found are not looked up again."""
CURRENT_FOR = DAY
"""Seconds for which an index is good enough to say that a name does not exist."""
SILENT_FOR = 300.0
"""Seconds for which a mirror that did not answer is not asked again."""
_SPELLING = "check the spelling, and that installer.components includes the component with the package"


def cached_mirror(store: Store) -> Mirror:
    """``host_mirror``, cached in the store: apt takes 0.5 s, and its answer hardly ever changes."""
    return probe_cache.once(("mirror", store.probe_cache), lambda: _mirror(store))


def _mirror(store: Store) -> Mirror:
    configured = probe_cache.of_files(mirror_depends_on())
    return Mirror(**probe_cache.kept(store.probe_cache, "mirror", configured, lambda: asdict(host_mirror())))


@dataclass(frozen=True)
class MirrorPackages:
    """The packages of a suite on a mirror; without ``mirror`` that of this host's apt."""

    mirror: str | None
    suite: str
    components: tuple[str, ...]
    arch: str

    def check(self, names: Collection[str], store: Store | None, *, offline: bool) -> PackageVerdict:
        """See ``imagebuild.step.PackageSource``."""
        if store is None:
            return PackageVerdict({}, "the store cannot be used")
        states = _States(store, fingerprint.of(asdict(self)))
        # the names that the table has for others are not looked up: a test does that
        foreign = package_names.table()
        meant = {name: package_names.counterpart(name) for name in names if name not in foreign}
        called = {found.packages[0]: name for name, found in meant.items() if found}
        left = set(called) - states.found()
        if not left:
            return PackageVerdict({})
        known, age = states.names()
        note = ""
        if age > CURRENT_FOR and not _all_in(left, known):
            note = "offline" if offline else self._fetched(states, store)
            known, age = states.names()
        missing = sorted(name for name in left if not _all_in([name], known))
        states.add_found(left - set(missing))
        if not missing or (known and not note):
            return PackageVerdict({called[name]: _hint(name, known) for name in missing})
        return PackageVerdict({}, _unchecked(note, missing, age if known else None))

    def _fetched(self, states: _States, store: Store) -> str:
        """Fetch the index. Returns why that is not possible; empty if it was."""
        if why := states.silent():
            return why
        try:
            mirror = Mirror(self.mirror) if self.mirror else cached_mirror(store)
            if mirror.main is None:
                return "this host's apt has no Debian mirror, and installer.mirror is not set"
            names: set[str] = set()
            until = time.monotonic() + LIMITS.total
            for folder in index.folders(mirror, self.suite, self.components, self.arch):
                if time.monotonic() > until:
                    raise HostError(f"{fetch.shown(mirror.main)} is slow")
                with suppress(fetch.NotThere):
                    names |= index.names(folder, LIMITS)
            if not names:
                raise HostError(f"{fetch.shown(mirror.main)} has no {self.suite}")
        except ImageBuildError as error:
            states.set_silent(error.message)
            return error.message
        states.set_names(names)
        return ""


def _unchecked(why: str, missing: Collection[str], age: float | None) -> str:
    some = ", ".join(list(missing)[:5]) + (", …" if len(missing) > 5 else "")
    if age is None:
        return why
    day = datetime.fromtimestamp(time.time() - age, UTC)
    return f"{why}; not in the index of {day:%Y-%m-%d}: {some}"


def _all_in(names: Collection[str], known: str) -> bool:
    return all(f"\n{name}\n" in known for name in names)


def _hint(name: str, known: str) -> str:
    """A similar name, or what to check. Only names of the same initial are compared: there are
    more than 100,000.
    """
    alike = (one for one in known.splitlines() if one[:1] == name[:1] and abs(len(one) - len(name)) < 3)
    near = difflib.get_close_matches(name, alike, n=1, cutoff=0.75)
    return f"did you mean {near[0]!r}?" if near else _SPELLING


class _States:
    """What the store knows about one source of packages."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._checked, self._names = f"checked-{key[:32]}", f"names-{key[:32]}"

    def found(self) -> frozenset[str]:
        """The names that were found lately."""
        said = self._read()
        with suppress(KeyError, TypeError, ValueError):
            if 0 <= time.time() - float(said["at"]) < FOUND_FOR:
                return frozenset(map(str, said["found"]))
        return frozenset()

    def add_found(self, names: Collection[str]) -> None:
        """Remember more names that were found."""
        before = self.found()
        at = self._read()["at"] if before else time.time()
        if set(names) - before:
            self._write({"at": at, "found": sorted({*before, *names})})

    def silent(self) -> str:
        """What a mirror said that did not answer lately; empty if it may be asked."""
        said = self._read()
        with suppress(KeyError, TypeError, ValueError):
            if 0 <= time.time() - float(said["silent_at"]) < SILENT_FOR:
                return str(said["silent"])
        return ""

    def set_silent(self, why: str) -> None:
        """Remember that a mirror did not answer."""
        self._write({**self._read(), "silent_at": time.time(), "silent": why})

    def names(self) -> tuple[str, float]:
        """All names, each on a line between line breaks, and their age in seconds; empty if there
        are none.
        """
        first, _, names = self._store.state(self._names).partition("\n")
        with suppress(ValueError):
            age = time.time() - float(first)
            return f"\n{names}", age if age >= 0 else float("inf")
        return "", float("inf")

    def set_names(self, names: Collection[str]) -> None:
        """Remember all names."""
        with suppress(OSError):
            self._store.set_state(self._names, "\n".join([str(time.time()), *sorted(names), ""]))

    def _read(self) -> dict[str, Any]:
        with suppress(ValueError, TypeError):
            return dict(json.loads(self._store.state(self._checked) or "{}"))
        return {}

    def _write(self, said: dict[str, Any]) -> None:
        with suppress(OSError):
            self._store.set_state(self._checked, json.dumps(said))
