"""Maps libosinfo's short ID of a guest to the full one, by which management tools show its name and
icon.
"""

from __future__ import annotations

import re

NAMESPACE = "http://libosinfo.org/xmlns/libvirt/domain/1.0"

_IDS = (
    (r"debian(\d+)", "http://debian.org/debian/{0}"),
    (r"ubuntu(\d+\.\d+)", "http://ubuntu.com/ubuntu/{0}"),
    (r"fedora(\d+)", "http://fedoraproject.org/fedora/{0}"),
    (r"rhel([5-9]|\d\d)\.(\d+)", "http://redhat.com/rhel/{0}.{1}"),
    (r"centos(\d+\.\d+)", "http://centos.org/centos/{0}"),
    (r"centos-stream(\d+)", "http://centos.org/centos-stream/{0}"),
    (r"rocky(\d+)", "http://rockylinux.org/rocky/{0}"),
    (r"almalinux(\d+)", "http://almalinux.org/almalinux/{0}"),
)
"""Patterns of osinfo-db's IDs; a test compares them with the database."""


def full_id(short: str) -> str | None:
    """The ID in libosinfo's database, or None for an unknown system."""
    for pattern, form in _IDS:
        if match := re.fullmatch(pattern, short):
            return form.format(*match.groups())
    return None
