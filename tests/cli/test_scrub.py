"""What `scrub` and `audit` refuse before any appliance starts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from imagebuild.cli import scrub
from imagebuild.cli.main import cli
from imagebuild.customise import registry
from imagebuild.errors import ImageBuildError


def refused(*words: str | Path) -> ImageBuildError:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert isinstance(result.exception, ImageBuildError), result.output
    return result.exception


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(b"\0" * 4096)
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--in-place", "--dry-run"], "are mutually exclusive"),
        (["--operation", "clean-log"], "no operation 'clean-log'"),
        (["--operation", "reset-hostname={"], "is not valid JSON"),
        (["--operation", "reset-hostname=[]"], "expected a JSON object"),
        (["--operation", 'reset-hostname={"hostname": "a b"}'], "reset-hostname: hostname"),
        (["--operation", 'reset-hostname={"name": "x"}'], "reset-hostname: name"),
        (
            ["--operation", 'copy-in={"source": "nowhere", "path": "/srv"}'],
            f"--operation copy-in: copy-in.source: {Path.cwd()}/nowhere cannot be read: No such file or directory",
        ),
        (["--operation", 'set-password={"password": {"env": "NO_SUCH"}}'], "environment variable NO_SUCH is not set"),
        (["--operation", 'set-password={"password": "plain"}'], "must not contain a secret"),
        (["--without", "remove-accounts"], "would not be applied anyway"),
        (["--recipe", "debian-13", "--operation", "clean-logs"], "are mutually exclusive"),
        (["--recipe", "debian-13", "--without", "remove-accounts"], "would not be applied anyway"),
        (["--recipe", "debian-12345"], "debian-12345"),
        (["--format", "qcow2"], "is not a qcow2 image"),
        (["--output", "nowhere/x.raw"], "the folder of nowhere/x.raw does not exist"),
    ],
)
def test_wrong_usage(image: Path, words: list[str], said: str) -> None:
    error = refused("scrub", image, *words)
    assert said in str(error)
    assert error.exit_code == 2
    assert sorted(path.name for path in image.parent.iterdir()) == ["disk.raw"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("hunter22", "expected DEVICE:env:NAME or DEVICE:file:PATH"),
        ("all:key:hunter22", "expected DEVICE:env:NAME or DEVICE:file:PATH"),
        ("all:env:hunter 22", "not a valid name or path after env:"),
        ("/dev/vda3:env:NOT_SET_ANYWHERE", "the environment variable NOT_SET_ANYWHERE is not set"),
        ("/dev/vda3:file:/nowhere/key", "the file /nowhere/key cannot be read: No such file or directory"),
        ("/dev/vda3:file:/dev/null", "file /dev/null is empty"),
    ],
)
@pytest.mark.parametrize("command", ["scrub", "audit"])
def test_a_key_that_cannot_be_read(command: str, image: Path, key: str, said: str) -> None:
    error = refused(command, image, "--key", key)
    assert said in str(error)
    assert error.exit_code == 2
    assert "hunter" not in f"{error} {error.hint}"


def test_the_same_image_twice(image: Path) -> None:
    assert "given twice" in str(refused("scrub", image, image))


def test_several_names_of_one_image(image: Path) -> None:
    os.link(image, image.with_name("other.raw"))
    error = refused("scrub", image)
    assert "several names" in str(error)
    assert "--in-place" in str(error.hint)


def test_an_output_that_already_exists(image: Path) -> None:
    there = image.with_name("new.raw")
    there.touch()
    assert "already exists" in str(refused("scrub", image, "--output", there))


def test_audit_ignores_only_known_names(image: Path) -> None:
    assert "--ignore clean-log" in str(refused("audit", image, "--ignore", "clean-log"))


def test_house_rules_are_applied_only_when_asked_for() -> None:
    names = [call.name for call in scrub._operations((), None, (), house_rules=False)]
    assert names == list(registry.TEMPLATE)
    with_rules = {call.name for call in scrub._operations((), None, (), house_rules=True)}
    assert with_rules == {*registry.TEMPLATE, *registry.HOUSE_RULES}
    wanted = [call.name for call in scrub._operations(("disable-firewall",), None, (), house_rules=True)]
    assert wanted == ["disable-firewall", "disable-selinux", "disable-ssh-passwords"]


def test_house_rules_can_be_left_out_one_by_one() -> None:
    names = {call.name for call in scrub._operations((), None, ("disable-selinux",), house_rules=True)}
    assert "disable-selinux" not in names
    assert "disable-firewall" in names


def test_a_recipe_lists_its_house_rules(image: Path) -> None:
    assert "are mutually exclusive" in str(refused("scrub", image, "--recipe", "debian-13", "--house-rules"))
    names = {call.name for call in scrub._operations((), "debian-13", (), house_rules=False)}
    assert names >= {*registry.TEMPLATE, *registry.HOUSE_RULES}


def test_the_help_names_the_house_rules() -> None:
    shown = " ".join(CliRunner().invoke(cli, ["scrub", "--help"]).output.split()).replace("- ", "-")
    assert all(name in shown for name in registry.HOUSE_RULES)


def test_audit_takes_a_recipe_for_its_latest_artifact(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "web" / "2026-11-29.1"
    folder.mkdir(parents=True)
    (folder / "web.qcow2").write_bytes(b"QFI\xfb short")
    one = {"file": "web.qcow2", "format": "qcow2", "size": 10, "virtual_size": 1 << 30, "sha256": "0" * 64}
    content = {"name": "web", "version": folder.name, "image": one, "fingerprint": "f" * 64}
    (folder / "manifest.json").write_text(json.dumps(content))
    (folder.parent / "latest").symlink_to(folder.name)
    output = ("--output", str(tmp_path / "artifacts"), "--store", str(tmp_path / "store"))
    assert str(folder / "web.qcow2") in str(refused("audit", "web", *output))
    assert "neither a file nor a folder" in str(refused("audit", "wbe", *output))
