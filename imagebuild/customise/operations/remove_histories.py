"""Remove the histories that shells and other programs keep of what was typed.

In the home folder of every account, root's and a service's too: bash, zsh, fish, ksh, ash, tcsh; Python, Node,
MySQL, PostgreSQL, SQLite, Redis, MongoDB; less, vim, nano, wget and what desktop programs opened last. What is typed
into a shell now and then holds a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "secret"
REPLACES = ("bash-history",)
Params = NoParams

_HISTORIES = (
    ".bash_history",
    ".bash_sessions",
    ".zsh_history",
    ".zsh_sessions",
    ".zhistory",
    ".histfile",
    ".sh_history",
    ".ash_history",
    ".ksh_history",
    ".mksh_history",
    ".history",
    ".local/share/fish/fish_history",
    ".config/fish/fish_history",
    ".python_history",
    ".node_repl_history",
    ".irb_history",
    ".mysql_history",
    ".mariadb_history",
    ".psql_history",
    ".sqlite_history",
    ".rediscli_history",
    ".mongosh",
    ".dbshell",
    ".lesshst",
    ".local/state/lesshst",
    ".viminfo",
    ".local/state/nvim/shada",
    ".local/share/nano/search_history",
    ".nano_history",
    ".nano/search_history",
    ".wget-hsts",
    ".local/share/recently-used.xbel",
    ".sudo_as_admin_successful",
)


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(f"{home.path}/{name}" for home in guest.homes() for name in _HISTORIES)
