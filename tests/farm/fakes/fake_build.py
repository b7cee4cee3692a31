"""A build without machines: it plans like a real one, and makes small files instead of disks.

The folder IMAGEBUILD_FAKES has its log, and files that control it: an image with ``slow`` in its name
waits for ``go``, one with ``bad`` fails, one with ``full`` says that this host has no space. ``seconds.json``
may say how long steps take, by image and step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

sys.path.insert(0, os.environ["IMAGEBUILD_FAKES_CODE"])

from imagebuild.build import engine
from imagebuild.build.step_cache import Settings
from imagebuild.cli.remote_options import remote_settings
from imagebuild.errors import HostError
from imagebuild.events import ArtifactReady, ErrorReported, StepDone, StepStarted, data
from imagebuild.farm.shared import FarmStore, opened
from imagebuild.files import write_record
from imagebuild.kickstrap.payload import PayloadResult
from imagebuild.recipe.load import load_all
from imagebuild.remote.opening import RemoteSettings
from imagebuild.store.artifact import MANIFEST, ArtifactFolder
from imagebuild.store.runs import new_run
from imagebuild.store.store import Store

CONTROL = Path(os.environ["IMAGEBUILD_FAKES"])
SECONDS = float(os.environ.get("IMAGEBUILD_FAKES_SECONDS", "0.1"))


def say(event: object) -> None:
    sys.stdout.write(f"{json.dumps(data(event))}\n")
    sys.stdout.flush()


def note(line: str) -> None:
    with (CONTROL / "log").open("a") as log:
        log.write(f"{line}\n")


def value(option: str) -> str:
    return sys.argv[sys.argv.index(option) + 1]


def interrupted(*_: object) -> None:
    note(f"interrupted {value('--image')}")
    sys.exit(130)


def remote() -> RemoteSettings | None:
    options = {name: value(f"--{name}") if f"--{name}" in sys.argv else None for name in ("remote-store", "config")}
    return remote_settings(options["remote-store"], Path(options["config"]) if options["config"] else None)


def is_there(shared: FarmStore, kind: str, fingerprint: str, store: Store) -> bool:
    try:
        return shared.pull(kind, fingerprint, store)
    except HostError:
        return False


def build(name: str, settings: Settings, work: Path) -> None:
    recipe = load_all(sys.argv[2], only=[name])[0]
    outlook = engine.planned(recipe, settings)
    note(f"begins {name} {os.getpid()}")
    shared = opened(settings.store, settings.remote)
    known = CONTROL / "seconds.json"
    lengths = json.loads(known.read_text()).get(name, {}) if known.exists() else {}
    for step in outlook.plan.steps[:-1]:
        if step.name not in outlook.to_run or is_there(shared, step.kind, step.fingerprint, settings.store):
            continue
        say(StepStarted(recipe=name, step=step.name))
        if "slow" in name and step.name == "install":
            while not (CONTROL / "go").exists():
                time.sleep(0.05)
        seconds = lengths.get(step.name, SECONDS)
        time.sleep(seconds)
        with settings.store.make(step.kind, step.fingerprint, within=work, label=name, inputs=step.inputs) as folder:
            (folder / "result").write_text(step.fingerprint)
            if step.kind == "payload":
                write_record(folder / "payload.json", PayloadResult(Path("result"), "0" * 64, {}))
        with suppress(HostError):  # as a real build, which does not fail because of the remote store
            shared.push(step.kind, step.fingerprint, settings.store)
        note(f"made {step.kind} {step.fingerprint}")
        say(StepDone(recipe=name, step=step.name, summary="made", seconds=seconds))
    if "bad" in name:
        say(ErrorReported(recipe=name, message="no luck", exit_code=1, console=("last words",)))
        sys.exit(1)
    if "full" in name and not (CONTROL / "was-full").exists():
        (CONTROL / "was-full").touch()
        say(ErrorReported(recipe=name, message="no space left on device", exit_code=3))
        sys.exit(3)
    output = ArtifactFolder(settings.output, name)
    with output.new(datetime.now().astimezone().date()) as new:
        image = new.folder / f"{name}.qcow2"
        image.write_text(f"image of {outlook.plan.convert.fingerprint}")
        record = {"file": image.name, "size": image.stat().st_size}
        (new.folder / MANIFEST).write_text(
            json.dumps({"image": record, "fingerprint": outlook.plan.convert.fingerprint})
        )
    made = output.latest()
    assert made is not None
    note(f"image {name} {outlook.plan.convert.fingerprint}")
    say(
        ArtifactReady(
            unchanged=False,
            recipe=name,
            version=made.version,
            image=str(made.image),
            manifest=str(made.folder / MANIFEST),
        )
    )


def main() -> None:
    signal.signal(signal.SIGTERM, interrupted)
    store = Store(Path(value("--store")))
    with store.runs.workdir(new_run(value("--image")), shared=False) as work:
        try:
            build(value("--image"), Settings(store, Path(value("--output")), remote=remote()), work)
        except OSError as error:
            say(ErrorReported(recipe=value("--image"), message=str(error), exit_code=3))
            sys.exit(3)


main()
