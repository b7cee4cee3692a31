"""The sizes of arrays, volume groups and logical volumes, given those of what they are on. Pure.

The rules are those of blivet, with which Anaconda partitions (3.14, ``blivet/partitioning.py``), but for
the metadata of a thin pool: blivet sizes it before the pool grows, and then it is full before the pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import luks
from .errors import StorageError
from .layout import grown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .disks import Array, LogicalVolume, Storage, VolumeGroup
    from .layout import Placed

RAID_OFFSET = 1
"""MiB before the data of an array, for its metadata. Passed to mdadm, whose own choice depends on
the disk.
"""
CHUNK = 512
"""KiB of an array's chunk, if it has chunks: mdadm's default, passed to it."""
SPARED = {1: None, 4: 1, 5: 1, 6: 2}
"""How many members' worth of space a level uses for redundancy; None: all but one."""
LEAST_MEMBERS = {0: 2, 1: 2, 4: 3, 5: 3, 6: 4, 10: 2}
_PV_HEADER = 1
"""MiB before the first extent of a physical volume (LVM's default)."""
_CHUNK, _PER_CHUNK = 64, 64
"""KiB of a thin pool's chunk by default, and the bytes of metadata for each chunk (lvmthin(7))."""
_LEAST_METADATA = 2048
"""KiB (lvmthin(7))."""
_POOL_RESERVE = (1024, 100 * 1024)
"""MiB, at least and at most, of the fifth of a group that autopart leaves free for a thin pool to grow."""


class PoolSize(NamedTuple):
    """A thin pool in extents; another copy of the ``metadata`` is spare."""

    data: int
    metadata: int


