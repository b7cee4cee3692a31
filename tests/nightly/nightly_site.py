"""A project with images that are made without machines, and nightly runs over it.

Everything is real but the machine: recipes are planned, artifacts have images made by qemu-img,
inventories and manifests with the fingerprint of the plan, and are published to folders.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from imagebuild.build.scheduler import Outcome
from imagebuild.build.step_cache import Settings
from imagebuild.contents.encoding import INVENTORY, packed
from imagebuild.errors import VerificationFailed
from imagebuild.events import ArtifactReady, ErrorReported
from imagebuild.files import sha256
from imagebuild.machine import domain_xml
from imagebuild.nightly import selecting, stages
from imagebuild.nightly.building import NightlyBuilds, PlannedImage
from imagebuild.nightly.image_run import Surroundings
from imagebuild.nightly.journal import NightlyJournal
from imagebuild.nightly.outcome import NightlyEnded, NightlyImageResult
from imagebuild.nightly.running import NightlyRun
from imagebuild.nightly.stages import Publisher
from imagebuild.progress import SILENT_REPORTER
from imagebuild.project.load import load
from imagebuild.store.artifact import Artifact, ArtifactFolder
from imagebuild.store.store import Store
from tests.contents.inventories import inventory

MIB = 1 << 20
IMAGES = ("alpha", "beta", "delta", "gamma")
RECIPE = """\
name: {name}
os: {{family: debian, version: 13, codename: trixie}}
disk: {{size: 2GiB}}
verify: {{enabled: {verify}}}
packages: [tree]
operations:
  - write-file: {{path: /etc/motd, text: "{motd}"}}
"""
PROJECT = """\
targets:
  t1: {{url: t1}}
  t2: {{url: t2}}
