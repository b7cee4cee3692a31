"""Entries go to a remote store and come from it; nothing else does."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zstandard
from conftest import FINGERPRINT, KEY, MIB, OTHER, Remote, RemoteFolder, make_entry

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.files import allocated
from imagebuild.remote import entry_record as records
from imagebuild.remote import remote_store
from imagebuild.remote.entry_record import RefusedEntry
from imagebuild.remote.place import RemotePlace
from imagebuild.remote.remote_store import RemoteStore
from imagebuild.store.store import Store

RECORD = f"entries/installed/{FINGERPRINT}"


def content(folder: Path) -> dict[str, tuple[int, int, str | bytes]]:
    """Type and permissions, whole seconds of the time, and content of everything in an entry."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        when = int(status.st_mtime) if path.name != "entry.json" and path.is_file() else 0
        found[str(path.relative_to(folder))] = (status.st_mode, when, data)
    return found


def chunk_names(remote: Remote) -> list[str]:
    return sorted(name for name in remote.names() if name.startswith("chunks/"))


def test_an_entry_arrives_as_it_was(remote: Remote, one: Store, two: Store) -> None:
    made = make_entry(one)
    store = remote.opened()
    assert not store.has("installed", FINGERPRINT)
    assert not store.pull("installed", FINGERPRINT, two)
    store.push("installed", FINGERPRINT, one)
    assert store.has("installed", FINGERPRINT)
    fresh = remote.opened()
    assert fresh.pull("installed", FINGERPRINT, two)
    with ExitStack() as held:
        arrived = two.take("installed", FINGERPRINT, held)
    assert arrived is not None
    assert content(arrived) == content(made)
    assert stat.S_IMODE(arrived.stat().st_mode) == 0o700
    assert allocated(arrived / "disk.raw") <= allocated(made / "disk.raw") + 64 * 1024
    assert not list(two.root.glob("incoming/*"))
    assert {name.partition("/")[0] for name in remote.names()} == {"chunks", "entries", "used"}


def test_holes_and_zeros_are_not_sent_and_equal_chunks_once(remote: Remote, one: Store) -> None:
    make_entry(one)
    make_entry(one, OTHER)  # the same disk under another fingerprint
    store = remote.opened()
    store.push("installed", FINGERPRINT, one)
    first = store.sent.total
    assert first < 3.2 * MIB
    store.push("installed", OTHER, one)
    assert store.sent.total - first < 10_000  # the record


def test_a_push_that_was_cut_goes_on_where_it_ended(remote: Remote, one: Store, two: Store) -> None:
    make_entry(one)
    store = remote.opened()
    cut = Breaking(store.place, writes=4)
    store.place = cut
    with pytest.raises(HostError, match="cut"):
        store.push("installed", FINGERPRINT, one)
    there = chunk_names(remote)
    assert there
    assert RECORD not in remote.names()
    again = remote.opened()
    assert not again.has("installed", FINGERPRINT)
    before = {name: remote.read(name) for name in there}
    again.push("installed", FINGERPRINT, one)
    assert again.sent.total < 3.2 * MIB - sum(map(len, before.values())) + 20_000
    assert again.pull("installed", FINGERPRINT, two)


def test_a_pull_that_was_cut_goes_on_where_it_ended(remote: Remote, one: Store, two: Store) -> None:
    make_entry(one)
    remote.opened().push("installed", FINGERPRINT, one)
    store = remote.opened()
    store.place = Breaking(store.place, reads=4)
    with pytest.raises(HostError, match="cut"):
        store.pull("installed", FINGERPRINT, two)
    assert two.find("installed", FINGERPRINT) is None
    (left,) = two.root.glob("incoming/*")
    assert left.stat().st_mode & 0o077 == 0
    again = remote.opened()
    assert again.pull("installed", FINGERPRINT, two)
    assert again.received.total < 2.4 * MIB
    assert not list(two.root.glob("incoming/*"))


