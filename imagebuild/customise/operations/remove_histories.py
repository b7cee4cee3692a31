"""Remove the histories of shells and other programs.

Covers the home folders of all accounts, including root and service accounts. Removes the histories
of shells and of tools that jump between folders; of debuggers and language interpreters; of
database, file transfer, mail and network clients; of pagers, editors, file managers and text
browsers; and the lists of recently opened files of desktop programs. The cookies, form data and
sessions of web browsers are removed; bookmarks stay. Shell histories sometimes contain passwords.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase
from imagebuild.guest import literal

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
    ".tcsh_history",
    ".local/share/powershell/PSReadLine/ConsoleHost_history.txt",
    ".local/share/autojump/autojump.txt",
    ".local/share/zoxide/db.zo",
    ".local/share/z/data",
    ".z",
    ".gdb_history",
    ".php_history",
    ".config/psysh/psysh_history",
    ".pry_history",
    ".scala_history",
    ".ghc/ghci_history",
    ".Rhistory",
    ".octave_hist",
    ".maxima_history",
    ".calc_history",
    ".units_history",
    ".scapy_history",
    ".sqlplus_history",
    ".influx_history",
    ".cassandra/cqlsh_history",
    ".lftp/rl_history",
    ".local/share/lftp/rl_history",
    ".lftp/transfer_log",
    ".mutthistory",
    ".nmcli-history",
    ".bluetoothctl_history",
    ".guestfish",
    ".tig_history",
    ".vim/.netrwhist",
    ".elinks/globhist",
    ".elinks/gotohist",
    ".elinks/searchhist",
    ".w3m/history",
    ".local/share/mc/history",
    ".local/share/mc/filepos",
    ".ipython/profile_*/history.sqlite*",
    ".mozilla/firefox/*/cookies.sqlite*",
    ".mozilla/firefox/*/formhistory.sqlite*",
    ".mozilla/firefox/*/sessionstore*",
    ".config/chromium/*/History*",
    ".config/chromium/*/Cookies*",
    ".config/google-chrome/*/History*",
    ".config/google-chrome/*/Cookies*",
)
"""Shell patterns below a home folder, from the FILES sections of the programs' manual pages and
their documentation."""


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.glob(*(f"{literal(home.path)}/{name}" for home in guest.homes() for name in _HISTORIES)))
