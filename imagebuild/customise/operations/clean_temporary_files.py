"""Remove temporary files and caches.

Removes everything in ``/tmp`` and ``/var/tmp``, and all files in ``/var/cache``, which programs
must be able to regenerate (Filesystem Hierarchy Standard, 5.5). The files that Debian stores there
against that rule stay: debconf's database, dictionaries that are built only by their packages'
triggers, BIND's zones (relative file names in its configuration refer to this folder), and the base
systems of pbuilder. In the home folders of all accounts, caches, thumbnails and trash are removed,
and so is session data: X cookies, the cookies of sound servers and session buses, the indexes and
journals of desktops, and the screen layouts of one machine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase
from imagebuild.guest import literal

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "trace"
REPLACES = ("tmp-files",)
Params = NoParams

_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108 - of the guest
_CACHES = "/var/cache"
_NO_CACHES = re.compile(r"/var/cache/(?:debconf|cracklib|dictionaries-common|pbuilder|cowbuilder|bind)/")
_OF_BIND = (
    "/var/cache/bind/managed-keys.bind*",
    "/var/cache/bind/*.mkeys*",
    "/var/named/dynamic/managed-keys.bind*",
    "/var/cache/bind/named_dump.db",
    "/var/cache/bind/named.stats",
)
"""Files that named itself writes into its folder, on Debian and on Fedora (named.conf(5))."""
_IN_EVERY_IMAGE = "/var/cache/ldconfig/aux-cache"
"""ldconfig writes this file whenever a library is installed, so even an image that has never been
used contains it."""
_STAY = (".placeholder", ".keep", "lock")
"""Placeholders that packages put into empty folders, and apt's locks."""
_IN_HOMES = (
    ".cache",
    ".thumbnails",
    ".local/share/Trash",
    ".ansible/tmp",
    ".npm/_cacache",
    ".npm/_logs",
    ".dbus/session-bus",
    ".emacs.d/auto-save-list",
    ".local/share/containers/cache",
    ".local/share/gvfs-metadata",
    ".local/share/tracker",
    ".local/share/zeitgeist",
    ".local/share/baloo",
    ".local/state/wireplumber",
)
_FILES_IN_HOMES = (
    ".ICEauthority",
    ".Xauthority",
    ".esd_auth",
    ".pulse-cookie",
    ".config/pulse/cookie",
    ".config/pulse/*-default-sink",
    ".config/pulse/*-default-source",
    ".config/pulse/*.tdb",
    ".config/monitors.xml",
    ".local/share/gnome-shell/application_state",
    ".gnupg/random_seed",
    ".rnd",
)


def apply(guest: Guest, params: NoParams) -> None:
    inner = [f"{home.path}/{name}" for home in guest.homes() for name in _IN_HOMES]
    for folder in (*_FOLDERS, *inner):
        guest.clear(folder)
    if guest.sweepable(_CACHES):
        with guest.tidying():
            guest.remove(_IN_EVERY_IMAGE)
        cached = [path for path, entry in guest.walk(_CACHES) if entry.kind == "file" and entry.name not in _STAY]
        guest.remove(path for path in cached if not _NO_CACHES.match(path))
        guest.remove_files(*_OF_BIND)
    guest.remove(guest.glob(*(f"{literal(home.path)}/{name}" for home in guest.homes() for name in _FILES_IN_HOMES)))