class Breaking:
    """A place whose connection is cut after some objects, as a server's that is switched off."""

    def __init__(self, place: RemotePlace, *, reads: int = 1 << 30, writes: int = 1 << 30) -> None:
        self._place, self._reads, self._writes = place, reads, writes
        self._turn = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._place, name)

    def read(self, name: str, limit: int) -> bytes | None:
        with self._turn:
            self._reads -= 1
        if self._reads < 0:
            raise HostError("the connection was cut")
        return self._place.read(name, limit)

    def write(self, name: str, content: bytes) -> None:
        with self._turn:
            self._writes -= 1
        if self._writes < 0:
            raise HostError("the connection was cut")
        self._place.write(name, content)


def pushed(remote: Remote, one: Store, key: str | None = KEY) -> None:
    make_entry(one)
    remote.opened(key).push("installed", FINGERPRINT, one)


def refuses(remote: Remote, two: Store, match: str, fingerprint: str = FINGERPRINT) -> None:
    """A reader with the key takes nothing, says why, and leaves nothing that could be taken for an entry."""
    with pytest.raises(RefusedEntry, match=match):
        remote.opened().pull("installed", fingerprint, two)
    assert two.find("installed", fingerprint) is None


def test_an_altered_chunk_is_noticed(remote: Remote, one: Store, two: Store) -> None:
    pushed(remote, one)
    name = chunk_names(remote)[3]
    plain = zstandard.decompress(remote.read(name))
    remote.write(name, zstandard.compress(plain[:-1] + bytes([plain[-1] ^ 1])))
    refuses(remote, two, "its content is another one")


@pytest.mark.parametrize("size", [0, 10, -5])
def test_a_truncated_chunk_is_noticed(folder: RemoteFolder, one: Store, two: Store, size: int) -> None:
    pushed(folder, one)
    name = chunk_names(folder)[0]
    folder.write(name, folder.read(name)[:size])
    refuses(folder, two, "damaged")


def test_a_missing_chunk_is_noticed(folder: RemoteFolder, one: Store, two: Store) -> None:
    pushed(folder, one)
    (folder.root / chunk_names(folder)[0]).unlink()
    refuses(folder, two, "a part of it is missing")


def test_a_chunk_that_is_larger_than_it_says_is_not_unpacked(folder: RemoteFolder, one: Store, two: Store) -> None:
    pushed(folder, one)
    folder.write(chunk_names(folder)[0], zstandard.compress(bytes(64 * MIB)))
    refuses(folder, two, "another length")
    folder.write(chunk_names(folder)[0], bytes(2 * MIB))
    refuses(folder, two, "larger than it can be|another length|cannot be unpacked")


def test_the_next_push_replaces_what_was_damaged(folder: RemoteFolder, one: Store, two: Store) -> None:
    pushed(folder, one)
    name = chunk_names(folder)[0]
    good = folder.read(name)
    folder.write(name, b"poison")
    store = folder.opened()
    with pytest.raises(RefusedEntry):
        store.pull("installed", FINGERPRINT, two)
    store.push("installed", FINGERPRINT, one)  # as a build does after it has made the result itself
    assert folder.read(name) == good
    assert folder.opened().pull("installed", FINGERPRINT, two)


def test_an_entry_under_the_name_of_another_is_noticed(remote: Remote, one: Store, two: Store) -> None:
    pushed(remote, one)
    make_entry(one, OTHER, seed=2)
    remote.opened().push("installed", OTHER, one)
    remote.write(RECORD, remote.read(f"entries/installed/{OTHER}"))
    refuses(remote, two, "altered after it was sealed, or belongs to another entry")


def test_an_entry_of_another_kind_is_noticed(folder: RemoteFolder, one: Store, two: Store) -> None:
    make_entry(one, kind="layer")
    folder.opened().push("layer", FINGERPRINT, one)
    (folder.root / "entries" / "installed").mkdir()
    folder.write(RECORD, folder.read(f"entries/layer/{FINGERPRINT}"))
    refuses(folder, two, "belongs to another entry")
    with pytest.raises(RefusedEntry, match="the record of another entry"):  # without a key, too
        folder.opened(None).pull("installed", FINGERPRINT, two)


