"""How much memory programs of this process may still use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_V2 = Path("/sys/fs/cgroup")
_V1 = Path("/sys/fs/cgroup/memory")


def available() -> int:
    """Bytes that are free or can be freed, on this host and within the limits of this process's control
    groups; 0 if that is not known.
    """
    with suppress(OSError, ValueError, IndexError):
        meminfo = Path("/proc/meminfo").read_text()
        host = int(meminfo.partition("MemAvailable:")[2].split()[0]) << 10
        return max(0, min([host, *_left(Path("/proc/self/cgroup").read_text())]))
    return 0


def _left(groups: str) -> Iterator[int]:
    """What each control group of a process, and those above it, leave it: see cgroups(7)."""
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, limit, current, stat = _V2, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, limit, current = _V1, "memory.limit_in_bytes", "memory.usage_in_bytes"
            stat = "total_inactive_file"
        else:
            continue
        place = top / path.lstrip("/")
        for folder in (place, *place.parents):
            if folder == top.parent:
                break
            with suppress(OSError, ValueError):  # the topmost one has no limit, and "max" is none
                most, used = int((folder / limit).read_text()), int((folder / current).read_text())
                cached = (folder / "memory.stat").read_text().partition(f"{stat} ")[2].split()[:1]
                yield most - used + int(cached[0] if cached else 0)
