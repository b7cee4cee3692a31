"""The SSH server listens, has host keys, and accepts no passwords.

Something listens on port 22, there are host keys in ``/etc/ssh``, and the configuration as
``sshd -T`` prints it for root, with everything that is included, does not accept passwords.
``PermitRootLogin yes`` counts only where passwords are accepted. How the server behaves from outside
is what ssh-answers checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import Field

from imagebuild.verify import check, printed
from imagebuild.verify.check import NothingToCheck, Printed

_SETTINGS = "sshd -T -C user=root,host=localhost,addr=127.0.0.1 2>&1"
PROBES = {
    "server": "command -v sshd || echo none",
    "listening": "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -e local_address -e ' 0A '",
    "keys": "ls /etc/ssh/ssh_host_*_key 2>/dev/null || echo none",
    # A server that is started by a socket has its folder only while somebody is connected.
    "settings": (
        f"sshd=$(command -v sshd) || exit 1; out=$({_SETTINGS.replace('sshd', '$sshd', 1)}); s=$?; "
        'case $out in *"privilege separation directory: /run/sshd"*) mkdir -m 0755 /run/sshd; '
        f'out=$({_SETTINGS.replace("sshd", "$sshd", 1)}); s=$?; rmdir /run/sshd;; esac; echo "$out"; exit $s'
    ),
}


class Params(check.Params):
    password_authentication: bool = Field(default=False, description="whether the server may accept passwords")
    root_password: bool = Field(default=False, description="whether root may log in with a password")


def judge(seen: Mapping[str, Printed], params: Params) -> Iterator[str]:
    if printed.text(seen, "server", "the path of sshd").strip() == "none":
        raise NothingToCheck("the guest has no SSH server")
    problems = []
    if not any(listens(line, 22) for line in printed.lines(seen, "listening", "the list of sockets")):
        problems.append("nothing listens on port 22")
    keys = printed.text(seen, "keys", "the list of host keys").split()
    if keys == ["none"]:
        problems.append("/etc/ssh has no host keys")
    yield from problems
    output = printed.output(seen, "settings")
    settings = dict(re.findall(r"^([a-z0-9]+) (\S+)", output.text, re.MULTILINE))
    if output.status != 0 or not {"passwordauthentication", "permitrootlogin"} <= set(settings):
        if not problems:
            raise printed.unreadable("the configuration of sshd")
        return
    yield from _passwords(settings, params)


def _passwords(settings: dict[str, str], params: Params) -> Iterator[str]:
    names = {
        "passwordauthentication": "PasswordAuthentication",
        "kbdinteractiveauthentication": "KbdInteractiveAuthentication",
        "challengeresponseauthentication": "ChallengeResponseAuthentication",
    }
    accepting = [f"{name} {settings[key]}" for key, name in names.items() if settings.get(key, "no") != "no"]
    if accepting and not params.password_authentication:
        yield f"sshd accepts passwords: {', '.join(accepting)}"
    if accepting and not params.root_password and settings["permitrootlogin"] == "yes":
        yield "root may log in with a password: PermitRootLogin yes"


def listens(line: str, port: int) -> bool:
    """Whether a line of /proc/net/tcp or tcp6 is a listening socket of a port."""
    words = line.split()
    return len(words) > 3 and words[3] == "0A" and words[1].endswith(f":{port:04X}")
