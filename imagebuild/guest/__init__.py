"""Access to a guest's disks through libguestfs.

The contents of a guest's disk are read by the kernel of the appliance, never by that of the host,
and every path is resolved inside the guest.
"""

from imagebuild.guest.disk import GuestDisk
from imagebuild.guest.encryption import Key
from imagebuild.guest.launch import opened
from imagebuild.guest.layout import RootFilesystem, find_root
from imagebuild.guest.lookup import GuestFile, Kind, Lookup, literal
from imagebuild.guest.removal import Cleared

__all__ = [
    "Cleared",
    "GuestDisk",
    "GuestFile",
    "Key",
    "Kind",
    "Lookup",
    "RootFilesystem",
    "find_root",
    "literal",
    "opened",
]
