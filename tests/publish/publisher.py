"""A user's project whose hosts are the fleet's, and the command line in it as a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagebuild.publish import definition, state
from imagebuild.publish.state import TemplateState
from tests.publish.conftest import DEFINITION
from tests.publish.fleet import FleetHost

MIB = 1 << 20


@dataclass(frozen=True)
class Finished:
    """A run of the command line that ended."""

    code: int
    events: list[dict[str, Any]]
    stderr: str

    @property
    def targets(self) -> dict[str, dict[str, Any]]:
        """The results by target."""
        assert self.events, self.stderr
        return {one["target"]: one for one in self.events[-1]["targets"]}


class Publisher:
    """A project in ``folder``. The template is called ``web``."""

    def __init__(self, folder: Path, hosts: Sequence[FleetHost], **more: str) -> None:
        self.folder = folder
        self.hosts = list(hosts)
        lines = ["hosts:"]
        for host in hosts:
            values = {"uri": host.uri, "identity_file": host.identity, "known_hosts_file": host.known_hosts, **more}
            lines += [f"  {host.name}:", *(f"    {key}: {value}" for key, value in values.items())]
        (folder / "imagebuild.yaml").write_text("\n".join(lines) + "\n")

    def artifact(self, number: int, *, mib: int = 4) -> Path:
        """Make version ``2026-11-29.<number>``, the latest one, of a disk with so many MiB of noise."""
        folder = self.folder / "artifacts" / "web" / f"2026-11-29.{number}"
        folder.mkdir(parents=True)
        raw, image = folder / "disk.raw", folder / "web.qcow2"
        with raw.open("wb") as file:
            for at in range(mib):
                file.write(hashlib.shake_256(f"{number} {at}".encode()).digest(MIB))
            file.truncate((mib + 4) * MIB)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", raw, image], check=True)
        raw.unlink()
        (folder / "web.xml").write_text(DEFINITION)
        entry = {
            "file": image.name, "format": "qcow2", "size": image.stat().st_size,
            "virtual_size": (mib + 4) * MIB, "sha256": self.digest(image),
        }  # fmt: skip
        manifest = {
            "name": "web", "version": folder.name, "image": entry, "fingerprint": "f" * 64, "packages": {},
            "verification": {"verdict": "passed"},
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))
        latest = folder.parent / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(folder.name)
        return folder

    @staticmethod
    def digest(path: Path) -> str:
        """The SHA-256 of a file."""
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the command line with ``--json``."""
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen(
            [sys.executable, "-m", "imagebuild", *words, "--json"],
            cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def run(self, *words: str, timeout: float = 400) -> Finished:
        """Run the command line to its end."""
        process = self.start(*words)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        finally:
            process.kill()
            process.wait()
        return Finished(process.returncode, [json.loads(line) for line in stdout.splitlines()], stderr)

    def run_until(self, happens: Sequence[tuple[str, Callable[[], object]]], *words: str) -> Finished:
        """Run to the end, and do something when a line of output matches: each pattern once, at once."""
        process = self.start(*words)
        assert process.stdout is not None
        waiting, events = list(happens), []
        for line in process.stdout:
            events.append(json.loads(line))
            for pattern, action in [one for one in waiting if re.search(one[0], line)]:
                threading.Thread(target=action).start()
                waiting.remove((pattern, action))
        _, stderr = process.communicate(timeout=60)
        assert not waiting, f"{waiting} never came: {events[-5:]} {stderr}"
        return Finished(process.returncode, events, stderr)

    def kill_after(self, seconds: float, *words: str) -> bool:
        """Start, and kill with SIGKILL after some time; False if it had ended by then."""
        process = self.start(*words)
        time.sleep(seconds)
        ended = process.poll() is not None
        process.kill()
        process.communicate()
        return not ended


def record(host: FleetHost, template: str = "web") -> TemplateState | None:
    """The record on a host, as virsh shows it."""
    if template not in host.virsh("list", "--all", "--name").split():
        return None
    found = host.virsh("metadata", template, "--uri", definition.NAMESPACE, "--config")
    text = definition.record_in(found)
    assert text is not None
    return state.decoded(text, template)


def versions(host: FleetHost) -> str:
    """The current version on a host and the other ones, by number: ``3 (1 2)``."""
    found = record(host)
    if found is None:
        return ""
    others = [number(one.version) for one in found.versions if one.version != found.current]
    return f"{number(found.current)} ({' '.join(others)})" if others else number(found.current)


def number(version: str) -> str:
    return version.rpartition(".")[2]


def wrong_files(host: FleetHost) -> list[str]:
    """The files in a host's record that do not have the recorded bytes, as sha256sum says there."""
    found = record(host)
    if found is None:
        return []
    wrong = []
    for file in (file for one in found.versions for file in one.files):
        said = host.run("sh", "-c", f"sha256sum '{host.pool_path}/{file.name}' 2>&1 || true")
        if not said.startswith(file.sha256):
            wrong.append(f"{file.name}: {said}")
    return wrong


def pool_files(host: FleetHost) -> list[str]:
    """All names in the pool's folder, hidden ones as well."""
    return sorted(host.run("ls", "-A", host.pool_path).split())
