"""Failures of real builds: a clear message, the right exit code, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagebuild.errors import HostError
from imagebuild.host import daemons, hypervisor

from .conftest import RECIPE, Ended, Project, end_private_daemon

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.usefixtures("nothing_left")]

OPERATIONS = "operations:\n"
NO_OPERATIONS = re.compile(r"operations:\n(?:  - .*\n)+")


def with_post(project: Project, name: str, script: str) -> str:
    """A kickstart template of the project's own: the shipped one with a %post before the proof of
    success.
    """
    text = (ROOT / "kickstart/debian.ks.j2").read_text()
    marker = "{{ imagebuild.success(nonce) }}"
    assert marker in text
    project.write(f"kickstart/{name}", text.replace(marker, f"%post --erroronfail\n{script}\n%end\n\n{marker}"))
    return name


def test_a_failing_post_script(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    template = with_post(project, "failing.ks.j2", "echo about to fail\nexit 7")
    name = variant(("disk: ", f"kickstart: {{template: {template}}}\ndisk: "))
    ended = project.run("build", name, "--json")
    assert ended.code == 1
    error = ended.last("error")
    assert "%post" in error["message"]
    assert "7" in error["message"]
    left = {path.name for path in Path(error["evidence"]).iterdir()}
    assert {
        "build.log",
        "console.log",
        "installer.log",
        "domain.xml",
        "ks.cfg",
        "repeat.sh",
        "error.txt",
    } <= left
    assert "about to fail" in (Path(error["evidence"]) / "installer.log").read_text()
    assert not (project.folder / "artifacts" / name).exists()


def test_an_installation_that_never_ends(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    template = with_post(project, "endless.ks.j2", "while :; do sleep 1; done")
    name = variant(("vm: {timeout: 20m, vcpus: 1}", f"vm: {{timeout: 30s}}\nkickstart: {{template: {template}}}"))
    ended = project.run("build", name, "--json")
    assert ended.code == 1
    error = ended.last("error")
    assert "did not finish within its time limit of 0:30" in error["message"]
    assert "vm.timeout" in error["hint"]


@pytest.mark.parametrize(
    ("signum", "doing"),
    [(signal.SIGINT, "writing the root file system"), (signal.SIGTERM, "GRUB")],
    ids=["SIGINT", "SIGTERM"],
)
def test_interrupted_during_the_installation(
    project: Project, built: Ended, variant: Callable[..., str], signum: signal.Signals, doing: str
) -> None:
    name = variant(("disk: {size: 2GiB}", f"disk: {{size: {2049 + int(signum)}MiB}}"))
    ended = project.interrupt_at(f'"install".*"running".*{doing}', signum, "build", name)
    assert ended.code == 130
    assert "interrupted" in ended.last("error")["message"]


def test_interrupted_while_packages_are_downloaded(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    name = variant(("packages: [", "packages: [less, "))
    ended = project.interrupt_at(r'"payload".*"running".*packages', signal.SIGINT, "build", name)
    assert ended.code == 130


@pytest.mark.parametrize("step", ["customise", "convert"])
def test_interrupted_after_the_installation(project: Project, built: Ended, step: str) -> None:
    pattern = {"customise": r'"customise".*"running".*disable-selinux', "convert": r'"convert".*"running"'}[step]
    recipe = "small"
    if step == "customise":  # with other operations, whose result is not in the store
        more = "operations:\n  - write-file: {path: /etc/interrupted, text: yes}\n"
        recipe = str(project.write("interrupted/small.yaml", RECIPE.replace("operations:\n", more)))
    ended = project.interrupt_at(pattern, signal.SIGINT, "build", recipe, "--output", f"interrupted-{step}")
    assert ended.code == 130
    assert not (project.folder / f"interrupted-{step}").exists() or not any(
        (project.folder / f"interrupted-{step}").iterdir()
    )


def test_two_concurrent_builds_make_one_image(project: Project, built: Ended) -> None:
    both = [project.start("build", "small", "--json", "--output", "at-once") for _ in range(2)]
    ended = [project.finish(process) for process in both]
    assert [one.code for one in ended] == [0, 0]
    images = {one.last("artifact")["image"] for one in ended}
    assert len(images) == 1
    notes = [event["text"] for one in ended for event in one.events if event["event"] == "note"]
    assert [re.sub(r"\d+", "N", note) for note in notes] == ["waiting for another build of it (process N)"]


def test_a_disk_too_small_for_the_partitions(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    ended = project.run("build", variant(("disk: {size: 2GiB}", "disk: {size: 300MiB}")), "--json")
    assert ended.code == 2
    (problem,) = ended.last("error")["problems"]
    assert problem["file"].endswith("macros.ks.j2")
    assert "the partitions need 1024 MiB, but the disk vda has 299 MiB for them" in problem["message"]


def test_a_disk_too_small_for_the_packages(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    """It is reported before anything boots, but only once the root archive, and so its size, exists."""
    template = (ROOT / "kickstart/debian.ks.j2").read_text()
    macro = "{{ imagebuild.disk(machine.firmware) }}"
    assert macro in template
    small = "zerombr\nclearpart --all --initlabel\npart / --fstype=ext4 --size=200 --grow"
    project.write("kickstart/tight.ks.j2", template.replace(macro, small))
    name = variant(("disk: {size: 2GiB}", "disk: {size: 300MiB}\nkickstart: {template: tight.ks.j2}"))
    ended = project.run("build", name, "--json")
    assert ended.code == 2
    (problem,) = ended.last("error")["problems"]
    assert problem["file"].endswith(f"{name}.yaml")
    assert (problem["line"], problem["where"]) == (3, "disk.size")


def test_a_package_that_does_not_exist(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    ended = project.run("build", variant(("packages: [", "packages: [no-such-package-anywhere, ")), "--json")
    assert ended.code == 2
    assert "no-such-package-anywhere" in ended.last("error")["message"]


def test_a_mirror_out_of_reach(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    name = variant(("disk: ", "installer: {mirror: 'http://127.0.0.1:9/debian'}\ndisk: "))
    ended = project.run("build", name, "--json")
    assert ended.code == 3
    assert "cannot reach http://127.0.0.1:9/debian" in ended.last("error")["message"]


def test_a_missing_secret(project: Project, built: Ended, variant: Callable[..., str]) -> None:
    ended = project.run("build", variant(("SMALL_ROOT_PASSWORD", "NEVER_SET")), "--json")
    assert ended.code == 2
    (problem,) = ended.last("error")["problems"]
    assert "NEVER_SET" in problem["message"]
    assert problem["line"] == 6


@pytest.fixture
def small_file_system(project: Project, built: Ended) -> Iterator[Path]:
    """A store of its own on a small file system that already holds the runtime and the root
    archive.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system to fill")
    store = project.folder.parent / "small-store"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8g,mode=755", "imagebuild-test", store], check=True)
    end_private_daemon()  # it would not see the new mount
    try:
        for kind in ("runtime", "tree", "payload", "key", "host.json"):
            subprocess.run(["cp", "-a", project.store / kind, store], check=True)
        yield store
    finally:
        subprocess.run(["umount", store], check=True)
        store.rmdir()


