"""The names of types in partition tables, as far as guests use them (UEFI specification, Discoverable
Partitions Specification)."""

from __future__ import annotations

EXTENDED = frozenset({"0x5", "0xf", "0x85"})
"""Types of an MBR partition that only contains others."""
_TYPES = {
    "0x83": "Linux", "0x82": "swap", "0x8e": "LVM", "0xfd": "RAID", "0xef": "EFI", "0x5": "extended", "0xf": "extended",
    "0x7": "NTFS", "0xc": "FAT",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "LVM",
    "a19d880f-05fc-4d3b-a006-743f0f84911e": "RAID",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "root (x86-64)",
    "b921b045-1df0-41c3-af44-4c6f280d3fae": "root (arm64)",
    "bc13c2ff-59e6-4262-a352-b275fd6f7172": "boot",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "data",
}  # fmt: skip


def type_name(type_: str) -> str:
    """What people call a type; itself if it has no known name."""
    return _TYPES.get(type_.lower(), type_)
