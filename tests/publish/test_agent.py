"""The agent as a process of this host: what it stores, what it refuses, and what an accident leaves."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.image.formats import CLUSTER
from imagebuild.publish import agent_channel, agent_client
from imagebuild.publish.agent.requests import PIECE
from imagebuild.publish.agent_channel import NoAgentError
from imagebuild.publish.agent_client import DigestMismatchError, HostAgent
from imagebuild.publish.agent_source import agent_source
from tests.publish.disks import disk_of, image, noise

NAME = "web--1--0123456789abcdef.qcow2"
PART = f".{NAME}.part"
MIB = 1 << 20


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    (tmp_path / "pool").mkdir()
    return tmp_path / "pool"


@pytest.fixture
def agent() -> Iterator[HostAgent]:
    with HostAgent() as found:
        yield found


class Sample:
    """A file to publish."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.size = path.write_bytes(content)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.content = content

    def put(self, agent: HostAgent, pool: Path, olds: Sequence[str] = ()) -> int:
        return agent.put(str(pool), NAME, self.path, self.size, self.sha256, olds)


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path / "sample", noise(2 * PIECE + 12345))


def stored(pool: Path) -> list[str]:
    return sorted(path.name for path in pool.iterdir() if path.name != ".imagebuild.lock")


def test_a_file_is_stored_whole_and_read_only(agent: HostAgent, pool: Path, sample: Sample) -> None:
    facts = agent.hello(str(pool))
    assert facts.writable
    assert facts.free > 0
    moved = sample.put(agent, pool)
    assert sample.size < moved < sample.size + 100_000
    assert stored(pool) == [NAME]
    assert (pool / NAME).read_bytes() == sample.content
    assert (pool / NAME).stat().st_mode & 0o7777 == 0o444
    assert agent.digest(str(pool), NAME) == sample.sha256
    assert agent.files(str(pool)) == {NAME: sample.size}
    assert sample.put(agent, pool) < 1000, "it is there already"


def test_empty_files_and_absent_ones(agent: HostAgent, pool: Path, tmp_path: Path) -> None:
    empty = Sample(tmp_path / "empty", b"")
    empty.put(agent, pool)
    assert agent.digest(str(pool), NAME) == empty.sha256
    agent.remove(str(pool), NAME)
    agent.remove(str(pool), NAME)
    assert agent.digest(str(pool), NAME) == ""
    assert stored(pool) == []


def test_nothing_is_left_of_the_agent(pool: Path, sample: Sample) -> None:
    with HostAgent() as agent:
        sample.put(agent, pool)
        assert agent._running is not None
        process = agent._running._process
    assert process.returncode == 0
    assert {path.name for path in pool.iterdir()} == {NAME, ".imagebuild.lock"}


def test_the_source_is_plain_ascii_and_names_no_path() -> None:
    assert agent_source().decode("ascii").count("imagebuild_agent") > 1
    assert str(Path(agent_client.__file__).parent).encode() not in agent_source()


def test_only_wrong_pieces_are_sent_again(agent: HostAgent, pool: Path, sample: Sample) -> None:
    content = bytearray(sample.content)
    content[PIECE + 17] ^= 1
    (pool / PART).write_bytes(content + b"and more")
    assert sample.put(agent, pool) < PIECE + 100_000
    assert (pool / NAME).read_bytes() == sample.content


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_a_transfer_that_was_cut_off_goes_on(pool: Path, sample: Sample, share: float) -> None:
    def cut(done: int, size: int) -> None:
        if done >= share * size:
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError), HostAgent() as agent:
        agent.put(str(pool), NAME, sample.path, sample.size, sample.sha256, (), cut)
    assert stored(pool) == [PART]
    with HostAgent() as agent:
        moved = sample.put(agent, pool)
    assert (pool / NAME).read_bytes() == sample.content
    assert stored(pool) == [NAME]
    assert moved < sample.size - int(share * sample.size / PIECE - 0.2) * PIECE + 100_000


