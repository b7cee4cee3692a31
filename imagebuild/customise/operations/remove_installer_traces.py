"""Remove the files that an installer left behind.

The kickstarts that Anaconda and kickstrap copy to ``/root`` may contain passwords. They are
removed, and so are the logs of Anaconda, debian-installer, AutoYaST and kickstrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ()
Params = NoParams

_LEFT = (
    "/root/anaconda-ks.cfg",
    "/root/original-ks.cfg",
    "/root/initial-setup-ks.cfg",
    "/root/anaconda-post.log",
    "/root/ks-*.log",
    "/root/ks-post*.log",
    "/root/install.log*",
    "/root/upgrade.log*",
    "/root/autoinst.xml",
    "/root/inst-sys",
    "/var/log/anaconda",
    "/var/log/anaconda.*",
    "/var/log/installer",
    "/var/log/bootstrap.log",
    "/var/log/kickstrap*",
    "/var/log/YaST2",
    "/var/adm/autoinstall/cache",
    "/var/adm/autoinstall/logs",
    "/var/lib/preseed",
    "/var/lib/install",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.sweep(*_LEFT))
