"""An appliance that has already started: later machines continue from the state of the first one.

Only under emulation, where a start takes most of the time of a short piece of work.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from imagebuild.guest import warm_machine
from imagebuild.log import logger
from imagebuild.printable import shell_word


def use(handle: Any, folder: Path) -> None:
    """Have libguestfs start QEMU through ``warm_machine``, which keeps its files in ``folder``, unless the user
    has chosen a QEMU."""
    if os.environ.get("LIBGUESTFS_HV") or os.environ.get("LIBGUESTFS_QEMU"):
        return
    states = folder / "started"
    wrapper = folder / "qemu"
    words = (sys.executable, "-I", "-S", warm_machine.__file__, str(handle.get_hv()), str(states))
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