def test_without_the_seal_nothing_is_taken(remote: Remote, one: Store, two: Store) -> None:
    pushed(remote, one, key=None)
    refuses(remote, two, "not sealed")
    assert not remote.opened().has("installed", FINGERPRINT)
    assert remote.opened(None).pull("installed", FINGERPRINT, two)  # who has no key takes it


def test_a_seal_of_another_key_is_refused(folder: RemoteFolder, one: Store, two: Store) -> None:
    pushed(folder, one, key="f" * 64)
    refuses(folder, two, "sealed with another key")


def test_an_altered_record_is_refused(folder: RemoteFolder, one: Store, two: Store) -> None:
    pushed(folder, one)
    folder.write(RECORD, folder.read(RECORD).replace(b'"label":"web"', b'"label":"bad"'))
    refuses(folder, two, "altered after it was sealed")
    folder.write(RECORD, folder.read(RECORD)[:-10])
    refuses(folder, two, "altered")
    for garbage in (b"", b"\n", b"{}\n{}", b"[]\n", b'{"mac": 1}\n', os.urandom(2000)):
        folder.write(RECORD, garbage)
        refuses(folder, two, "not sealed|altered|another key")


def test_a_machine_without_the_key_cannot_make_an_entry_that_others_take(
    folder: RemoteFolder, one: Store, two: Store
) -> None:
    pushed(folder, one)
    make_entry(one, seed=66)  # something else under the same fingerprint
    folder.opened(None).push("installed", FINGERPRINT, one, replace=True)
    refuses(folder, two, "not sealed")


def test_a_short_key_is_an_error(folder: RemoteFolder) -> None:
    with pytest.raises(UsageError, match="fewer than 32 characters"):
        folder.opened("short")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"files": [{"name": "../../etc/cron.d/x"}]}, "name of a file"),
        ({"files": [{"name": "/etc/cron.d/x"}]}, "name of a file"),
        ({"files": [{"name": "logs/../../x"}]}, "name of a file"),
        ({"files": [{"name": "entry.json"}]}, "one name"),
        ({"files": [{"name": "nowhere/x"}]}, "name of a file"),
        ({"files": [{"mode": 0o4755}]}, "mode"),
        ({"files": [{"mode": 0o777}]}, "mode"),
        ({"files": [{"size": -1}]}, "size"),
        ({"files": [{"size": 1 << 60}]}, "size"),
        ({"files": [{"size": 4096, "chunks": [[1 << 40, "ab" * 32]]}]}, "chunk"),
        ({"files": [{"size": 1 << 40, "chunks": [[0, "../../../etc/passwd"]]}]}, "chunk"),
        ({"files": [{"size": 1 << 40, "chunks": [[1, "ab" * 32], [0, "ab" * 32]]}]}, "chunk"),
        ({"folders": {".": 0o755, "../up": 0o755}}, "folder"),
        ({"folders": {".": 0o777}}, "folder"),
        ({"folders": {}}, "no folder"),
        ({"chunk": 1 << 40}, "length of its chunks"),
        ({"chunk": 5000}, "length of its chunks"),
        ({"format": 2}, "format 2"),
    ],
)  # fmt: skip
def test_a_record_says_nothing_that_leads_out_of_the_entry(change: dict[str, Any], match: str) -> None:
    plain = {"name": "x", "size": 4096, "mode": 0o644, "modified": 1.0, "digest": "00", "chunks": []}
    record = {
        "kind": "installed", "fingerprint": FINGERPRINT, "label": "web", "made": "", "modified": 1.0, "inputs": {},
        "chunk": 4096, "folders": {".": 0o755, "logs": 0o755}, "files": [plain],
    }  # fmt: skip
    good = b"{}\n" + json.dumps(record).encode()
    assert records.opened(good, "installed", FINGERPRINT, None).files[0].name == "x"
    record |= {**change, "files": [{**plain, **one} for one in change.get("files", [])]}
    with pytest.raises(RefusedEntry, match=match):
        records.opened(b"{}\n" + json.dumps(record).encode(), "installed", FINGERPRINT, None)


