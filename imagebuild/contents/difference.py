"""A difference for people: the sections that ``imagebuild diff`` prints as text and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from imagebuild.contents.columns import aligned
from imagebuild.contents.compare import Delta, Entry, ImageDiff, SizeChange, account_changes, file_changes
from imagebuild.contents.inventory import EnabledUnit, FileRecord, GuestAccount
from imagebuild.contents.sizes import human, signed

MOST_FILES = 30


@dataclass(frozen=True)
class ListedChanges:
    """A section: rows of a sign (+ added, - removed, ~ changed), a name and the details; ``left`` is
    how many more there are."""

    title: str
    rows: tuple[tuple[str, str, str], ...]
    left: int = 0

    @property
    def counts(self) -> str:
        """How many of each: ``3 added, 1 removed``."""
        if self.left:
            return f"{len(self.rows) + self.left}"
        numbers = ((word, sum(row[0] == sign for row in self.rows)) for sign, word in _WORDS.items())
        return ", ".join(f"{number} {word}" for word, number in numbers if number)


_WORDS = {"+": "added", "-": "removed", "↑": "upgraded", "↓": "downgraded", "~": "changed"}


def sections(diff: ImageDiff, *, everything: bool = False) -> Iterator[ListedChanges]:
    """What differs, the most important first; sections without a difference are left out."""
    packages = diff.packages
    found = (
        ListedChanges("system", tuple(("~", one.name, f"{one.old or '-'} → {one.new or '-'}") for one in diff.system)),
        ListedChanges(
            "packages",
            (
                *(("+", name, version) for name, version in packages.added.items()),
                *(("-", name, version) for name, version in packages.removed.items()),
                *(("↑", one.name, f"{one.old} → {one.new}") for one in packages.upgraded),
                *(("↓", one.name, f"{one.old} → {one.new}") for one in packages.downgraded),
                *(("~", one.name, f"{one.old} → {one.new}") for one in packages.rewritten),
            ),
        ),
        ListedChanges("kernels", _rows(diff.kernels, lambda one: (one, ""), lambda old, new: "")),
        ListedChanges("accounts", _rows(diff.accounts, _account, _account_change)),
        ListedChanges("enabled units", _rows(diff.units, _unit, _unit_change)),
        ListedChanges("files with privileges", _privileges(diff)),
        _shortened(
            "files", _rows(diff.files, _file, lambda old, new: ", ".join(file_changes(old, new))), everything=everything
        ),
    )
    if not packages.known:
        yield ListedChanges("packages", (("?", "not compared", "the packages of one of the images are not known"),))
    yield from (one for one in found if one.rows)


def sizes(diff: ImageDiff) -> list[tuple[str, str, str, str]]:
    """The sizes before and after, and the difference: the rows of a table."""
    return [(_SIZES[one.name], human(one.old), human(one.new), growth(one)) for one in diff.sizes]


_SIZES = {"file": "image file", "virtual": "disk", "used": "used in file systems"}


def growth(size: SizeChange) -> str:
    """``+12 MiB (+3.1%)``."""
    if size.old == size.new:
        return "unchanged"
    return f"{signed(size.new - size.old)}{f' ({size.growth:+.1f}%)' if size.old else ''}".replace("(-", "(−")


def lines(diff: ImageDiff, names: tuple[str, str], *, everything: bool = False) -> Iterator[str]:
    """The whole difference as text; ``names`` are those of the images."""
    yield f"--- {names[0]}"
    yield f"+++ {names[1]}"
    if diff.is_empty:
        yield from ("", "the contents are the same")
    for section in sections(diff, everything=everything):
        yield from ("", f"{section.title}: {section.counts}" if section.counts else section.title)
        yield from aligned(section.rows)
        if section.left:
            yield f"  … and {section.left} more; --all lists them"
    yield from ("", "size")
    yield from aligned(sizes(diff), right=(1, 2))


def _rows(
    delta: Delta[Entry],
    named: Callable[[Entry], tuple[str, str]],
    changed: Callable[[Entry, Entry], str],
) -> tuple[tuple[str, str, str], ...]:
    return (
        *(("+", *named(one)) for one in delta.added),
        *(("-", *named(one)) for one in delta.removed),
        *(("~", named(new)[0], changed(old, new)) for old, new in delta.changed),
    )


def _shortened(title: str, rows: Sequence[tuple[str, str, str]], *, everything: bool) -> ListedChanges:
    if everything or len(rows) <= MOST_FILES:
        return ListedChanges(title, tuple(rows))
    return ListedChanges(title, tuple(rows[:MOST_FILES]), len(rows) - MOST_FILES)


def _account(one: GuestAccount) -> tuple[str, str]:
    return one.name, f"uid {one.uid}, {', '.join(one.login) or 'no login'}, {one.shell}"


def _account_change(old: GuestAccount, new: GuestAccount) -> str:
    return ", ".join(_change(name, getattr(old, name), getattr(new, name)) for name in account_changes(old, new))


def _unit(one: EnabledUnit) -> tuple[str, str]:
    return one.name, f"listens on {', '.join(one.listens) or 'an unknown address'}" if one.is_listening else ""


def _unit_change(old: EnabledUnit, new: EnabledUnit) -> str:
    pairs = (("listens on", old.listens, new.listens), ("wanted by", old.wanted_by, new.wanted_by))
    changes = [_change(name, before, after) for name, before, after in pairs if before != after]
    return ", ".join(changes) or ("enabled by its package" if new.vendor else "enabled in /etc")


def _change(name: str, old: object, new: object) -> str:
    return f"{name}: {_value(old)} → {_value(new)}"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "-"
    return str(value) or "-"


def _privileges(diff: ImageDiff) -> tuple[tuple[str, str, str], ...]:
    def rows(sign: str, files: Iterable[FileRecord]) -> Iterator[tuple[str, str, str]]:
        for one in files:
            yield sign, one.path, f"{', '.join(one.privileges)}, mode {one.mode:04o}, owner {one.uid}:{one.gid}"

    return (*rows("+", diff.gained), *rows("-", diff.lost))


def _file(one: FileRecord) -> tuple[str, str]:
    if one.kind == "l":
        return one.path, f"link to {one.target}"
    what = {"d": "folder", "f": human(one.size)}.get(one.kind, "special file")
    return one.path, f"{what}, mode {one.mode:04o}, owner {one.uid}:{one.gid}"
