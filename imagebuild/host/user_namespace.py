"""Whether this user may make user namespaces, in which mmdebstrap builds root file systems.

Containers often do not allow it: by a limit, by a seccomp filter, or because setuid programs such as
newuidmap have no effect in them. So it is tried.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from imagebuild.errors import HostError
from imagebuild.host.process import environment, run
from imagebuild.host.system_packages import install_program

_SUBUID = Path("/etc/subuid")
_LIMIT = Path("/proc/sys/user/max_user_namespaces")


def require() -> None:
    """Make a user namespace with a range of users, as mmdebstrap does.

    Raises HostError with the reason if that fails, and with what would help.
    """
    own = run(["unshare", "--user", "true"], timeout=60, check=False)
    if own.returncode != 0:
        raise HostError(*_forbidden(own.stdout))
    if shutil.which("newuidmap", path=environment()["PATH"]) is None:
        raise HostError("newuidmap is not installed", install_program("newuidmap"))
    name = user_name()
    granted = _SUBUID.read_text().splitlines() if _SUBUID.exists() else []
    if not any(line.startswith((f"{name}:", f"{os.getuid()}:")) for line in granted):
        hint = f"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
        raise HostError(f"{name} has no range in {_SUBUID}", hint)
    mapped = run(["unshare", "--user", "--map-root-user", "--map-auto", "true"], timeout=60, check=False)
    if mapped.returncode != 0 and "--map-auto" not in mapped.stdout:  # util-linux before 2.38 does not know it
        raise HostError(
            f"newuidmap cannot map the range of {name}: {_last_line(mapped.stdout)}",
            "a container without new privileges disables it: start it without that restriction, or build as root",
        )


def user_name() -> str:
    """The name of this user, or the number of one that /etc/passwd does not have."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _forbidden(output: str) -> tuple[str, str]:
    """The reason and the hint for what unshare(1) printed."""
    if "No space left" in output:
        try:
            limit = _LIMIT.read_text().strip()
        except OSError:
            limit = "unknown"
        hint = "as root on the host: sysctl user.max_user_namespaces=10000; or build as root"
        return f"no further user namespace is allowed here (user.max_user_namespaces is {limit})", hint
    hint = (
        "in a container, its seccomp profile must allow unshare(2); on a host, see kernel.unprivileged_userns_clone and"
        " kernel.apparmor_restrict_unprivileged_userns; or build as root"
    )
    return f"user namespaces are not allowed here: {_last_line(output)}", hint


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["unshare failed"])[-1]
