"""Findings of pykickstart and kickstrap, at the lines of the template."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kickstarts import checked, problems, render_shipped, rendered

from imagebuild.errors import RecipeError
from imagebuild.kickstart.check import check
from imagebuild.kickstart.parse import MAX_PROBLEMS
from imagebuild.kickstart.rendered import Rendered
from imagebuild.recipe.load import load

GOOD = """\
{% import "macros.ks.j2" as imagebuild %}
{{ imagebuild.source(payload) }}
{{ imagebuild.disk() }}
bootloader --location=mbr
"""


def test_the_shipped_recipe_is_fine() -> None:
    parsed = checked(render_shipped(load("debian-13")))
    assert {"linux-image-cloud-amd64", "grub-pc", "openssh-server", "vim"} <= set(parsed.packages)
    assert parsed.excluded == ()
    assert parsed.warnings == ()
    assert (parsed.core, parsed.weak_dependencies) == (False, False)
    assert parsed.handler.rootpw.lock is True
    assert parsed.handler.bootloader.appendLine == "net.ifnames=0 biosdevname=0 console=tty0 console=ttyS0,115200n8"


def test_packages_excluded_and_core(tmp_path: Path) -> None:
    parsed = checked(rendered(tmp_path, GOOD + "%packages\nbb\naa\n-cc\n%end\n"))
    assert (parsed.packages, parsed.excluded, parsed.core, parsed.weak_dependencies) == (
        ("aa", "bb"),
        ("cc",),
        True,
        True,
    )


@pytest.mark.parametrize(
    ("template", "starts"),
    [
        ("lnag C\n", ["t.ks.j2:5: Unknown command: lnag"]),
        ("lang C --x\nkeyboard --bogus us\n",
            ["t.ks.j2:5: lang does not take --x (syntax F43)",
                "t.ks.j2:6: keyboard does not take --bogus"]),
        ("part /x --fstype=ext4 --size=ten\n", ["t.ks.j2:5: part --size: 'ten' is not a whole number"]),
        ("%addons x\nlang C --x\n%end\nlang C --y\n",
            ["t.ks.j2:5: Unknown kickstart section: %addons", "t.ks.j2:8: lang does not take --y"]),
        ("%post --bogus\nlnag\n%end\n", ["t.ks.j2:5: %post does not take --bogus"]),
        ("%post\nexit 0\nlnag\n%pre\n%end\nkyboard\n",
            ["t.ks.j2:5: Section %post does not end with %end.", "t.ks.j2:10: Unknown command: kyboard"]),
        ("%post\nexit 0\n", ["t.ks.j2:5: Section %post does not end with %end."]),
        ("lang 'C\n", ["t.ks.j2:5: a quote is not closed"]),
        ("''\n", ["t.ks.j2:5: the line begins with an empty word"]),
        ("%packages\n--nodefaults\n@a --nodefaults --optional\n%end\n",
            ["t.ks.j2:5: Group cannot specify both --nodefaults and --optional"]),
        ("autopart\n", ["t.ks.j2:5: The autopart and partition commands can't be used at the same time."]),
        ("volgroup x pv.1\nlogvol /x --vgname=x --name=y --size=1\n", [
            "t.ks.j2:5: volgroup x: there is no pv.1 [add: part pv.1 --size=1024]",
        ]),
        ("%include /etc/hostname\n", [(
            "t.ks.j2:5: %include of a file that no %pre writes is not supported by kickstrap [put the text into "
            "the kickstart template itself]"
        )]),
        ("part /x --fstype=hfs+ --size=5\n", [(
            "t.ks.j2:5: part /x: --fstype=hfs+ is not supported by kickstrap "
            "[use ext4, xfs, btrfs, ext3, ext2 or vfat, and efi for /boot/efi]"
        )]),
        ("{% macro m() %}\nlang C\nlnag\n{% endmacro %}\nkeyboard us\n{{ m() }}\n",
            ["t.ks.j2:7: Unknown command: lnag, used by t.ks.j2:10"]),
        ("{% for p in packages %}\nlnag {{ p }}\n{% endfor %}\n",
            ["t.ks.j2:6: Unknown command: lnag", "t.ks.j2:6: Unknown command: lnag"]),
        ("%certificate\n%end\n",
            ["t.ks.j2:5: %certificate needs --filename",
                "t.ks.j2:5: The %certificate section is empty"]),
    ],
)  # fmt: skip
def test_findings_are_reported_at_the_templates_lines(tmp_path: Path, template: str, starts: list[str]) -> None:
    found = problems(tmp_path, GOOD + template, "packages: [aa, bb]\n")
    assert len(found) == len(starts)
    assert all(text.startswith(start) for text, start in zip(found, starts, strict=True)), found


def test_a_missing_command_is_reported(tmp_path: Path) -> None:
    found = problems(tmp_path, "lang C\n")
    assert any("there is no root partition" in text for text in found)


def test_the_number_of_problems_is_limited(tmp_path: Path) -> None:
    found = problems(tmp_path, "lnag\n" * 100)
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1].startswith(f"t.ks.j2:{MAX_PROBLEMS + 1}: 80 or more further syntax errors")


def test_a_deprecated_command_is_a_warning(tmp_path: Path) -> None:
    kickstart = rendered(tmp_path, GOOD + "lnag\nauth --enableshadow\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RecipeError, match="Unknown command: lnag"):
            check(kickstart, version="RHEL8")
        parsed = check(rendered(tmp_path, GOOD + "\nauth --enableshadow\n"), version="RHEL8")
    (warning,) = parsed.warnings
    assert (Path(warning.file).name, warning.line) == ("t.ks.j2", 6)
    assert "will be deprecated" in warning.message


def test_what_is_only_noted_is_a_warning(tmp_path: Path) -> None:
    parsed = checked(rendered(tmp_path, GOOD + "logging --host=log.example\n"))
    (warning,) = parsed.warnings
    assert (Path(warning.file).name, warning.line) == ("t.ks.j2", 5)
    assert (warning.rule, warning.severity) == ("without-effect", "warning")
    assert warning.message.startswith("logging has no effect on Debian: ")


def test_the_versions_differ(tmp_path: Path) -> None:
    kickstart = rendered(tmp_path, GOOD + "timezone --isUtc UTC\nauthconfig --enableshadow\n")
    check(kickstart, version="RHEL7")
    with pytest.raises(RecipeError):
        check(kickstart, version="RHEL10")
    with pytest.raises(ValueError, match="unknown kickstart version: 'RHEL99'"):
        check(kickstart, version="RHEL99")


def test_checks_do_not_change_the_import_path(tmp_path: Path) -> None:
    kickstart = rendered(tmp_path, GOOD)
    checked(kickstart)
    before = list(sys.path)
    for _ in range(5):
        checked(kickstart)
    assert sys.path == before


_WORDS = st.sampled_from([
    "lang", "C", "part", "/", "--size=1", "--size", "%packages", "%post", "%pre", "%end", "%include", "%ksappend", "x",
    "'", '"', "\\", "#", "@", "@^", "-", "--", "%", "@a --nodefaults", "rootpw", "--iscrypted", "''", "network", "raid",
    "user", "--name=", "=", "url", "--url", "liveimg", "repo", "bootloader", "--append", "firewall", "%addon",
    "%certificate",
    "logvol", "volgroup", "btrfs", "autopart", "--type", "clearpart", "--list=", "sshkey", "timezone", "é", "\t",
    "\x0b", "%onerror",
])  # fmt: skip


@settings(max_examples=settings.default.max_examples // 3)  # an attempt takes at least 20 ms
@given(st.lists(st.lists(_WORDS, max_size=5).map(" ".join), max_size=12).map("\n".join))
def test_any_text_is_a_kickstart_or_has_findings(text: str) -> None:
    kickstart = Rendered(text, Path("t.ks.j2"))
    try:
        checked(kickstart)
    except RecipeError as error:
        messages = [problem.message for problem in error.problems]
        assert messages
        assert all(messages)
        assert all("\n" not in message for message in messages)
