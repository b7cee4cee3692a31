"""What may change between two builds of ``UnchangedSite``, each with a way back."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable

from unchanged_site import KEY, MORE, PROGRAM, RECIPE, UnchangedSite, touched

Undo = Callable[[], object]
Change = Callable[[UnchangedSite], Undo]


def edited(path: str, text: str | None = None) -> Change:
    """The change of a file: another content, by default one that ends with a comment."""

    def change(site: UnchangedSite) -> Undo:
        file = site.folder / path
        before = file.read_bytes()
        file.write_bytes(before + b"# another line\n" if text is None else text.encode())
        return lambda: file.write_bytes(before)

    return change


def added(path: str, text: str = "") -> Change:
    """A file that was not there."""

    def change(site: UnchangedSite) -> Undo:
        file = site.folder / path
        there = next(folder for folder in file.parents if folder.exists())
        first = file if there == file.parent else there / file.relative_to(there).parts[0]
        site.write(file, text)
        return lambda: shutil.rmtree(first) if first.is_dir() else first.unlink()

    return change


def removed(path: str) -> Change:
    def change(site: UnchangedSite) -> Undo:
        file = site.folder / path
        aside = site.folder / "aside"
        file.rename(aside)
        return lambda: aside.rename(file)

    return change


def with_mode(path: str, mode: int) -> Change:
    def change(site: UnchangedSite) -> Undo:
        file = site.folder / path
        before = stat.S_IMODE(file.stat().st_mode)
        file.chmod(mode)
        return lambda: file.chmod(before)

    return change


def linked(path: str, target: str) -> Change:
    """A link leads elsewhere; a folder or file becomes a link to where it is then."""

    def change(site: UnchangedSite) -> Undo:
        file = site.folder / path
        aside = file.with_name(target)
        if file.is_symlink():
            before = file.readlink()
            file.unlink()
            file.symlink_to(target)
            return lambda: (file.unlink(), file.symlink_to(before))
        file.rename(aside)
        file.symlink_to(target)
        return lambda: (file.unlink(), aside.rename(file))

    return change


def variable(name: str, value: str) -> Change:
    def change(site: UnchangedSite) -> Undo:
        site.environment[name] = value
        return site.environment.clear

    return change


def with_new_times(path: str) -> Change:
    def change(site: UnchangedSite) -> Undo:
        touched(site.folder / path)
        return lambda: None

    return change


def dead_run(site: UnchangedSite) -> Undo:
    folder = site.store / "work" / "web-20260101000000-00000000"
    folder.mkdir()
    return folder.rmdir


def states(site: UnchangedSite) -> Undo:
    """The store says that newer packages are the current ones."""
    (step,) = [one for one in site.recorded()[0]["steps"] if one["name"] == "payload"]  # type: ignore[attr-defined]
    return added(f"store/states/{step['fingerprint']}", "after=2026-11-29T00:00:00")(site)


OF_PROJECT: dict[str, Change] = {
    "the recipe": edited("project/recipes/web.yaml", RECIPE.replace("reset-machine-id", "remove-random-seed")),
    "a comment in the recipe": edited("project/recipes/web.yaml"),
    "a file that it extends": edited("project/recipes/base/own.yaml"),
    "a file that is extended instead": added("project/recipes/base/base/more.yaml", MORE),
    "no recipe": removed("project/recipes/web.yaml"),
    "another recipe": added("project/recipes/other.yaml", "name: other\n"),
    "a shipped template": edited("tree/kickstart/debian.ks.j2"),
    "a template that others include": edited("tree/kickstart/macros.ks.j2"),
    "a template of the project": added("project/kickstart/macros.ks.j2"),
    "a file that is copied": edited("project/files/motd"),
    "a file that is a program now": with_mode("project/files/motd", 0o755),
    "a file in a folder that is copied": edited("project/files/tree/inner/page"),
    "another file in such a folder": added("project/files/tree/inner/more"),
    "a file in such a folder that is a program now": with_mode("project/files/tree/inner/page", 0o755),
    "a link in such a folder": linked("project/files/tree/link", "elsewhere"),
    "a folder that is a link now": linked("project/files/tree", "tree.aside"),
    "a missing file": removed("project/files/motd"),
    "a public key": edited("project/files/key.pub", KEY + KEY.replace("AAEC", "AQEC")),
    "the script of a check": edited("project/files/check.sh"),
    "the project's file": added("project/imagebuild.yaml", "hosts: {}\n"),
    "a project's file that is a link to nothing": lambda site: (
        (site.project / "imagebuild.yaml").symlink_to("nothing") or (site.project / "imagebuild.yaml").unlink
    ),
}
OF_HOST: dict[str, Change] = {
    "a program": edited("programs/qemu-img", PROGRAM.format("qemu-img", "9.9.9")),
    "a program with new times": with_new_times("programs/guestfish"),
    "no program": removed("programs/mmdebstrap"),
    "the search path": lambda site: variable("PATH", f"{site.folder}:{site.programs}:/usr/bin:/bin")(site),
    "any variable": variable("ANYTHING", "x"),
    "the time zone": variable("TZ", "Europe/Berlin"),
    "a proxy": variable("https_proxy", "http://proxy.invalid"),
    "no answers of probes": removed("store/host.json"),
    "another answer of a probe": lambda site: edited(
        "store/host.json", (site.store / "host.json").read_text().replace("1.2.3", "1.2.4")
    )(site),
    "the key of the store": edited("store/key"),
    "a current state of packages": states,
    "a store that others may write to": with_mode("store", 0o777),
    "a run that has died": dead_run,
    "code": edited("tree/imagebuild/build/plan.py"),
    "code of the installer, which is not loaded": edited("tree/imagebuild/kickstrap/agent/layout.py"),
    "data beside the code": edited("tree/imagebuild/kickstrap/agent/data/packages.txt"),
    "another operation": added("tree/imagebuild/customise/operations/another.py"),
    "another module beside the package": added("tree/yaml.py", "raise SystemExit(7)\n"),
    "an upgraded library": with_new_times("libraries/platformdirs/unix.py"),
}
OF_ARTIFACT: dict[str, Change] = {
    "no image": removed("project/artifacts/web/2026-11-30.1/web.qcow2"),
    "a shorter image": edited("project/artifacts/web/2026-11-30.1/web.qcow2", "x"),
    "an image that is a link": linked("project/artifacts/web/2026-11-30.1/web.qcow2", "aside.qcow2"),
    "no manifest": removed("project/artifacts/web/2026-11-30.1/manifest.json"),
    "another manifest": edited("project/artifacts/web/2026-11-30.1/manifest.json", "{}"),
    "a verdict that is gone": lambda site: edited(
        "project/artifacts/web/2026-11-30.1/manifest.json",
        json.dumps({**json.loads((site.version / "manifest.json").read_text()), "verification": None}),
    )(site),
    "another latest version": linked("project/artifacts/web/latest", "2026-11-29.1"),
    "no latest version": removed("project/artifacts/web/latest"),
    "a version that is a link": linked("project/artifacts/web/2026-11-30.1", "2026-11-30.2"),
    "no artifacts": removed("project/artifacts"),
}
CHANGES = {**OF_PROJECT, **OF_HOST, **OF_ARTIFACT}
