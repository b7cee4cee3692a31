"""One store for all end-to-end tests: the installer's runtime and the root archive are built once,
for real.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imagebuild.customise import registry
from imagebuild.host import daemons, hypervisor
from imagebuild.store.store import Store

KICKSTART_HEAD = """\
{% import "macros.ks.j2" as imagebuild %}
cmdline
lang C.UTF-8
keyboard us
timezone --utc UTC
{{ imagebuild.source(payload) }}
{{ imagebuild.root(root) }}
zerombr
STORAGE
bootloader --location=mbr --timeout=1 --append={{ kernel_arguments | join(" ") }}
poweroff
%packages --nocore --exclude-weakdeps
"""
"""A small guest, up to its packages: a test puts its disks in the place of STORAGE."""
PASSWORD = "only for this test"
RECIPE = """\
name: small
os: {family: debian, version: 13, codename: trixie}
disk: {size: 2GiB}
vm: {timeout: 20m, vcpus: 1}
root:
  password: {env: SMALL_ROOT_PASSWORD}
kernel_arguments: [net.ifnames=0, biosdevname=0, console=tty0, "console=ttyS0,115200n8"]
packages: [lrzsz, net-tools, qemu-guest-agent, screen, tree, vim, wget]
operations:
"""
RECIPE += "".join(f"  - {name}\n" for name in (*registry.HOUSE_RULES, *registry.TEMPLATE))


@dataclass(frozen=True)
class Ended:
    """A finished run of the command line."""

    code: int
    events: list[dict[str, Any]]
    stderr: str

    def last(self, event: str) -> dict[str, Any]:
        return [found for found in self.events if found["event"] == event][-1]


@dataclass(frozen=True)
class Project:
    """A user's project folder, in which the command line is run as a user would, in a separate
    process.
    """

    folder: Path
    store: Path

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *words: str, store: Path | None = None) -> subprocess.Popen[str]:
        env = {**os.environ, "IMAGEBUILD_STORE": str(store or self.store), "SMALL_ROOT_PASSWORD": PASSWORD}
        argv = [sys.executable, "-m", "imagebuild", *words]
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # as in a terminal, even if these tests run in a shell's background, which ignores it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def finish(self, process: subprocess.Popen[str], timeout: float = 1500) -> Ended:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        finally:
            process.kill()
            process.wait()
        events = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]
        return Ended(process.returncode, events, stderr)

    def run(self, *words: str, store: Path | None = None, timeout: float = 1500) -> Ended:
        return self.finish(self.start(*words, store=store), timeout)

    def interrupt_at(self, pattern: str, signum: signal.Signals, *words: str) -> Ended:
        """Run with ``--json``, send the signal when a line of output matches, and wait for the end."""
        process = self.start(*words, "--json")
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if re.search(pattern, line):
                process.send_signal(signum)
                break
        else:
            pytest.fail(f"{pattern!r} never came: {seen[-3:]} {process.communicate()[1]}")
        ended = self.finish(process, timeout=120)
        return Ended(ended.code, [*map(json.loads, seen), *ended.events], ended.stderr)


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """The project with its recipe ``small``, in a folder that QEMU's user can reach.

    IMAGEBUILD_E2E_FOLDER names a folder that stays: a second run of the tests then finds what the
    first built.
    """
    kept = os.environ.get("IMAGEBUILD_E2E_FOLDER")
    folder = Path(kept or tempfile.mkdtemp(prefix="imagebuild-e2e-", dir="/var/tmp"))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    made = Project(folder / "project", folder / "store")
    made.write("recipes/small.yaml", RECIPE)
    try:
        yield made
    finally:
        if not kept:
            shutil.rmtree(folder)


@pytest.fixture(scope="session")
def built(project: Project) -> Ended:
    """The recipe ``small``, built from scratch: runtime, root archive, installation, customising,
    conversion.
    """
    ended = project.run("build", "small", "--json")
    assert ended.code == 0, f"{ended.events[-3:]} {ended.stderr}"
    return ended


@pytest.fixture
def variant(project: Project, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Write a recipe like ``small`` with some lines replaced, named after the test."""

    def write(*replacements: tuple[str, str]) -> str:
        name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")[:40]
        text = RECIPE.replace("name: small", f"name: {name}")
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        project.write(f"recipes/{name}.yaml", text)
        return name

    return write


def end_private_daemon() -> None:
    """End the libvirt daemon that imagebuild started for these tests, if there is one."""
    daemon = daemons.private_daemon()
    if daemon is not None:
        os.kill(daemon, signal.SIGTERM)
        while Path(f"/proc/{daemon}").exists():
            time.sleep(0.1)


def leftovers(project: Project) -> list[str]:
    """What a build must not leave: domains, work folders, incomplete entries and artifacts, mounts,
    processes. What builds of other stores use while these tests run is theirs.
    """
    with hypervisor.connected(hide_kvm=True) as connection:
        domains = {name: connection.xml(name) for name in connection.names() if name.startswith("imagebuild-")}
        found = [name for name, xml in domains.items() if str(project.store) in xml]
        found += [path for path in connection.pools().values() if Path(path).is_relative_to(project.store)]
    found += Store(project.store).runs.dead()
    found += [str(path) for path in project.store.glob("work/*")]
    found += [str(path) for path in project.store.glob("*/.*")]
    elsewhere = "".join(xml for name, xml in domains.items() if name not in found)
    kernels = map(str, Path("/var/lib/libvirt/boot").glob("virtinst-*"))
    found += [path for path in kernels if path not in elsewhere]
    found += [str(path) for path in (project.folder / "artifacts").glob("*/.*")]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if str(project.folder.parent) in line]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = command.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(project.store) in text and "pytest" not in text:
            found.append(text)
    return found


@pytest.fixture
def nothing_left(project: Project) -> Iterator[None]:
    """Check after the test that nothing is left behind; processes get a moment to end."""
    yield
    for _ in range(50):
        if not leftovers(project):
            return
        time.sleep(0.2)
    assert leftovers(project) == []
