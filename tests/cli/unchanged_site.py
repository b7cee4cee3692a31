"""A project whose image is there already, in a copy of imagebuild that tests may change: what
``test_unchanged_build`` works with. Nothing is built; a build that would begin ends with an error.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import imagebuild

ROOT = Path(imagebuild.__file__).parent.parent
LONG = 75
"""The exit code instead of going the long way, where that is not to be gone."""
START = """
import atexit, os, sys, types

def run(*_):
    from imagebuild.errors import HostError
    raise HostError("this would be built")

pipeline = types.ModuleType("imagebuild.build.pipeline")
pipeline.run = run
sys.modules["imagebuild.build.pipeline"] = pipeline

def ended():
    with open(os.environ["PLANNED"], "w") as file:
        file.write(str("imagebuild.build.plan" in sys.modules))

atexit.register(ended)
exec(os.environ.get("FIRST", ""))
from imagebuild.cli import main
if os.path.exists(os.path.join(os.path.dirname(os.environ["PLANNED"]), "short")):
    main._root = lambda: sys.exit(75)
main.main()
"""
RECIPE = """\
extends: base/own.yaml
name: web
root:
  ssh_keys:
    - {file: ../files/key.pub}
operations:
  - reset-machine-id
  - copy-in: {source: ../files/motd, path: /etc/motd}
  - copy-in: {source: ../files/tree, path: /srv/tree}
verify:
  checks:
    - script: {file: ../files/check.sh}
"""
BASE = """\
extends: base/more.yaml
os: {family: debian, version: 13, codename: trixie}
installer: {mirror: "http://mirror.invalid/debian"}
"""
QUIET = "lint: {ignore: {shared-identity: this is only a test}}\n"
MORE = "vm: {virt_type: qemu}\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f somebody\n"
PROGRAM = "#!/bin/sh\necho {} {}\n"
SIZE = 5


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``planned`` says whether it went the long way."""

    code: int
    output: str
    errors: str
    planned: bool


class UnchangedSite:
    """The project in ``folder/project``, with all else that its build depends on beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project, self.tree, self.programs = folder / "project", folder / "tree", folder / "programs"
        self.store, self.home, self.libraries = folder / "store", folder / "home", folder / "libraries"
        self.output = self.project / "artifacts" / "web"
        self.version = self.output / "2026-11-30.1"
        self.environment: dict[str, str] = {}
        self._write_project()
        for name in ("mmdebstrap", "guestfish", "qemu-img"):
            self.write(self.programs / name, PROGRAM.format(name, "1.2.3"), mode=0o755)
        self._copy_code()
        self.program = folder / "installed" / "imagebuild"
        self.write(self.program, START)
        self.home.mkdir()

    def _write_project(self) -> None:
        self.write(self.project / "recipes" / "web.yaml", RECIPE)
        self.write(self.project / "recipes" / "base" / "own.yaml", BASE)
        self.write(self.project / "recipes" / "base" / "more.yaml", MORE + QUIET)
        files = self.project / "files"
        self.write(files / "motd", "hello\n")
        self.write(files / "check.sh", "true\n")
        self.write(files / "key.pub", KEY)
        self.write(files / "tree" / "inner" / "page", "text\n")
        (files / "tree" / "link").symlink_to("inner/page")

    def _copy_code(self) -> None:
        shutil.copytree(ROOT / "imagebuild", self.tree / "imagebuild")
        for name in ("recipes", "kickstart"):
            shutil.copytree(ROOT / name, self.tree / name)
        shutil.copy2(ROOT / "pyproject.toml", self.tree)
        import platformdirs

        shutil.copytree(Path(platformdirs.__file__).parent, self.libraries / "platformdirs")

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def variables(self) -> dict[str, str]:
        """The environment of a command."""
        return {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{self.libraries}:{self.tree}",
            "IMAGEBUILD_STORE": str(self.store),
            "PLANNED": str(self.folder / "planned"),
            **self.environment,
        }

    def start(self, *words: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start `imagebuild` with these words in the project's folder."""
        return subprocess.Popen(
            [sys.executable, self.program, *words],
            cwd=self.project,
            env=self.variables(),
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Ended:
        output, errors = process.communicate(timeout=300)
        planned = (self.folder / "planned").read_text() == "True"
        return Ended(process.returncode, output or "", errors, planned)

    def run(self, *words: str) -> Ended:
        return self.ended(self.start(*words))

    def build(self, *options: str) -> Ended:
        return self.run("build", "web", *options)

    def make(self) -> None:
        """Make the artifact of the recipe as it is now, which has passed its checks."""
        planned = self.run("plan", "web", "--json")
        assert planned.code == 0, planned
        steps = {one["step"]: one["fingerprint"] for one in json.loads(planned.output)["steps"]}
        image = {"file": "web.qcow2", "size": SIZE, "virtual_size": 1 << 30, "sha256": "0"}
        recorded, versions = self._checks()
        verified = {name: {"version": version, "status": "passed"} for name, version in versions.items()}
        manifest = {
            "fingerprint": steps["convert"],
            "image": image,
            "checks": recorded,
            "verification": {"verdict": "passed", "seconds": 1.0, "checks": verified},
        }
        self.version.mkdir(parents=True, exist_ok=True)
        (self.version / "web.qcow2").write_bytes(bytes(SIZE))
        (self.version / "manifest.json").write_text(json.dumps(manifest))
        latest = self.output / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(self.version.name)

    def _checks(self) -> tuple[list[object], Mapping[str, object]]:
        """The checks of the recipe, as its manifest has them, and their versions."""
        code = (
            "import json; from imagebuild.build import checks, verdict; from imagebuild.recipe.load import load;"
            "from imagebuild.verify.verification import versions; calls = verdict.wanted(load('web'), asked=None);"
            "print(json.dumps([checks.recorded(calls), versions(calls)]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.project, env=self.variables(), capture_output=True, check=True
        )
        recorded, versions = json.loads(done.stdout)
        return recorded, versions

    def goes_short(self) -> bool:
        """Whether a build would take the short way; it does not go the long one."""
        (self.folder / "short").touch()
        try:
            done = self.build()
        finally:
            (self.folder / "short").unlink()
        assert done.code in (0, LONG), done
        return done.code == 0

    def remember(self, *options: str) -> Ended:
        """Build until that takes the short way, and return its end."""
        for _ in range(4):
            done = self.build(*options)
            if not done.planned:
                return done
            time.sleep(1.1)  # files that are loaded and quite new are not taken to be what was loaded
        raise AssertionError(f"nothing is remembered: {done}")

    def records(self) -> list[Path]:
        """The files with what is remembered."""
        return sorted((self.home / ".cache" / "imagebuild-unchanged").glob("*.json"))

    def forget(self) -> None:
        for path in self.records():
            path.unlink()

    def recorded(self) -> list[dict[str, object]]:
        """The builds in the history, the newest first."""
        return [json.loads(line) for line in self.run("history", "--json").output.splitlines()]


def touched(path: Path) -> None:
    """Give a file new times, as an upgrade does."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