def test_a_file_system_that_the_daemon_does_not_see(project: Project, small_file_system: Path) -> None:
    with hypervisor.connected(hide_kvm=True):
        if daemons.private_daemon() is None:
            pytest.skip("this host's own libvirt daemon sees every mount")
        inner = small_file_system / "mounted-later"
        inner.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "imagebuild-test", inner], check=True)
        try:
            (inner / "disk").touch()
            with pytest.raises(HostError, match="was started before the file system"):
                hypervisor.check_reachable(inner / "disk", uid=65534)
        finally:
            subprocess.run(["umount", inner], check=True)


def shrink(mounted: Path, leave: int) -> None:
    """Make the file system so small that ``leave`` bytes are free: as if somebody else had taken
    the rest.
    """
    status = os.statvfs(mounted)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    subprocess.run(["mount", "-o", f"remount,size={used + leave}", mounted], check=True)


def test_too_little_space_is_reported_before_the_build(project: Project, small_file_system: Path) -> None:
    shrink(small_file_system, 100 << 20)
    ended = project.run("build", "small", "--json", "--output", "no-space", store=small_file_system)
    assert ended.code == 3
    assert re.search(r"has \d+ MiB free; this build may need \d+ MiB", ended.last("error")["message"])


@pytest.mark.parametrize(
    ("when", "leave", "said"),
    [
        (r'"install".*"started"', 150 << 20, r"no space left \(.*/disk\.raw\)"),
        (r'"install".*install GRUB', 1 << 20, "could not be written.*full"),
    ],
    ids=["while the host writes", "while the machine writes"],
)
def test_space_runs_out_during_the_installation(
    project: Project, small_file_system: Path, when: str, leave: int, said: str
) -> None:
    process = project.start("build", "small", "--json", "--output", "no-space", store=small_file_system)
    assert process.stdout is not None
    line = next(line for line in process.stdout if re.search(when, line) or '"error"' in line)
    assert re.search(when, line), line
    shrink(small_file_system, leave)
    ended = project.finish(process)
    assert ended.code == 3, ended.events[-2:]
    assert re.search(said, ended.last("error")["message"])
    left = {path.name for path in small_file_system.iterdir()}
    assert left <= {
        "runtime",
        "tree",
        "payload",
        "key",
        "host.json",
        "CACHEDIR.TAG",
        "history.sqlite",
        "installed",
        "work",
        "locks",
        "failures",
    }
    assert [*(small_file_system / "installed").iterdir(), *(small_file_system / "work").iterdir()] == []


def test_the_next_build_cleans_up_after_a_killed_one(
    project: Project, built: Ended, variant: Callable[..., str]
) -> None:
    name = variant(("disk: {size: 2GiB}", "disk: {size: 2500MiB}"))
    process = project.start("build", name, "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if '"install"' in line and "GRUB" in line:
            process.kill()
            break
    project.finish(process)
    assert list((project.store / "work").iterdir())
    ended = project.run("build", "small", "--json")
    assert ended.code == 0
