"""libosinfo's full id of a guest from its short one; management tools show its name and icon by it."""

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
"""Forms of osinfo-db's ids; a test holds them against the database."""


def full_id(short: str) -> str | None:
    """The id of libosinfo's database, or None for a system that is not known here."""
    for pattern, form in _IDS:
        if match := re.fullmatch(pattern, short):
            return form.format(*match.groups())
    return None
