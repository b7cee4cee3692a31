"""A guest's disks through libguestfs.

Whatever a guest's disk holds is read by the appliance's kernel, never by the host's, and every path
is resolved inside the guest.
"""

from imagebuild.guest.disk import Entry, GuestDisk, Kind
from imagebuild.guest.encryption import Key
from imagebuild.guest.launch import opened
from imagebuild.guest.layout import Root, find_root

__all__ = ["Entry", "GuestDisk", "Key", "Kind", "Root", "find_root", "opened"]
