"""Remove temporary files, shell histories and crash dumps.

Everything in ``/tmp`` and ``/var/tmp``, the histories of shells and of editors in the home folders, and
what ``/var/crash`` and systemd-coredump have collected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
Params = NoParams

_FOLDERS = ("/tmp", "/var/tmp", "/var/crash", "/var/lib/systemd/coredump")  # noqa: S108 - of the guest
_HISTORIES = (
    ".bash_history", ".sh_history", ".ash_history", ".zsh_history", ".python_history", ".lesshst", ".viminfo",
    ".wget-hsts",
)  # fmt: skip


def apply(guest: Guest, params: NoParams) -> None:
    for folder in _FOLDERS:
        if guest.is_dir(folder):
            guest.remove(f"{folder}/{entry.name}" for entry in guest.listdir(folder))
    guest.remove(guest.glob(*(f"{home}/{name}" for home in ("/root", "/home/*") for name in _HISTORIES)))
