"""Removing and emptying files of a guest: many in one call, whatever their names, flags and hard
links."""

from __future__ import annotations

import posixpath
import shlex
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagebuild.errors import GuestError
from imagebuild.guest import appliance
from imagebuild.guest.calls import reason
from imagebuild.guest.lookup import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from imagebuild.guest.appliance import Appliance
    from imagebuild.guest.tree import Tree

_FEW = 3
"""The number of files up to which one libguestfs call each (3 ms) is faster than starting a program
(60 ms)."""
_MOST_ALONE = 20
"""The number of files that cannot be removed together and are tried one by one, which shows the
reason for each."""
_NAMES = 64 << 10
"""The size in bytes up to which the names in a folder are listed before it is cleared; above it,
only their number is reported."""
_LARGE_FOLDER = 4 * _NAMES
"""The size in bytes of a folder that contains or contained that many names, on all Linux file
systems for disks."""
_HALF = "-name '*[02468acegikmoqsuwyACEGIKMOQSUWY]'"
"""Matches about every second name: on two processors, two processes remove the files of a folder in
two thirds of the time of one."""
_STEPS = 'for step in "$@"; do cd -P -- "$step" || exit; done'
_EMPTY = "truncate -c -s 0 --"
_DETACH = (
    'for one; do cd -P -- "${one%/*}/" && new=$(mktemp ./.imagebuild.XXXXXX) && '
    'cp -a --attributes-only -T -- "./${one##*/}" "$new" && mv -f -T -- "$new" "./${one##*/}" || exit; done'
)
"""Replaces a file that has other hard links by a new one with the same owner, mode and attributes:
the others keep the content."""
_UNLOCK = 'find -P "$@" -xdev "(" -type f -o -type d ")" -execdir chattr -f -i -a "{}" +'


@dataclass(frozen=True)
class Cleared:
    """What was in a folder that is empty now: the number, the names if there are not too many, and
    what is left with the reasons."""

    count: int
    names: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)