def array_size(array: Array, members: Sequence[int]) -> int:
    """The size in MiB of an array with members of these sizes, spares included."""
    active = members[: len(members) - array.spares]
    held = [size - RAID_OFFSET for size in active]
    chunk = 0 if array.level == 1 else array.chunk or CHUNK
    whole = [size * 1024 // chunk * chunk if chunk else size * 1024 for size in held]
    smallest = min(whole)
    match array.level:
        case 0:
            total = sum(whole)
        case 1:
            total = smallest
        case 10:
            total = smallest * len(active) // 2
        case level:
            total = smallest * (len(active) - (SPARED[level] or 0))
    return total // 1024


def group_extents(extent: int, members: Iterable[int]) -> int:
    """The number of extents of ``extent`` KiB in physical volumes of these sizes."""
    return sum((size - _PV_HEADER) * 1024 // extent for size in members)


def volume_extents(group: VolumeGroup, volumes: Sequence[LogicalVolume], total: int) -> dict[str, int | PoolSize]:
    """The extents of each volume of a ``group`` with ``total`` extents, by the volume's name.

    Raises StorageError if they do not fit.
    """
    fat = [volume for volume in volumes if not volume.pool]
    wanted = {volume.name: _asked(volume, volumes, group.extent) for volume in fat}
    pools = {volume.name: _metadata(volume, wanted[volume.name], group.extent) for volume in fat if volume.is_pool}
    overhead = sum(pools.values()) + max(pools.values(), default=0)
    # blivet gives a percentage of what is left when each such volume has one extent
    free = total - overhead - sum(wanted.values()) - sum(bool(volume.percent) for volume in fat)
    wanted |= {volume.name: free * volume.percent // 100 for volume in fat if volume.percent and free > 0}
    _check_room(group, fat, wanted, total - overhead)
    reserved = _reserved(group, total, has_autopool=bool(pools))
    asked = [(wanted[one.name], one.grow, one.maxsize * 1024 // group.extent) for one in _by_size(fat, wanted)]
    sizes = dict(
        zip((one.name for one in _by_size(fat, wanted)), grown(asked, total - overhead - reserved), strict=True)
    )
    result: dict[str, int | PoolSize] = {**sizes}
    for volume in fat:
        if volume.is_pool:
            pool = result[volume.name] = _pool(volume, sizes[volume.name], pools[volume.name], group.extent)
            result |= _thin(volume, [one for one in volumes if one.pool == volume.volume], group.extent, pool.data)
    return result


def _asked(volume: LogicalVolume, volumes: Sequence[LogicalVolume], extent: int) -> int:
    """The extents that a volume has before it grows: a pool has room for all its volumes."""
    if volume.percent:
        return 0
    size = _extents(volume.size, extent)
    if volume.is_pool:
        size = max(size, sum(_extents(one.size, extent) for one in volumes if one.pool == volume.volume))
    return max(1, size)


def _extents(mib: int, extent: int) -> int:
    return -(-mib * 1024 // extent)


def _metadata(volume: LogicalVolume, extents: int, extent: int) -> int:
    """The extents of a pool's metadata."""
    chunks = extents * extent // (volume.chunk or _CHUNK)
    size = volume.metadata * 1024 or max(_LEAST_METADATA, chunks * _PER_CHUNK // 1024)
    return -(-size // extent)


def _pool(volume: LogicalVolume, extents: int, metadata: int, extent: int) -> PoolSize:
    """A pool that has grown to ``extents``: it gives up what its larger metadata needs, twice."""
    needed = max(metadata, _metadata(volume, extents, extent))
    return PoolSize(extents - 2 * (needed - metadata), needed)


def _thin(pool: LogicalVolume, volumes: Sequence[LogicalVolume], extent: int, room: int) -> dict[str, int | PoolSize]:
    """The extents of the volumes in a pool with ``room``; together they are no larger than it."""
    wanted = {volume.name: 0 if volume.percent else _extents(volume.size, extent) for volume in volumes}
    free = room - sum(wanted.values())
    wanted |= {volume.name: free * volume.percent // 100 for volume in volumes if volume.percent and free > 0}
    if free < 0:
        raise StorageError(pool.line, f"logvol {pool.name}: its volumes do not fit into the pool", "make it larger")
    ordered = _by_size(volumes, wanted)
    asked = [(wanted[one.name], one.grow, one.maxsize * 1024 // extent) for one in ordered]
    return dict(zip((one.name for one in ordered), grown(asked, room), strict=True))


def _by_size(volumes: Sequence[LogicalVolume], wanted: dict[str, int]) -> list[LogicalVolume]:
    """In the order in which they grow: the first one gets what cannot be divided."""
    return sorted(volumes, key=lambda one: (-wanted[one.name], one.grow))


def _check_room(group: VolumeGroup, volumes: Sequence[LogicalVolume], wanted: dict[str, int], total: int) -> None:
    """Raise StorageError at the first volume that does not fit, or has no extent."""
    needed = 0
    for volume in volumes:
        needed += max(1, wanted[volume.name])
        if needed > total:
            raise StorageError(
                volume.line,
                f"logvol {volume.name}: the volumes need {needed * group.extent // 1024} MiB, but the group"
                f" {group.name} has {max(0, total) * group.extent // 1024} MiB",
                "make the physical volumes larger, or the logical ones smaller",
            )
        wanted[volume.name] = max(1, wanted[volume.name])


def _reserved(group: VolumeGroup, total: int, *, has_autopool: bool) -> int:
    """The extents of a group that stay free when volumes grow."""
    mib = total * group.extent // 1024
    reserved = mib * group.reserved_percent // 100 or group.reserved
    if group.for_pool and has_autopool:
        least, most = _POOL_RESERVE
        reserved += min(max(mib // 5, least), most)
    return _extents(reserved, group.extent)


def check_fits(storage: Storage, placed: Sequence[Placed]) -> None:
    """Raise StorageError if arrays and logical volumes do not fit on their members."""
    sized(storage, placed)


def sized(storage: Storage, placed: Sequence[Placed]) -> dict[str, int | PoolSize]:
    """The size in MiB of what each partition and array offers, and in extents of each logical volume."""
    locked = {one.on for one in storage.encrypted}

    def inside(name: str, size: int) -> int:
        return size - luks.HEADER if name in locked else size

    known = {one.partition.name: inside(one.partition.name, one.size) for one in placed}
    for array in storage.arrays:
        members = [known[name] for name in array.members]
        if min(members) <= RAID_OFFSET:
            raise StorageError(array.line, f"raid {array.name}: its members are too small", "make them larger")
        known[array.name] = inside(array.name, array_size(array, members))
    result: dict[str, int | PoolSize] = {**known}
    for group in storage.groups:
        total = group_extents(group.extent, [known[name] for name in group.members])
        result |= volume_extents(group, [one for one in storage.volumes if one.group == group.name], total)
    return result