nightly:
  if_changed: false
  gates: [size-growth=10%, package-removed]
  publish: {{to: [all], unverified: true}}
  metrics: images.prom
{more}"""
PACKAGES = {"bash": "5.2.37-2", "vim": "2:9.1.1230-2"}


@dataclass
class NightlySite:
    """The project in ``folder``, which is the current folder. ``packages`` are what the next build of an
    image contains, ``mib`` the size of its image; ``broken`` builds fail, ``unusable`` ones fail their checks.
    ``today`` is what the clock says.
    """

    folder: Path
    packages: dict[str, dict[str, str]] = field(default_factory=dict)
    mib: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    unusable: set[str] = field(default_factory=set)
    built: list[str] = field(default_factory=list)
    today: date = date(2026, 11, 29)

    def write(self, *names: str, more: str = "", verify: bool = False) -> None:
        """Write the project's file, and recipes of these images."""
        (self.folder / "recipes").mkdir(exist_ok=True)
        for place in ("t1", "t2"):
            (self.folder / place).mkdir(exist_ok=True)
        self.configure(more)
        for name in names:
            self.change(name, "hello", verify=verify)

    def configure(self, more: str) -> None:
        (self.folder / "imagebuild.yaml").write_text(PROJECT.format(more=more))

    def change(self, name: str, motd: str, *, verify: bool = False) -> None:
        """Change a recipe, so that its image is out of date."""
        text = RECIPE.format(name=name, motd=motd, verify=str(verify).lower())
        (self.folder / "recipes" / f"{name}.yaml").write_text(text)

    def run(self, *names: str, accept: Sequence[str] = ()) -> NightlyEnded:
        """A nightly run."""
        return self.prepared(*names, accept=accept).go()

    def prepared(self, *names: str, accept: Sequence[str] = ()) -> NightlyRun:
        """A run that has not begun."""
        project, output = load(), self.folder / "artifacts"
        sign, keys = stages.signing(project)
        around = Surroundings(
            output, NightlyJournal(output), Publisher(project, SILENT_REPORTER), self.folder / "reports", sign, keys,
            frozenset(accept),
        )  # fmt: skip
        store = Store(self.folder / "store")
        settings = Settings(store, output, if_changed=project.nightly.if_changed)
        self.built.clear()
        selected = selecting.selected(project, names)
        return NightlyRun(selected, around, NightlyBuilds(settings, SILENT_REPORTER), build=self.make)

    def make(self, planned: Sequence[PlannedImage], builds: NightlyBuilds, ended: Callable[[Outcome], None]) -> None:
        """Make the artifacts, instead of virtual machines that install them."""
        for one in planned:
            name = one.wanted.name
            self.built.append(name)
            error = None
            if name in self.broken:
                error = ErrorReported(message="the mirror is gone", exit_code=1, console=("E: 404",))
            elif name in self.unusable:
                failure = VerificationFailed(f"{name} did not pass its verification: sshd: not running")
                error = ErrorReported(message=failure.message, exit_code=1)
                builds.reporter.failed[name] = "verify"  # type: ignore[attr-defined]
            ended(Outcome(name, 1.0, error or self._artifact(one)))

    def _artifact(self, planned: PlannedImage) -> ArtifactReady:
        assert planned.outlook is not None
        name, plan = planned.wanted.name, planned.outlook.plan
        folder = ArtifactFolder(self.folder / "artifacts", name)
        if planned.outlook.artifact is not None:  # as engine.build completes a build that was killed at its end
            folder.make_latest(planned.outlook.artifact.version)
            return _ready(planned.outlook.artifact)
        packages = self.packages.get(name, PACKAGES)
        with folder.new(self.today) as new:
            image = _image(new.folder, name, self.mib.get(name, 1))
            content = packed(inventory(packages=packages))
            (new.folder / INVENTORY).write_bytes(content)
            data: dict[str, Any] = {
                "schema": 1, "name": name, "version": new.folder.name[1:].rpartition(".")[0],
                "fingerprint": plan.convert.fingerprint, "image": image, "extra_images": [],
                "inventory_sha256": hashlib.sha256(content).hexdigest(), "packages": packages,
                "recipe": {"os": {}}, "built": {"ended": "2026-11-29T03:00:00+00:00"},
            }  # fmt: skip
            if planned.wanted.recipe.verify.enabled:
                data["verification"] = {"verdict": "passed"}
            (new.folder / "manifest.json").write_text(json.dumps(data))
            new.domain.write_text(domain_xml.definition(planned.wanted.recipe))
        made = folder.latest()
        assert made is not None
        return _ready(made)

    def state(self) -> dict[str, Any]:
        """All that must be the same whether a run was killed or not: without times."""
        out = self.folder / "artifacts"
        links = {
            f"{path.parent.name}/{path.name}": str(path.readlink()) for path in out.glob("*/*") if path.is_symlink()
        }
        versions = sorted(f"{path.parent.name}/{path.name}" for path in out.glob("*/*") if not path.is_symlink())
        records = {path.name: path.read_text().replace(str(self.folder), "") for path in out.glob(".nightly/**/*.json")}
        journal = {name: without_times(json.loads(text)) for name, text in records.items()}
        hidden = [str(path) for path in out.glob("*/.*")] if out.exists() else []
        places = {
            path.parent.name + "/" + path.name: json.loads(path.read_text()).get("current")
            for place in ("t1", "t2")
            for path in sorted((self.folder / place).glob("*.json"))
        }
        files = sorted(path.name for place in ("t1", "t2") for path in (self.folder / place).glob("*.qcow2"))
        return {
            "links": links, "versions": [one for one in versions if not one.startswith(".nightly")], "journal": journal,
            "hidden": hidden, "places": places, "files": files,
            "reports": sorted(path.name for path in (self.folder / "reports").glob("*")),
        }  # fmt: skip


def _ready(made: Artifact) -> ArtifactReady:
    return ArtifactReady(
        unchanged=False, recipe=made.recipe, version=made.version, image=str(made.image), manifest="manifest.json"
    )


def without_times(value: Any) -> Any:
    """A JSON value without what differs from run to run."""
    if isinstance(value, dict):
        left_out = ("seconds", "last_run", "last_success", "stages", "sent", "status", "new")
        return {key: without_times(inner) for key, inner in value.items() if key not in left_out}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def _image(folder: Path, name: str, mib: int) -> dict[str, Any]:
    raw, path = folder / "raw", folder / f"{name}.qcow2"
    raw.write_bytes(hashlib.shake_256(f"{name} {folder.name[1:].rpartition('.')[0]}".encode()).digest(mib * MIB))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True)
    raw.unlink()
    size = path.stat().st_size
    return {"file": path.name, "format": "qcow2", "size": size, "virtual_size": mib * MIB, "sha256": sha256(path)}


def of(ended: NightlyEnded, name: str) -> NightlyImageResult:
    """The result of an image."""
    (found,) = [one for one in ended.images if one.image == name]
    return found


def words(ended: NightlyEnded, name: str) -> dict[str, str]:
    """How the stages of an image ended."""
    return {one.stage: one.status for one in of(ended, name).stages}


def copied(site: NightlySite, folder: Path) -> NightlySite:
    """A copy of a site with all its files."""
    shutil.copytree(site.folder, folder, symlinks=True)
    return NightlySite(folder, dict(site.packages), dict(site.mib), set(site.broken), set(site.unusable))