class Removal:
    """Removes and empties files of the guest that is mounted in an appliance. All paths are without
    links in their folders."""

    def __init__(
        self, handle: Callable[[], Any], programs: Appliance, tree: Tree, places: Callable[[], Iterable[str]]
    ) -> None:
        self._handle = handle
        self._programs = programs
        self._tree = tree
        self._places = places

    def remove(self, reals: Sequence[str]) -> dict[str, str]:
        """Remove files, links and folders with all their contents. Returns what still exists, and
        why."""
        mounted = {path: f"a file system is mounted at {path}" for path in reals if path in self._places()}
        going = [path for path in reals if path not in mounted and self._tree.stat(path) is not None]
        try:
            self._rm(going)
        except GuestError as error:
            return mounted | self._again(going, error)
        return mounted

    def _rm(self, reals: Sequence[str]) -> None:
        entries = [self._tree.stat(path) for path in reals]
        simple = all(one is not None and one.kind != "dir" for one in entries) and all(map(is_plain, reals))
        for path in reals:
            self._tree.replaced(path)
        if simple and len(reals) <= _FEW:
            for path in reals:
                self._handle().rm(path)
            return
        long = [path for path in reals if appliance.is_long(path)]
        if len(long) < len(reals):
            self._programs.run(
                "rm -rf --one-file-system --", [appliance.path(path) for path in reals if path not in set(long)]
            )
        for path in long:
            self._at(path, "rm -rf --one-file-system --")

    def _again(self, reals: Sequence[str], error: GuestError) -> dict[str, str]:
        """Try again to remove what could not be removed together, without the flags that protect
        it. Returns what still exists, and why."""
        left = self._left(reals)
        if not left:
            return {}
        with self.unlocked({posixpath.dirname(path) for path in left}):
            self._unlock(left)
            with suppress(GuestError):
                self._rm(left)
            left = self._left(left)
            why = {}
            for path in left[:_MOST_ALONE]:
                try:
                    self._rm([path])
                except GuestError as alone:
                    why[path] = reason(alone)
        return {path: why.get(path, reason(error)) for path in self._left(left)}

    def _left(self, reals: Sequence[str]) -> list[str]:
        for path in reals:
            self._tree.replaced(path)
        return [path for path in reals if self._tree.stat(path) is not None]

    def clear(self, real: str, keep: Sequence[str] = ()) -> Cleared:
        """Remove everything in a folder, which may be any number of files, except the names in
        ``keep``."""
        steps = appliance.steps(real)
        mounted = {posixpath.basename(place) for place in self._places() if posixpath.dirname(place) == real}
        stay = "".join(
            f" ! -path {shlex.quote(literal(f'./{name}'))} ! -path {shlex.quote(literal(f'./{name}') + '/*')}"
            for name in sorted({*keep, *mounted})
        )
        # -xdev inspects each file.
        within = "-xdev " if any(place.startswith(f"{real}/") for place in self._places()) else ""
        find = f"find -P . {within}-mindepth 1{stay}"
        left = {posixpath.join(real, name): f"a file system is mounted at {real}/{name}" for name in mounted}
        count = 0
        names = self._few_names(real, f"{_STEPS}; {find} -prune -printf '%f\\0' 2>/dev/null | head -c {_NAMES}", steps)
        if names is not None:
            names = [name for name in names if name not in mounted and name not in keep]
        else:
            self._tree.replaced(real)
            delete = "-delete -printf x 2>/dev/null"
            halves = (f"{find} ! -type d {half} {delete}" for half in (_HALF, f"! {_HALF}"))
            together = f"{_STEPS}; {{ {' & '.join(halves)}; wait; {find} {delete}; }} | wc -c"
            count = int(self._programs.output(together, steps))
            names = [one.name for one in self._tree.entries(real) if one.name not in mounted and one.name not in keep]
        left |= self.remove([posixpath.join(real, name) for name in names])
        gone = tuple(name for name in names if posixpath.join(real, name) not in left)
        return Cleared(count or len(gone), () if count else gone, left)

    def _few_names(self, real: str, listing: str, steps: Sequence[str]) -> list[str] | None:
        """The names in a folder; None if there are too many to list."""
        itself = self._tree.stat(real)
        # Under emulation libguestfs returns 100,000 names in three seconds.
        if itself is not None and itself.size > _LARGE_FOLDER:
            return None
        if is_plain(real):
            with suppress(GuestError):  # a name that is not UTF-8, or more names than fit into a message
                names = self._handle().ls(real)
                return None if sum(map(len, names)) >= _NAMES else list(names)
        listed = self._programs.output(listing, steps)
        return listed.decode("utf-8", "surrogateescape").split("\0")[:-1] if len(listed) < _NAMES else None

    def empty(self, reals: Sequence[str]) -> dict[str, str]:
        """Truncate regular files to zero bytes. Returns those that failed, and why."""
        shared = [path for path in reals if (found := self._tree.stat(path)) is not None and found.links > 1]
        failed = self.detach(shared)
        going = [path for path in reals if path not in failed]
        try:
            self._truncate(going)
        except GuestError:
            failed |= self._one_by_one(going, lambda path: self._truncate([path]))
        for path in reals:
            self._tree.changed(path)
        return failed

    def _truncate(self, reals: Sequence[str]) -> None:
        if len(reals) <= _FEW and all(map(is_plain, reals)):
            for path in reals:
                self._handle().truncate(path)
            return
        long = {path for path in reals if appliance.is_long(path)}
        if short := [appliance.path(path) for path in reals if path not in long]:
            self._programs.run(_EMPTY, short)
        for path in long:
            self._at(path, _EMPTY)

    def detach(self, reals: Sequence[str]) -> dict[str, str]:
        """Give each of these names its own empty file, so that changing it does not change the
        content under another name."""
        failed = {}
        for path in reals:
            try:
                with self.unlocked([path, posixpath.dirname(path)]):
                    self._programs.run(f"sh -c {shlex.quote(_DETACH)} sh", [appliance.path(path)])
            except GuestError as error:
                failed[path] = reason(error)
            self._tree.changed(path)
        return failed

    def _one_by_one(self, reals: Sequence[str], act: Callable[[str], None]) -> dict[str, str]:
        """After doing all together has failed: do each separately, without the flags that protect
        it for that time."""
        failed = {}
        for path in reals:
            with suppress(GuestError):
                act(path)
                continue
            try:
                with self.unlocked([path]):
                    act(path)
            except GuestError as error:
                failed[path] = reason(error)
        return failed

    def _at(self, real: str, command: str) -> None:
        """Run a program on a path that is too long for an argument."""
        folder, name = posixpath.split(real)
        script = f'for step; do [ "$#" -gt 1 ] || break; cd -P -- "$step" || exit; shift; done; {command} "./$1"'
        self._programs.run(f"sh -c {shlex.quote(script)} sh", [*appliance.steps(folder), name])

    # -- flags -----------------------------------------------------------------------------------

    @contextmanager
    def unlocked(self, reals: Iterable[str]) -> Iterator[bool]:
        """Clear the chattr(1) flags that forbid changes of some files or folders while the block
        runs; yields whether there were any."""
        flags = {path: found for path in reals if (found := self._flags(path))}
        for path, found in flags.items():
            self._programs.run(f"chattr -{found}", [appliance.path(path)])
        try:
            yield bool(flags)
        finally:
            for path, found in flags.items():
                with suppress(GuestError):  # it may have been removed
                    self._programs.run(f"chattr +{found}", [appliance.path(path)])

    def _flags(self, real: str) -> str:
        try:
            listed = self._programs.output('lsattr -d -- "$1" 2>/dev/null', [appliance.path(real)])
        except GuestError:
            return ""
        found = listed.split(b" ", 1)[0].decode("ascii", "replace")
        return "".join(flag for flag in "ia" if flag in found)

    def _unlock(self, reals: Sequence[str]) -> None:
        """Clear these flags of something that is going to be removed, including its contents."""
        with suppress(GuestError):
            self._programs.run(f"sh -c {shlex.quote(_UNLOCK)} sh", [appliance.path(path) for path in reals])


def is_plain(real: str) -> bool:
    """Whether libguestfs's own calls accept a path."""
    return appliance.is_utf8(real) and not appliance.is_long(real)
