"""``%include`` of files that %pre writes: checked on the host, and read after %pre."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagebuild.kickstrap.agent import inclusion, install, kickstart, plan, scripts, storage
from imagebuild.kickstrap.agent.command import CommandRunner
from imagebuild.kickstrap.agent.console import EventConsole
from imagebuild.kickstrap.agent.errors import InstallError, StorageError
from imagebuild.kickstrap.agent.machine import TargetMachine
from imagebuild.kickstrap.agent.supported import Unsupported
from tests.kickstrap.kickstarts import findings

PRE = "%pre\necho hello\n%end\n"
LIVEIMG = "liveimg --url=file:///run/kickstrap/payload\n"
URL = "url --url='http://mirror.example/debian trixie'\n"


def errors(text: str, machine: TargetMachine | None = None) -> list[Unsupported]:
    return [one for one in findings(text, machine) if one.severity == "error"]


def read_again(text: str) -> kickstart.ReadKickstart:
    return kickstart.read_again(text, kickstart.read(text))


def test_an_included_file_may_have_the_whole_storage() -> None:
    assert errors(f"%include /tmp/disks\n{PRE}{LIVEIMG}", TargetMachine((2048,))) == []
    assert (
        errors(f"%include /tmp/pv\nvolgroup system pv.1\nlogvol / --vgname=data --name=x --size=9\n{PRE}{LIVEIMG}")
        == []
    )
    assert errors(f"%include /tmp/source\npart / --size=900\n{PRE}") == []


def test_each_line_beside_it_is_still_checked() -> None:
    text = f"part /data --size=9 --fstype=jfs\nuser --name=Big\n%include /tmp/disks\n{PRE}{LIVEIMG}"
    assert [one[:2] for one in errors(text)] == [
        (1, "part /data: --fstype=jfs is not supported by kickstrap"),
        (2, "user: 'Big' is not a Debian account name"),
    ]


@pytest.mark.parametrize(
    ("text", "number", "message"),
    [
        (f"%include http://x.example/ks\n{PRE}", 1, "%include of a remote file"),
        (f"%include more.ks\n{PRE}", 1, "%include of a file next to the kickstart"),
        ("%post\n%include /tmp/more\n%end\n", 2, "%include of a file that no %pre writes"),
        ("%pre\ncat <<.\n%include /tmp/more\n.\n%end\n", 3, "%include in %pre"),
    ],
)
def test_what_is_not_there_after_pre_is_an_error(text: str, number: int, message: str) -> None:
    text = f"{text}part / --size=900\n{LIVEIMG}"
    assert [one[:2] for one in errors(text)] == [(number, f"{message} is not supported by kickstrap")]


def test_packages_cannot_be_included_if_the_host_unpacks_them() -> None:
    packages = "%packages\n%include /tmp/names\n%end\n"
    (found,) = errors(f"{PRE}{packages}{LIVEIMG}")
    assert found[:2] == (5, "%include in %packages is not supported by kickstrap if the host unpacks them")
    assert found.hint == "set installer.payload: in-vm in the recipe"
    assert errors(f"{PRE}{packages}{URL}") == []


def test_the_text_is_put_together_and_each_line_has_its_origin(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(f"a\n%include {tmp_path}/two # why\nb")
    (tmp_path / "two").write_text("c\x0cd\n")
    text = f"x\n%include {tmp_path}/one\ny\n%post\nz\n%include '{tmp_path}/two'\n%end\n"
    made = inclusion.whole(text)
    assert made.text == "x\na\nc\x0cd\nb\ny\n%post\nz\nc\x0cd\n%end\n"
    lines = dict(zip(made.text.splitlines(), map(str, made.origins), strict=True))
    assert lines["x"] == "kickstart line 1"
    assert lines["a"] == f"{tmp_path}/one line 1"
    assert lines["b"] == f"{tmp_path}/one line 3"
    assert lines["d"] == f"{tmp_path}/two line 2"
    assert lines["%end"] == "kickstart line 7"


def test_files_that_cannot_be_included(tmp_path: Path) -> None:
    (tmp_path / "loop").write_text(f"%include {tmp_path}/again\n")
    (tmp_path / "again").write_text(f"\n%include {tmp_path}/loop\n")
    (tmp_path / "pre").write_text(PRE)
    (tmp_path / "bytes").write_bytes(b"part / \xff")
    os.mkfifo(tmp_path / "pipe")
    for name, message in {
        "none": f"kickstart line 2: %include {tmp_path}/none: %pre has not written this file",
        "pipe": f"kickstart line 2: %include {tmp_path}/pipe: %pre has not written this file",
        "loop": f"{tmp_path}/again line 2: {tmp_path}/loop includes itself",
        "pre": f"{tmp_path}/pre line 1: %pre in an included file would not run",
        "bytes": f"kickstart line 2: %include {tmp_path}/bytes: the file cannot be read: it is not UTF-8",
    }.items():
        with pytest.raises(InstallError) as error:
            inclusion.whole(f"text\n%include {tmp_path}/{name}\n")
        assert str(error.value) == message


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("lang C\npart /srv --size=9 --fstype=jfs", "{} line 2: part /srv: --fstype=jfs is not supported by kickstrap"),
        ("\npart / --nonsense", "the kickstart cannot be read: {} line 2: Unexpected arguments to partition command"),
        ("rescue", "{} line 1: rescue is not supported by kickstrap"),
        ("lang C", "kickstart line 1: there is no root partition"),
        ("%packages\nvim\n%end", "{} line 1: %packages in an included file has no effect: the root archive was made"),
        ("part / --size=9 --fstype=btrfs",
            "{} line 1: --fstype=btrfs needs the package btrfs-progs in the guest: add it to %packages"),
    ],
)  # fmt: skip
def test_what_an_included_file_says_is_checked_with_its_line(tmp_path: Path, written: str, message: str) -> None:
    path = tmp_path / "more"
    text = f"text\n%include {path}\n{PRE}{LIVEIMG}%packages\nless\n%end\n"
    before = kickstart.read(text)
    if "no root" not in message and "part /" not in written:
        written += "\npart / --size=900\n"
    path.write_text(written)
    with pytest.raises(InstallError) as error:
        kickstart.read_again(text, before)
    assert str(error.value).startswith(message.format(path))


def test_included_packages_are_installed_if_the_vm_does_it(tmp_path: Path) -> None:
    path = tmp_path / "names"
    text = f"part / --size=900\n{PRE}{URL}%packages\nless\n%include {path}\n%end\n"
    before = kickstart.read(text)
    path.write_text("vim\n-nano\n")
    again = kickstart.read_again(text, before)
    payload = plan.make(again.handler, "bios", again.origins).payload
    assert isinstance(payload, plan.Packages)
    assert (payload.packages, payload.excluded) == (("less", "vim"), ("nano",))


def test_a_plan_does_not_need_what_is_included() -> None:
    payload = plan.make(kickstart.read(f"%include /tmp/all\n{PRE}")).payload
    assert payload == plan.Packages(sources=())


def test_scripts_know_where_they_are_from(tmp_path: Path) -> None:
    path = tmp_path / "more"
    text = f"part / --size=900\n%include {path}\n{PRE}{LIVEIMG}%post --erroronfail\nfalse\n%end\n"
    path.write_text("lang C\n%post --nochroot --erroronfail\nexit 3\n%end\n")
    again = read_again(text)
    made = plan.make(again.handler, "bios", again.origins)
    assert [(one.line, one.file) for one in made.post] == [(2, str(path)), (7, "")]
    with pytest.raises(InstallError, match=rf"%post at line 2 of {path} ended with exit status 3"):
        scripts.run_all(made.post, CommandRunner(lambda _: None), root=None, section="%post")


class Stopped(Exception):
    """The end of what can be run without disks."""


def test_pre_runs_before_the_kickstart_is_read_with_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's own steps up to the partitions, in a process without disks to install to."""
    path = tmp_path / "disks"
    pre = f"echo 'part / --size=77' > {path}\nprintf '%%post\\ntrue\\n%%end\\n' >> {path}\n"
    text = f"%include {path}\n%pre\n{pre}%end\n{LIVEIMG}"
    handler = kickstart.read(text)
    seen: list[storage.TargetDisks] = []

    def stop(disks: storage.TargetDisks, _: str = "") -> None:
        seen.append(disks)
        raise StorageError(1, "the disk is too small")

    def again() -> plan.InstallPlan:
        whole = kickstart.read_again(text, handler)
        return plan.make(whole.handler, "bios", whole.origins)

    monkeypatch.setattr(storage.TargetDisks, "prepare", stop)
    reader, writer = os.pipe()
    console = EventConsole(writer)
    commands = CommandRunner(lambda _: None)
    installation = install.Installation(plan.make(handler), console, commands, tmp_path / "root", read_again=again)
    with pytest.raises(InstallError, match=rf"^{path} line 1: the disk is too small$"):
        installation.run()
    assert [part.size for part in seen[0]._wanted.partitions] == [77]
    os.close(writer)
    events = os.read(reader, 4096).decode().splitlines()
    os.close(reader)
    steps = [one for one in events if "step" in one]
    assert steps == ["kickstrap: step 1/6 run %pre", "kickstrap: step 2/7 partition and format the disks"]
