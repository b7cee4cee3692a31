"""``python3 -m agent [KS.CFG]``: installs, then always powers off.

Standard output is the serial console. A detailed log goes to the virtio port that virt-install
provides for installers, if it exists, and to /run/kickstrap/install.log.
"""

from __future__ import annotations

import os
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

from .console import EventConsole
from .errors import InstallError

KICKSTART = Path("/run/kickstrap/ks.cfg")
LOG_FILE = Path("/run/kickstrap/install.log")
LOG_PORT = "org.fedoraproject.anaconda.log.0"


def main(argv: list[str]) -> None:
    console = EventConsole(1, _logs())
    try:
        console.started()
        _install(Path(argv[1]) if len(argv) > 1 else KICKSTART, console)
    except InstallError as error:
        console.failed(str(error))
    except BaseException as error:  # noqa: BLE001 - a VM must not hang on anything
        _explain(console, error)
    finally:
        power_off()


def _install(kickstart: Path, console: EventConsole) -> None:
    # Imported late: these take a second under emulation, and the host waits for the first event.
    from . import identity, inclusion, machine, plan, syntaxes
    from .command import CommandRunner
    from .install import Installation
    from .kickstart import read, read_again

    text = kickstart.read_text(encoding="utf-8")
    command_line = Path("/proc/cmdline").read_text(encoding="ascii", errors="replace")
    given, syntax, firmware = identity.given(command_line), syntaxes.given(command_line), machine.firmware(command_line)
    commands = CommandRunner(console.log, environment=given.environment)
    handler = read(text, syntax, console.log)

    def again() -> plan.InstallPlan:
        whole = read_again(text, handler, firmware, syntax, console.log)
        return plan.make(whole.handler, firmware, whole.origins)

    later = again if any(inclusion.lines(text)) else None
    Installation(plan.make(handler, firmware), console, commands, identity=given, read_again=later).run()


def _explain(console: EventConsole, error: BaseException) -> None:
    import traceback

    for line in traceback.format_exception(error):
        for part in line.rstrip().splitlines():
            console.log(part)
    console.failed(f"unexpected {type(error).__name__}: {error}")


def _logs() -> list[int]:
    """Descriptors of the log file and, if the VM has one, of the log port (without blocking)."""
    logs = []
    with suppress(OSError):
        LOG_FILE.parent.mkdir(parents=True, exist_ok=True)
        logs.append(os.open(LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    for port in Path("/sys/class/virtio-ports").glob("*/name"):
        with suppress(OSError):
            if port.read_text().strip() == LOG_PORT:
                logs.append(os.open(f"/dev/{port.parent.name}", os.O_WRONLY | os.O_NONBLOCK))
    return logs


def power_off() -> None:
    """Drain the console, write everything to disk, power off."""
    with suppress(OSError, termios.error):
        termios.tcdrain(1)
    os.sync()
    trigger = Path("/proc/sysrq-trigger")
    # u: file systems read-only, o: power off; b: reboot, to end at least, if there is no ACPI.
    for key, patience in (("u", 0.2), ("o", 20.0), ("b", 20.0)):
        with suppress(OSError):
            trigger.write_text(key)
            time.sleep(patience)


if __name__ == "__main__":
    if os.getpid() != 1 and not Path("/run/kickstrap").is_dir():
        sys.exit("this is kickstrap's installer: it erases the disk, and runs only in the install VM")
    main(sys.argv)
