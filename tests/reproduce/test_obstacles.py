"""What cannot be the same in a rebuild, before it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from imagebuild.build import plan as plans
from imagebuild.build.plan import Plan
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.kickstrap.payload import PayloadSpec
from imagebuild.recipe.load import load
from imagebuild.reproduce import obstacles
from imagebuild.reproduce.obstacles import Obstacle
from imagebuild.reproduce.origin import OriginalBuild, read
from imagebuild.step import Tools
from tests.reproduce.manifests import manifest


def planned(tmp_path: Path, mirror: str = "http://mirror.example/debian") -> Plan:
    tools = Tools(mmdebstrap="1.3.5", libguestfs="1.48.6", qemu="7.2.22")
    return plans.make(load(tmp_path / "web.yaml"), Mirror(mirror), tools=tools, secret_key=b"k" * 32)


def built(tmp_path: Path) -> tuple[OriginalBuild, Plan]:
    """An artifact, and the plan with which it was built."""
    folder = manifest(tmp_path)
    plan = planned(tmp_path)
    (folder / "kickstart.cfg").write_text(plan.kickstart.text)
    return replace(read(folder), steps={step.name: step.fingerprint for step in plan.steps}), plan


def test_the_same_inputs_are_no_obstacle(tmp_path: Path) -> None:
    original, plan = built(tmp_path)
    assert not list(obstacles.of_steps(original, plan))
    assert not list(obstacles.of_kickstart(original, plan))
    assert not list(obstacles.of_tools(original, original.tools))


def test_tools() -> None:
    found = obstacles.of_tools(_with_tools({"a": "1", "b": "2"}), {"b": "3", "c": "4"})
    assert list(found) == [Obstacle("a", "1", "not there"), Obstacle("b", "2", "3"), Obstacle("c", "not used", "4")]


def _with_tools(tools: dict[str, str]) -> OriginalBuild:
    nothing: dict[str, str] = {}
    return OriginalBuild(Path("manifest.json"), "web", "1", {}, "", nothing, tools, nothing, nothing, "", "", "")


def test_the_first_step_that_differs_is_named(tmp_path: Path) -> None:
    original, plan = built(tmp_path)
    other = {**original.steps, "runtime": "0" * 64, "install": "1" * 64, "customise": "2" * 64}
    (found,) = obstacles.of_steps(replace(original, steps=other), plan)
    assert (found.what, found.was) == ("step install", "1" * 12)


def test_another_mirror_does_not_change_the_kickstart(tmp_path: Path) -> None:
    original, _ = built(tmp_path)
    assert not list(obstacles.of_kickstart(original, planned(tmp_path, "https://snapshot.example/20261101T000000Z")))


def test_a_changed_template(tmp_path: Path) -> None:
    original, plan = built(tmp_path)
    lines = plan.kickstart.text.splitlines()
    lines[4] = "timezone Europe/Oslo"
    (original.folder / "kickstart.cfg").write_text("\n".join(lines))
    (found,) = obstacles.of_kickstart(original, plan)
    assert found.what == "kickstart"
    assert found.now.endswith("the first that differs is 5")
    (original.folder / "kickstart.cfg").write_text("\n".join(plan.kickstart.text.splitlines()[:-1]))
    (found,) = obstacles.of_kickstart(original, plan)
    assert found.was != found.now


def test_a_link_beside_the_manifest_is_not_followed(tmp_path: Path) -> None:
    original, plan = built(tmp_path)
    (original.folder / "kickstart.cfg").unlink()
    (original.folder / "kickstart.cfg").symlink_to("/etc/shadow")
    (found,) = obstacles.of_kickstart(original, plan)
    assert "it is a link" in found.now


def test_packages_of_a_mirror_that_cannot_be_asked(tmp_path: Path) -> None:
    original, _ = built(tmp_path)
    (found,) = obstacles.of_packages(original, PayloadSpec("trixie", Mirror()))
    assert found == Obstacle("packages", "1 package", "not looked up: cannot query the mirror that mmdebstrap chooses")
