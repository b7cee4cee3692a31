"""An appliance that has already started: machines continue from the saved state of an earlier one.

Only under emulation, where starting takes most of the time of a short piece of work.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from imagebuild.log import logger
from imagebuild.printable import shell_word

_PROGRAM = Path(__file__).with_name("qemu_wrapper") / "saved_machine.py"


_STATES, _WRAPPER = "started", "qemu"


def own_folder_name() -> str:
    """The name of this user's folder in libguestfs's cache folder."""
    return f".imagebuild-{os.geteuid()}"


def use(handle: Any, folder: Path) -> None:
    """Have libguestfs start QEMU through ``qemu_wrapper``, which keeps its files in ``folder``, unless
    the user has chosen a QEMU."""
    if os.environ.get("LIBGUESTFS_HV") or os.environ.get("LIBGUESTFS_QEMU"):
        return
    states, wrapper = folder / _STATES, folder / _WRAPPER
    words = (sys.executable, "-I", "-S", str(_PROGRAM), str(handle.get_hv()), str(states))
    # libguestfs looks at its time to know whether it is the QEMU that it knows, so it is replaced only if it differs.
    text = f'#!/bin/sh\nexec {" ".join(map(shell_word, words))} "$@"\n'
    try:
        states.mkdir(mode=0o700, exist_ok=True)
        if not wrapper.is_file() or wrapper.read_text() != text:
            new = folder / f".qemu.{os.getpid()}"
            new.write_text(text)
            new.chmod(0o700)
            new.replace(wrapper)
    except OSError as error:
        logger.debug("the libguestfs appliance is started from the beginning: %s", error)
        return
    handle.set_hv(str(wrapper))


def discard(handle: Any) -> bool:
    """Remove all saved states after a start failed, one of which may be damaged: until the next ``use``
    machines start from the beginning. Returns whether ``handle`` would have used one."""
    states = Path(str(handle.get_hv())).with_name(_STATES)
    if states.parent.name != own_folder_name() or not states.is_dir():
        return False
    shutil.rmtree(states, ignore_errors=True)
    return True
