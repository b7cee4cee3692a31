"""The /dev that libvirt's daemon gets where KVM does not work."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "imagebuild/without-kvm.sh"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_nothing_of_the_old_dev_is_left_for_libvirt_to_find() -> None:
    """libvirt moves each mount that it finds below /dev; it fails on one that is hidden."""
    container = "mount --bind /dev/zero /dev/full && exec sh "  # as podman makes the nodes of a container
    shown = "cat /proc/self/mounts; test -c /dev/full && test ! -e /dev/kvm"
    argv = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", f'{container} "$@"', "-", SCRIPT]
    done = subprocess.run([*argv, "sh", "-c", shown], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    folders = [line.split()[1] for line in done.stdout.splitlines()]
    below = Counter(one for one in folders if one == "/dev" or one.startswith("/dev/"))
    assert below["/dev"] == 1
    assert "/dev/full" not in below