@pytest.mark.seconds
def test_the_agent_is_killed_at_any_instant(pool: Path, tmp_path: Path) -> None:
    seeds = list(range(1, 3000))
    image(pool / "old.qcow2", disk_of(seeds))
    path = tmp_path / "new"
    image(path, disk_of([*range(5000, 5400), *seeds]))
    sample = Sample(path, path.read_bytes())
    choice = random.Random(7)
    for round_ in range(6):
        olds = ["old.qcow2"] if round_ % 2 else []
        for _ in range(2):
            with HostAgent() as agent:
                agent.hello(str(pool))
                assert agent._running is not None
                victim = agent._running._process.pid
                killer = subprocess.Popen(["sh", "-c", f"sleep {choice.uniform(0, 0.5)}; kill -9 {victim}"])
                try:
                    sample.put(agent, pool, olds)
                except HostError:
                    pass
                finally:
                    killer.wait()
            if (pool / NAME).exists():
                assert (pool / NAME).read_bytes() == sample.content
        with HostAgent() as agent:
            sample.put(agent, pool, olds)
            assert stored(pool) == sorted([NAME, "old.qcow2"])
            assert (pool / NAME).read_bytes() == sample.content
            agent.remove(str(pool), NAME)


def test_a_delta_through_the_agent(agent: HostAgent, pool: Path, tmp_path: Path) -> None:
    seeds = list(range(1, 6000))
    image(pool / "old.qcow2", disk_of(seeds))
    (pool / "raw.qcow2").write_bytes(noise(1000))
    path = tmp_path / "new"
    image(path, disk_of([7001, 7002, *seeds]))
    new = Sample(path, path.read_bytes())
    moved = new.put(agent, pool, ["absent.qcow2", "raw.qcow2", "old.qcow2"][1:])
    assert moved < new.size / 20
    assert (pool / NAME).read_bytes() == new.content