def test_an_entry_with_a_link_is_not_pushed(folder: RemoteFolder, one: Store) -> None:
    with one.make("installed", FINGERPRINT, within=one.root, label="web", inputs={}) as made:
        (made / "link").symlink_to("/etc/passwd")
    with pytest.raises(ImageBuildError, match="a link or a special file"):
        folder.opened().push("installed", FINGERPRINT, one)


def test_no_link_at_the_remote_place_is_followed(folder: RemoteFolder, one: Store, two: Store, tmp_path: Path) -> None:
    pushed(folder, one)
    name = chunk_names(folder)[0]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(folder.read(name))
    (folder.root / name).unlink()
    (folder.root / name).symlink_to(elsewhere)
    with pytest.raises(HostError, match="symbolic link"):
        folder.opened().pull("installed", FINGERPRINT, two)
    target = tmp_path / "target"
    target.mkdir()
    (folder.root / "entries" / "layer").symlink_to(target)
    make_entry(one, OTHER, kind="layer")
    with pytest.raises(HostError, match="symbolic link"):
        folder.opened().push("layer", OTHER, one)
    assert not list(target.iterdir())


def test_many_writers_at_the_same_time_do_no_harm(remote: Remote, one: Store, two: Store) -> None:
    make_entry(one)
    for seed in range(1, 3):
        make_entry(one, f"{seed:02x}" * 32, seed=seed)
    errors: list[BaseException] = []
    names = [FINGERPRINT, "01" * 32, "02" * 32, FINGERPRINT]
    threads = [threading.Thread(target=_push, args=(remote.opened(), name, one, errors)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for name in {*names}:
        assert remote.opened().pull("installed", name, two)
    assert not any(name.startswith("pushes/") for name in remote.names())


def _push(store: RemoteStore, name: str, machine: Store, errors: list[BaseException]) -> None:
    try:
        store.push("installed", name, machine)
    except BaseException as error:  # noqa: BLE001 - shown by the assertion
        errors.append(error)


WRITER = """\
import sys, time
from pathlib import Path
from imagebuild.project.shared_store import SharedStore
from imagebuild.remote.folder_place import FolderPlace
from imagebuild.remote.opening import RemoteSettings, open_remote
from imagebuild.store.store import Store

root, machine, fingerprint = sys.argv[1:]
write = FolderPlace.write
def slowly(self, name, content):
    write(self, name, content)
    if name.startswith("chunks/"):
        print(name, flush=True)
        time.sleep(0.2)
FolderPlace.write = slowly
with open_remote(RemoteSettings(SharedStore(remote=root), Path("/"))) as remote:
    remote.push("installed", fingerprint, Store(Path(machine)))
"""


def test_a_killed_writer_leaves_no_entry_and_its_work_is_used(
    folder: RemoteFolder, one: Store, two: Store, tmp_path: Path
) -> None:
    make_entry(one)
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
    argv = [sys.executable, script, folder.root, one.root, FINGERPRINT]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert not folder.opened(None).has("installed", FINGERPRINT)
    assert any(name.startswith("pushes/") for name in folder.names())
    assert len(chunk_names(folder)) >= 2
    folder.opened().push("installed", FINGERPRINT, one)
    assert folder.opened().pull("installed", FINGERPRINT, two)


def test_two_readers_of_one_machine_fetch_an_entry_once(folder: RemoteFolder, one: Store, two: Store) -> None:
    pushed(folder, one)
    stores = [folder.opened(), folder.opened()]
    errors: list[BaseException] = []

    def pull(store: RemoteStore) -> None:
        try:
            assert store.pull("installed", FINGERPRINT, two)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            errors.append(error)

    threads = [threading.Thread(target=pull, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert min(store.received.total for store in stores) < MIB


def test_a_place_that_never_answers_takes_a_bounded_time(folder: RemoteFolder, two: Store) -> None:
    store = folder.opened(patience=0.3)
    never = threading.Event()

    class Hung(Breaking):
        def read(self, name: str, limit: int) -> bytes | None:
            never.wait()
            return None

    store.place = Hung(store.place)
    with pytest.raises(HostError, match="within 0 s"):
        store.pull("installed", FINGERPRINT, two)
    never.set()


def test_a_slow_place_is_given_up(
    folder: RemoteFolder, one: Store, two: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(folder, one)
    monkeypatch.setattr(remote_store, "SLOWEST", 1 << 40)
    store = folder.opened(patience=0.3)
    ended = threading.Event()

    class Slow(Breaking):
        def read(self, name: str, limit: int) -> bytes | None:
            if name.startswith("chunks/"):
                ended.wait(0.2)
            return super().read(name, limit)

    store.place = Slow(store.place)
    with pytest.raises(HostError, match="did not do its work"):
        store.pull("installed", FINGERPRINT, two)
    ended.set()


def test_a_folder_that_is_not_mounted_is_an_error(folder: RemoteFolder, one: Store, two: Store) -> None:
    make_entry(one)
    folder.root.rmdir()
    with pytest.raises(HostError, match="is not there"):
        folder.opened().has("installed", FINGERPRINT)
    with pytest.raises(HostError, match="is not there"):
        folder.opened().push("installed", FINGERPRINT, one)
    assert not folder.root.exists()


def test_a_full_file_system_is_an_error_and_leaves_no_entry(one: Store, tmp_path: Path) -> None:
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", root], check=True)
    try:
        remote = RemoteFolder({"remote": str(root)}, tmp_path, root)
        make_entry(one)
        with pytest.raises(HostError, match="there is no room"):
            remote.opened().push("installed", FINGERPRINT, one)
        assert not any(name.startswith("entries/") for name in remote.names())
        assert not any(name.endswith(".part") for name in remote.names())
    finally:
        subprocess.run(["umount", root], check=True)


def test_a_web_server_gives_and_takes_nothing(
    folder: RemoteFolder, web: tuple[Remote, Any], one: Store, two: Store
) -> None:
    pushed(folder, one)
    remote, server = web
    server.content |= {f"/store/{name}": folder.read(name) for name in folder.names()}
    store = remote.opened()
    assert store.pull("installed", FINGERPRINT, two)
    assert not store.pushes
    assert not store.has("installed", OTHER)
    with pytest.raises(HostError, match="can only be read"):
        store.push("installed", FINGERPRINT, one)


def test_a_web_server_that_is_cut_is_asked_again_from_there(
    folder: RemoteFolder, web: tuple[Remote, Any], one: Store, two: Store
) -> None:
    pushed(folder, one)
    remote, server = web
    server.content |= {f"/store/{name}": folder.read(name) for name in folder.names()}
    server.faults.cut_after = [*([2 * MIB] * 4), *([5] * 100)]
    with pytest.raises(HostError):
        remote.opened().pull("installed", FINGERPRINT, two)
    server.faults.cut_after = []
    assert list(two.root.glob("incoming/*/disk.raw"))
    assert remote.opened().pull("installed", FINGERPRINT, two)


def test_ssh_refuses_an_unknown_host(make_remote: Callable[[str], Remote], one: Store, tmp_path: Path) -> None:
    remote = make_remote("sftp")
    (tmp_path / "known_hosts").write_text("")
    make_entry(one)
    with pytest.raises(HostError, match=r"(?i)host key"):
        remote.opened(known_hosts_file=str(tmp_path / "known_hosts")).has("installed", FINGERPRINT)
