"""A nightly run that is killed at any instant is completed by the next one, with the same end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.nightly.nightly_site import PACKAGES, NightlySite, copied

KILLED = 99
NOT_KILLED = 0


def run_and_kill(site: NightlySite, at: int) -> int:
    """A run in a process that ends without any cleaning up just before its ``at``-th rename, by which
    every file and folder of a run gets its final name. The exit status.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.chdir(site.folder)
            _end_before_rename(at)
            site.run()
            status = NOT_KILLED
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _end_before_rename(at: int) -> None:
    renamed, left = Path.rename, [at]

    def rename(self: Path, target: Any) -> Path:
        left[0] -= 1
        if left[0] < 0:
            os._exit(KILLED)
        return renamed(self, target)

    Path.rename = rename  # type: ignore[method-assign]  # in this process only, which ends soon


@pytest.fixture
def prepared(site: NightlySite) -> NightlySite:
    """Two images that were built before. Now one of them has another package, and one loses one."""
    site.write("alpha", "beta", more="  keep: {versions: 2, templates: 1}\n")
    site.run()
    for name in ("alpha", "beta"):
        site.change(name, "2")
    site.packages = {"alpha": {**PACKAGES, "zip": "3.0-15"}, "beta": {"vim": "2:9.1.1230-2"}}
    return site


@pytest.mark.seconds
def test_it_ends_the_same(prepared: NightlySite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = copied(prepared, tmp_path / "whole")
    monkeypatch.chdir(whole.folder)
    assert whole.run().failed == ("beta",)
    wanted = whole.state()
    assert wanted["links"] == {
        "alpha/latest": "2026-11-29.2", "alpha/good": "2026-11-29.2",
        "beta/latest": "2026-11-29.2", "beta/good": "2026-11-29.1",
    }  # fmt: skip
    at = 0
    while True:
        again = copied(prepared, tmp_path / f"killed-{at}")
        ended = run_and_kill(again, at)
        if ended == NOT_KILLED:
            break
        assert ended == KILLED
        monkeypatch.chdir(again.folder)
        finished = again.run()
        assert (finished.exit_code, finished.failed, at) == (1, ("beta",), at)
        assert again.state() == wanted, f"killed before rename {at}"
        at += 1
    assert at > 15
