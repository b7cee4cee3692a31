"""Whether the names of hosts, targets and groups fit together. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from imagebuild.schema.findings import Finding, did_you_mean

ALL = "all"
"""The word that selects all hosts and targets."""


def conflicts(
    hosts: Collection[str], targets: Collection[str], groups: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Every name that is reserved, used twice or unknown, and every group that contains itself."""
    sections = {"hosts": hosts, "targets": targets, "groups": groups}
    first: dict[str, str] = {}
    for section, names in sections.items():
        for name in names:
            if name == ALL:
                yield Finding(
                    (section, name), f"the name {name!r} is reserved: it means all hosts and targets", at_key=True
                )
            elif name in first:
                yield Finding((section, name), f"the name {name!r} is also used in {first[name]}", at_key=True)
            else:
                first[name] = section
    for group, members in groups.items():
        for number, member in enumerate(members):
            if member not in first:
                message = f"there is no host, target or group {member!r}"
                yield Finding(("groups", group, number), message, did_you_mean(member, first))
    yield from _circles(groups)


def _circles(groups: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Each circle once, at the member that closes it."""
    done: set[str] = set()
    for start in groups:
        path: list[str] = []
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            group, number = stack.pop()
            if number == 0:
                if group in done:
                    continue
                path.append(group)
            if number == len(groups[group]):
                done.add(path.pop())
                continue
            stack.append((group, number + 1))
            member = groups[group][number]
            if member in path:
                circle = " → ".join([*path[path.index(member) :], member])
                yield Finding(("groups", group, number), f"this group contains itself: {circle}")
            elif member in groups:
                stack.append((member, 0))


def members(name: str, groups: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The hosts and targets of a group, also by way of other groups; ``groups`` has no circles."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if one in groups:
            waiting += groups[one]
        else:
            yield one
