"""kickstrap reads older syntaxes, and the rest of it sees the same attributes whatever was read."""

from __future__ import annotations

import re

import pytest
from pykickstart.version import versionMap

from imagebuild.kickstart import handler as host
from imagebuild.kickstart import syntax_version
from imagebuild.kickstart.parse import parse as parse_on_host
from imagebuild.kickstrap.agent import kickstart, plan, supported, syntaxes
from imagebuild.recipe.model import syntax

OLDEST = {"F": 20, "RHEL": 6}
READ = sorted(
    name for name in versionMap if (match := re.fullmatch(r"(F|RHEL)(\d+)", name)) and int(match[2]) >= OLDEST[match[1]]
)
TEXT = """\
lang en_US.UTF-8
keyboard us
timezone --utc Europe/Berlin
rootpw --iscrypted $6$salt$hash
user --name=ops --groups=adm
network --bootproto=static --device=eth0 --ip=192.0.2.7 --netmask=255.255.255.0 --gateway=192.0.2.1
clearpart --all
part /boot --size=300
part pv.1 --size=1000 --grow
volgroup system pv.1 --pesize=4096
logvol / --vgname=system --name=root --size=500 --grow
bootloader --location=mbr
liveimg --url=file:///p
sshkey --username=ops "ssh-ed25519 AAAA ops"
"""


def test_the_own_syntax_is_the_recipes() -> None:
    assert syntaxes.KICKSTRAP == syntax.KICKSTRAP


@pytest.mark.parametrize("version", READ)
def test_every_syntax_gives_the_same_plan(version: str) -> None:
    text = f"#version={version}\n{TEXT}"
    handler = kickstart.parse(text)
    assert supported.check(handler, text) == []
    expected = plan.make(kickstart.parse("# nothing\n" + TEXT))
    assert plan.make(handler) == expected
    assert plan.make(kickstart.parse("# nothing\n" + TEXT, version)) == expected


@pytest.mark.parametrize("version", READ)
def test_the_host_reads_the_same(version: str) -> None:
    text = f"#version={version}\n{TEXT}"
    name = version if version == syntaxes.KICKSTRAP else f"{version}+{syntaxes.KICKSTRAP}"
    parsed = parse_on_host(text, name)
    assert [said.message for said in parsed.wrong] == []
    assert supported.check(parsed.handler, text) == []
    assert host.handler_class(name).commandMap == syntaxes.handler_class(version).commandMap
    assert host.handler_class(name).dataMap == syntaxes.handler_class(version).dataMap


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("text\n", "F43"),
        ("#version=RHEL6\n", "RHEL6"),
        ("#version=DEVEL\n", "F43"),
        ("# Version = rhel7\n", "RHEL7"),
        ("text\n#version=Fedora 20\n", "F20"),
        ("#version=NONSENSE\n", "F43"),
        ("%post\n#version=RHEL6\n%end\n", "F43"),
        ("#version=RHEL7\n#version=RHEL6\n", "RHEL7"),
    ],
)
def test_the_syntax_that_a_file_names(text: str, expected: str) -> None:
    assert syntaxes.named(text) == expected
    assert {"DEVEL": "F43"}.get(found := syntax_version.own(text).version, found) == expected


def test_the_syntax_on_the_command_line_comes_first() -> None:
    assert syntaxes.given("quiet kickstrap.syntax=RHEL6 panic=-1") == "RHEL6"
    assert syntaxes.given("quiet") is None
    text = "#version=RHEL9\ninstall\n" + TEXT
    assert kickstart.read(text, "RHEL6").version == versionMap["RHEL6"]


def test_a_removed_command_is_an_error_only_where_it_was_removed() -> None:
    noted: list[str] = []
    kickstart.read("#version=RHEL7\nauth --enableshadow\n" + TEXT, log=noted.append)
    assert [line.partition(":")[0] for line in noted] == ["kickstart line 2"]
    with pytest.raises(kickstart.InstallError, match="auth"):
        kickstart.read("auth --enableshadow\n" + TEXT)
