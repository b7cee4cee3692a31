"""The input of Anaconda: the kickstart's source, and the kernel's command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.anaconda import boot_options
from imagebuild.build import plan as plans
from imagebuild.errors import RecipeError
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe

DIGEST = "0123456789abcdef" * 4
TEMPLATE = """\
{% import "macros.ks.j2" as imagebuild %}
lang {{ locale.language }}
keyboard {{ locale.keyboard }}
timezone {{ locale.timezone }}
rootpw --lock
{{ imagebuild.source(payload) }}
clearpart --all
part / --size=1024 --grow
poweroff
{{ imagebuild.success(nonce) }}
"""


def recipe(folder: Path, installer: str, version: str = "9") -> Recipe:
    (folder / "recipes").mkdir()
    (folder / "kickstart").mkdir()
    (folder / "kickstart" / "own.ks.j2").write_text(TEMPLATE)
    path = folder / "recipes" / "own.yaml"
    path.write_text(
        f"name: own\nos: {{family: redhat, distribution: rocky, version: {version}}}\n"
        f"installer: {{{installer}}}\nkickstart: {{template: own.ks.j2}}\n"
    )
    return load(path)


@pytest.mark.parametrize(
    ("installer", "lines"),
    [
        ("source: {tree: https://m.example/os/}", ["url --url=https://m.example/os"]),
        ("source: {tree: ../tree}", ["url --url=http://tree.invalid/"]),
        (f"source: {{iso: a.iso, sha256: {DIGEST}}}", ["cdrom"]),
        (f"source: {{iso: a.iso, sha256: {DIGEST}, attach: false}}", ["url --url=http://tree.invalid/"]),
        (
            (
            f"source: {{kernel: k, kernel_sha256: {DIGEST}, initrd: i, initrd_sha256: {DIGEST}}}, "
            "repositories: [{name: os, metalink: 'https://m.example/?repo=os&arch=x86_64'}, {name: extras, "
                "url: https://m.example/x}]"
            ),
            ["url --metalink='https://m.example/?repo=os&arch=x86_64'", "repo --name=extras --baseurl=https://m.example/x"],
        ),
        (
            (
                "source: {tree: https://m.example/os}, repositories: [{name: a, mirrorlist: https://m.example/l, "
                "install: true}]"
            ),
            ["url --url=https://m.example/os", "repo --name=a --mirrorlist=https://m.example/l --install"],
        ),
    ],
)  # fmt: skip
def test_the_kickstart_names_the_source(tmp_path: Path, installer: str, lines: list[str]) -> None:
    text = plans.sample(recipe(tmp_path, installer), Mirror()).text
    assert [line for line in text.splitlines() if line.startswith(("url", "cdrom", "repo"))] == lines


def test_the_syntax_is_that_of_the_guest(tmp_path: Path) -> None:
    installer = "source: {tree: https://m.example/os}, repositories: [{name: a, metalink: https://m.example/l}]"
    with pytest.raises(RecipeError, match="metalink"):  # RHEL 7's Anaconda does not support it
        plans.sample(recipe(tmp_path, installer, version="7"), Mirror())


@pytest.mark.parametrize(
    ("source", "stage2"),
    [
        ("{tree: https://m.example/os}", ["inst.stage2=hd:LABEL=IMAGEBUILD"]),
        (f"{{iso: a.iso, sha256: {DIGEST}}}", ["inst.stage2=cdrom"]),
        (f"{{iso: a.iso, sha256: {DIGEST}, attach: false}}", []),
        (f"{{kernel: k, kernel_sha256: {DIGEST}, initrd: i, initrd_sha256: {DIGEST}}}", []),
    ],
)
def test_the_command_line_asks_nothing_and_names_the_medium(tmp_path: Path, source: str, stage2: list[str]) -> None:
    asked = recipe(tmp_path, f"source: {source}, repositories: [{{name: os, url: https://m.example/os}}]")
    *first, _, _, _ = arguments = boot_options.kernel_arguments(asked)
    assert first == stage2
    assert arguments[-3:] == ("inst.cmdline", "inst.nosave=all_ks", "inst.noshell")
    assert boot_options.has_medium(asked) is bool(stage2)


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ("", []),
        ("tuning: {interface_names: classic, serial_console: true}\n", ["net.ifnames=0", "biosdevname=0"]),
        ("kernel_arguments: [quiet, net.ifnames=0]\n", ["net.ifnames=0"]),
    ],
)
def test_the_installer_uses_the_guests_interface_names(tmp_path: Path, more: str, names: list[str]) -> None:
    made = recipe(tmp_path, "source: {tree: https://m.example/os}")
    with made.source.open("a") as file:
        file.write(more)
    arguments = boot_options.kernel_arguments(load(made.source))
    assert [argument for argument in arguments if "names" in argument or "devname" in argument] == names
