"""A root archive has the same bytes, whether it continues from stored roots or from none: with the real
mmdebstrap, from this host's mirror.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from imagebuild.build.step_cache import Settings, StepCache
from imagebuild.kickstrap import foundation, payload, release_date, steps
from imagebuild.kickstrap.mirror import Mirror, host_mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.kickstrap.stored_roots import StoredRoots
from imagebuild.progress import SILENT, SILENT_REPORTER
from imagebuild.step import Tools
from imagebuild.store.store import Store

TOOLS = Tools(mmdebstrap="1.3.5", libguestfs="1", qemu="1")
COMMON = ("adduser", "dbus", "openssh-server", "tzdata", "vim-tiny")
"""Packages with system users, alternatives, questions of debconf, units and triggers; no kernel."""
MORE = ("htop", "rsync", "sudo", "uuid-runtime", "vim-nox")
"""Another system user, another alternative."""


def stored_roots(entries: StepCache, mirror: Mirror) -> StoredRoots:
    state = release_date.look(mirror, "trixie")
    assert state is not None
    assert state.offered(("main",), "amd64")
    inputs_of = partial(steps.payload_inputs, tools=TOOLS)
    return StoredRoots(
        entries, state, TOOLS.mmdebstrap, partial(steps.payload_step, tools=TOOLS, world=None), inputs_of
    )


@pytest.mark.guestfs
def test_the_same_bytes_whichever_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foundation, "PACKAGES", frozenset(COMMON))
    mirror = host_mirror()
    store = Store(tmp_path / "store")
    (tmp_path / "work").mkdir()
    with ExitStack() as held:
        entries = StepCache("web", Settings(store, tmp_path), SILENT_REPORTER, tmp_path / "work", held)
        roots = stored_roots(entries, mirror)
        small = PayloadSpec("trixie", mirror, packages=COMMON, epoch=roots.state.epoch)
        step = roots.step_of(small)
        first = payload.read(entries.make(step, lambda folder, _: payload.build(small, folder, SILENT, roots).sha256))
        spec = PayloadSpec("trixie", mirror, packages=COMMON + MORE, epoch=roots.state.epoch)
        continued = payload.build(spec, tmp_path / "continued", SILENT, roots)
    assert [path.name for path in (tmp_path / "store" / "payload").iterdir()] == [step.fingerprint]
    assert len([*(tmp_path / "store" / "base").iterdir()]) == 1
    assert first.packages.items() < continued.packages.items()
    assert first.offered == continued.offered == roots.state.offered(("main",), "amd64")

    again = PayloadSpec("trixie", mirror, packages=tuple(reversed(COMMON + MORE)), epoch=roots.state.epoch - 60)
    alone = payload.build(again, tmp_path / "alone", SILENT)
    assert alone.packages == continued.packages
    assert alone.sha256 == continued.sha256


@pytest.mark.guestfs
def test_a_foundation_that_apt_would_not_choose_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, ssmtp's virtual package would be chosen differently than beside what also provides it."""
    monkeypatch.setattr(foundation, "PACKAGES", frozenset({"bsd-mailx"}))
    mirror = host_mirror()
    spec = PayloadSpec("trixie", mirror, packages=("bsd-mailx", "msmtp-mta"))
    made = payload.build(spec, tmp_path / "into", SILENT)
    assert "msmtp-mta" in made.packages
    assert not [name for name in made.packages if name.startswith(("exim4", "postfix"))]