def test_a_host_that_compresses_in_another_way_gets_the_whole_file(
    agent: HostAgent, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"".join(path.read_bytes() for path in sorted(Path(os.__file__).parent.glob("*.py")))
    content += bytes(-len(content) % CLUSTER)
    monkeypatch.setattr("imagebuild.image.qcow2.ZSTD_LEVEL", 1)
    monkeypatch.setattr(agent_client, "_WORTH_IT", 1)
    image(pool / "old.qcow2", content)
    path = tmp_path / "new"
    image(path, content)
    new = Sample(path, path.read_bytes())
    assert new.put(agent, pool, ["old.qcow2"]) > new.size
    assert (pool / NAME).read_bytes() == new.content


def test_clusters_that_the_host_cannot_make_are_sent(
    agent: HostAgent, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = list(range(1, 6000))
    image(pool / "old.qcow2", disk_of(seeds))
    monkeypatch.setattr("imagebuild.image.qcow2.ZSTD_LEVEL", 1)  # of these texts some come out differently
    path = tmp_path / "new"
    image(path, disk_of(seeds))
    new = Sample(path, path.read_bytes())
    assert MIB // 4 < new.put(agent, pool, ["old.qcow2"]) < new.size / 4
    assert (pool / NAME).read_bytes() == new.content


def test_a_rebuilt_file_with_other_bytes_is_sent_as_a_whole(
    agent: HostAgent, pool: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HostAgent, "_rebuilt", lambda *_: True)
    (pool / PART).write_bytes(sample.content[:PIECE] + bytes(sample.size - PIECE))
    assert sample.put(agent, pool, ["old.qcow2"]) < sample.size
    assert (pool / NAME).read_bytes() == sample.content


def test_a_file_that_is_not_what_was_announced_gets_no_name(agent: HostAgent, pool: Path, sample: Sample) -> None:
    with pytest.raises(DigestMismatchError):
        agent.put(str(pool), NAME, sample.path, sample.size, "0" * 64)
    assert stored(pool) == [PART]
    sample.put(agent, pool)
    assert stored(pool) == [NAME]


def test_a_file_of_another_size_stays(agent: HostAgent, pool: Path, sample: Sample) -> None:
    (pool / NAME).write_bytes(b"somebody's")
    with pytest.raises(ImageBuildError, match="another size"):
        sample.put(agent, pool)
    assert (pool / NAME).read_bytes() == b"somebody's"


def test_a_name_that_is_taken_meanwhile_stays(agent: HostAgent, pool: Path, sample: Sample) -> None:
    def meanwhile(done: int, size: int) -> None:
        if done == size:
            (pool / NAME).write_bytes(b"somebody's")

    with pytest.raises(HostError, match="another file"):
        agent.put(str(pool), NAME, sample.path, sample.size, sample.sha256, (), meanwhile)
    assert (pool / NAME).read_bytes() == b"somebody's"


@pytest.mark.parametrize("kind", ["link", "fifo", "hard link", "folder"])
def test_what_lies_under_the_name_of_a_part_is_not_followed(
    agent: HostAgent, pool: Path, sample: Sample, tmp_path: Path, kind: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    match kind:
        case "link":
            (pool / PART).symlink_to(precious)
        case "fifo":
            os.mkfifo(pool / PART)
        case "hard link":
            (pool / PART).hardlink_to(precious)
        case "folder":
            (pool / PART).mkdir()
    if kind == "folder":
        with pytest.raises(HostError, match=r"[Dd]irectory"):
            sample.put(agent, pool)
    else:
        sample.put(agent, pool)
        assert stored(pool) == [NAME]
    assert precious.read_bytes() == b"precious"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_no_file_has_no_digest(agent: HostAgent, pool: Path, tmp_path: Path, kind: str) -> None:
    match kind:
        case "link":
            (pool / NAME).symlink_to("/etc/passwd")
        case "fifo":
            os.mkfifo(pool / NAME)
        case "folder":
            (pool / NAME).mkdir()
    with pytest.raises(HostError):
        agent.digest(str(pool), NAME)
    assert agent.files(str(pool)) == {}


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a\nb", "x" * 300, "a b", "-f"])
def test_names_that_are_no_files_of_ours_are_refused(agent: HostAgent, pool: Path, sample: Sample, name: str) -> None:
    for call in (
        lambda: agent.put(str(pool), name, sample.path, sample.size, sample.sha256),
        lambda: agent.digest(str(pool), name),
        lambda: agent.remove(str(pool), name),
    ):
        with pytest.raises(HostError):
            call()
    assert stored(pool) == []


def test_folders_that_cannot_be_used(agent: HostAgent, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (str(tmp_path / "absent"), str(tmp_path / "file"), "relative"):
        with pytest.raises(HostError):
            agent.hello(folder)


def test_one_publisher_at_a_time(pool: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_client, "_LOCK_SECONDS", 0)
    with HostAgent() as first, HostAgent() as second:
        sample.put(first, pool)
        assert second.digest(str(pool), NAME) == sample.sha256, "reading needs no lock"
        with pytest.raises(HostError, match="another publish"):
            second.remove(str(pool), NAME)
        first.close()
        second.remove(str(pool), NAME)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_file_for_which_there_is_no_room_is_not_begun(small: Path, agent: HostAgent, tmp_path: Path) -> None:
    large = Sample(tmp_path / "large", noise(25 * MIB))
    with pytest.raises(HostError, match="no room: 1 MiB"):
        large.put(agent, small)


def test_a_disk_that_becomes_full(small: Path, agent: HostAgent, sample: Sample) -> None:
    def fill(done: int, size: int) -> None:
        if done == MIB:
            (small / "filler").write_bytes(bytes(15 * MIB))

    with pytest.raises(HostError, match="no room"):
        agent.put(str(small), NAME, sample.path, sample.size, sample.sha256, (), fill)
    (small / "filler").unlink()
    assert stored(small) == [PART]
    assert sample.put(agent, small) < sample.size
    assert (small / NAME).read_bytes() == sample.content


def test_a_host_that_does_not_answer() -> None:
    with (
        HostAgent(lambda _words: ["sleep", "60"], "web1", stall=0.3) as agent,
        pytest.raises(HostError, match="answered"),
    ):
        agent.hello("/")


def test_a_host_without_python() -> None:
    command = ["sh", "-c", "echo 'sh: python3: not found' >&2; exit 127"]
    with HostAgent(lambda _words: command, "web1") as agent, pytest.raises(NoAgentError, match="web1 has no python3"):
        agent.hello("/")


def test_a_connection_that_fails_says_why() -> None:
    command = ["sh", "-c", "echo 'ssh: \x1b[31mno route' >&2; exit 255"]
    with HostAgent(lambda _words: command, "web1") as agent, pytest.raises(HostError, match="no route") as failed:
        agent.hello("/")
    assert "\x1b" not in str(failed.value)


def test_a_login_shell_that_prints(pool: Path) -> None:
    def noisy(words: Sequence[str]) -> list[str]:
        return ["sh", "-c", 'echo "Welcome to this host"; exec "$@"', "sh", *words]

    with HostAgent(noisy, "web1") as agent, pytest.raises(HostError, match="makes no sense"):
        agent.hello(str(pool))


def test_a_host_that_is_stopped_in_the_middle(pool: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_channel, "_GRACE", 0.1)
    with HostAgent() as agent:
        agent.hello(str(pool))
        assert agent._running is not None
        agent._running._stall = 0.3
        os.kill(agent._running._process.pid, signal.SIGSTOP)
        with pytest.raises(HostError, match="has not answered"):
            sample.put(agent, pool)
    assert NAME not in stored(pool)
