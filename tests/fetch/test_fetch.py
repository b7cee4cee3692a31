"""Downloads from a real server on the loopback interface that misbehaves."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_server import FaultyServer

from imagebuild import fetch
from imagebuild.errors import HostError, ImageBuildError
from imagebuild.fetch import Digest, Limits
from imagebuild.progress import SILENT

QUICK = Limits(connect=10, read=10, window=10, slowest=64, pause=0.01, attempts=3)
BODY = random.Random(1).randbytes(3 * 1024 * 1024 + 17)
OTHER = random.Random(2).randbytes(len(BODY))


def digest(body: bytes = BODY) -> Digest:
    return Digest("sha256", hashlib.sha256(body).hexdigest())


BIG = digest()


class RecordingProgress:
    """Records the progress of a download."""

    def __init__(self) -> None:
        self.updates: list[tuple[str, float | None]] = []

    def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
        self.updates.append((detail, fraction))
        self.waiting = waiting

    def summary(self, text: str) -> None:
        pass


@pytest.fixture
def get(server: FaultyServer, tmp_path: Path) -> Callable[..., bytes]:
    """Download /big.iso with short limits, and return the content."""
    server.content["/big.iso"] = BODY

    def go(expected: Digest | None = BIG, limits: Limits = QUICK) -> bytes:
        target = tmp_path / "big.iso"
        fetch.download(server.url("/big.iso"), target, expected, SILENT, limits)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["big.iso"]  # and nothing else remains
        return target.read_bytes()

    return go


def test_a_look_up_says_what_it_waits_for(server: FaultyServer) -> None:
    """In the step that it belongs to, many layers above; elsewhere nobody hears of it."""
    server.content["/x/.treeinfo"] = b"text"
    said: list[tuple[str, str]] = []

    class Recorded(RecordingProgress):
        def update(self, detail: str = "", fraction: float | None = None, waiting: str = "") -> None:
            said.append((detail, waiting))

    url = server.url("/x/.treeinfo")
    with fetch.reported(Recorded(), "looking"):
        fetch.text(url, QUICK)
        fetch.version(f"{url}?token=secret", QUICK)
    fetch.text(url, QUICK)
    waits = [
        ("looking", f"an answer from {url}"),
        ("looking", ""),
        ("looking", f"an answer from {url}?…"),
        ("looking", ""),
    ]
    assert said == [("looking", ""), *waits]


def test_a_download_reports_its_progress(server: FaultyServer, tmp_path: Path) -> None:
    server.content["/x/big.iso"] = BODY
    progress = RecordingProgress()
    fetch.download(server.url("/x/big.iso"), tmp_path / "file", digest(), progress, QUICK)
    assert (tmp_path / "file").read_bytes() == BODY
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    assert progress.updates[-1] == ("big.iso: 3 of 3 MiB", 1.0)
    assert progress.waiting == f"bytes from {server.url('/x/big.iso')}"
    assert any(fraction and fraction < 1 for _, fraction in progress.updates)


def test_other_hashes(server: FaultyServer, tmp_path: Path) -> None:
    server.content["/f"] = b"content"
    expected = Digest("sha512", hashlib.sha512(b"content").hexdigest())
    fetch.download(server.url("/f"), tmp_path / "f", expected, SILENT, QUICK)
    with pytest.raises(ValueError, match="is not a digest"):
        Digest("md5", "0" * 32)


def test_a_cut_connection_is_resumed(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.cut_after = [1_000_000, 1_500_000]
    assert get() == BODY
    assert [asked for _, asked in server.seen] == [None, "bytes=1000000-", "bytes=2500000-"]


def test_a_server_without_ranges_sends_everything_again(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.cut_after = [1_000_000]
    server.faults.ranges = False
    assert get() == BODY


def test_without_a_validator_the_download_is_not_resumed(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.cut_after = [1_000_000]
    server.faults.validator = None
    assert get() == BODY
    assert [asked for _, asked in server.seen] == [None, None]


def test_a_weak_tag_does_not_guarantee_the_same_bytes(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.cut_after = [1_000_000]
    server.faults.validator = 'W/"one"'
    assert get() == BODY
    assert [asked for _, asked in server.seen] == [None, None]


def test_a_body_without_a_length(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.length = False
    assert get() == BODY


def test_a_cut_body_without_a_length_is_detected_by_its_digest(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.length = False
    server.faults.cut_after = [1000]
    with pytest.raises(ImageBuildError, match="does not match: its sha256 is"):
        get()


def test_the_bytes_are_those_of_the_file_whatever_encoding_is_claimed(
    server: FaultyServer, get: Callable[..., bytes]
) -> None:
    server.faults.encoding = "gzip"
    assert get() == BODY


def test_the_part_of_an_earlier_process_is_resumed(
    server: FaultyServer, get: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "big.iso.part").write_bytes(BODY[:2_000_000])
    about = {"url": server.url("/big.iso"), "validator": '"one"'}
    (tmp_path / "big.iso.part.json").write_text(json.dumps(about))
    assert get() == BODY
    assert [asked for _, asked in server.seen] == ["bytes=2000000-"]


@pytest.mark.parametrize("about", ["", "{", '{"url": "http://other.example/", "validator": "x"}', "[1]"])
def test_a_part_of_unknown_version_is_not_resumed(
    server: FaultyServer, get: Callable[..., bytes], tmp_path: Path, about: str
) -> None:
    (tmp_path / "big.iso.part").write_bytes(OTHER[:2_000_000])
    (tmp_path / "big.iso.part.json").write_text(about)
    assert get() == BODY
    assert [asked for _, asked in server.seen] == [None]


def test_a_complete_part_is_not_fetched_again(server: FaultyServer, get: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "big.iso.part").write_bytes(BODY)
    (tmp_path / "big.iso.part.json").write_text(json.dumps({"url": server.url("/big.iso"), "validator": '"one"'}))
    assert get() == BODY
    assert server.seen == []


def test_a_part_that_is_longer_than_the_file(server: FaultyServer, get: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "big.iso.part").write_bytes(BODY + b"more")
    (tmp_path / "big.iso.part.json").write_text(json.dumps({"url": server.url("/big.iso"), "validator": '"one"'}))
    server.faults.statuses = [416]
    assert get() == BODY


def test_a_file_that_changed_meanwhile_is_fetched_again(server: FaultyServer, get: Callable[..., bytes]) -> None:
    """The server honours If-Range and sends the whole new version."""
    server.faults.cut_after = [1_000_000]
    server.content["/big.iso"] = OTHER
    with pytest.raises(HostError, match="the connection ended after 1000000 of 3145745 bytes"):
        get(limits=Limits(pause=0, attempts=1))
    server.content["/big.iso"] = BODY
    server.faults.validator = '"two"'
    assert get() == BODY


def test_a_file_that_changed_under_the_same_tag_is_detected(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.cut_after = [1_000_000]
    server.content["/big.iso"] = OTHER
    with pytest.raises(HostError):
        get(limits=Limits(pause=0, attempts=1))
    server.content["/big.iso"] = BODY
    assert get() == BODY
    assert [asked for _, asked in server.seen] == [None, "bytes=1000000-", None]


def test_a_wrong_digest_reports_both_and_leaves_nothing(
    server: FaultyServer, get: Callable[..., bytes], tmp_path: Path
) -> None:
    with pytest.raises(ImageBuildError) as wrong:
        get(digest(OTHER))
    assert digest(OTHER).value in wrong.value.message
    assert digest().value in wrong.value.message
    assert list(tmp_path.iterdir()) == []
    assert len(server.seen) == 1


def test_a_busy_server_is_retried(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.statuses = [503, 429]
    assert get() == BODY
    assert len(server.seen) == 3


def test_a_server_that_stays_busy(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.statuses = [503] * 5
    with pytest.raises(HostError, match=r"cannot fetch .*big\.iso: the server says 503") as wrong:
        get()
    assert wrong.value.hint == "run it again to resume: the downloaded part is kept"
    assert len(server.seen) == 3


def test_a_missing_file_is_not_retried(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(fetch.NotThere, match=r"/gone\.iso does not exist \(the server says 404\)"):
        fetch.download(server.url("/gone.iso"), tmp_path / "f", None, SILENT, QUICK)
    with pytest.raises(fetch.NotThere):
        fetch.text(server.url("/gone"), QUICK)
    assert len(server.seen) == 2


def test_a_forbidden_file(server: FaultyServer, tmp_path: Path) -> None:
    server.faults.statuses = [403]
    with pytest.raises(HostError, match="the server says 403"):
        fetch.download(server.url("/x?token=secret"), tmp_path / "f", None, SILENT, QUICK)


def test_a_query_is_not_shown(server: FaultyServer) -> None:
    with pytest.raises(HostError) as wrong:
        fetch.text(server.url("/gone?token=secret"), QUICK)
    assert "secret" not in wrong.value.message
    assert "/gone?…" in wrong.value.message


@pytest.mark.seconds
@pytest.mark.parametrize("stalled_after", [0, 100_000])
def test_a_server_that_falls_silent(server: FaultyServer, get: Callable[..., bytes], stalled_after: int) -> None:
    server.faults.stall_after = stalled_after
    with pytest.raises(
        HostError, match=r"cannot fetch .*: (the server did not answer in time|fewer than 64 bytes arrived in 0 s)"
    ):
        get(limits=Limits(read=0.3, window=5, slowest=64, pause=0, attempts=2))
    server.faults.stall_after = None
    assert get() == BODY


@pytest.mark.seconds
def test_a_server_that_drips(server: FaultyServer, get: Callable[..., bytes]) -> None:
    """Each byte arrives in time, but the file never would."""
    server.faults.stall_after, server.faults.drip = 1000, 0.02
    with pytest.raises(HostError, match="fewer than 64 bytes arrived in"):
        get(limits=Limits(read=5, window=0.5, slowest=64, pause=0, attempts=2))


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/.treeinfo"
        with pytest.raises(HostError, match="Connection refused") as wrong:
            fetch.text(url, QUICK)
    assert wrong.value.hint == "the server's current data is needed for each build"


def test_a_text_is_fetched_each_time(server: FaultyServer) -> None:
    server.content["/.treeinfo"] = b"first"
    assert fetch.text(server.url("/.treeinfo"), QUICK) == b"first"
    server.content["/.treeinfo"] = b"second"
    server.faults.statuses = [500]
    assert fetch.text(server.url("/.treeinfo"), QUICK) == b"second"


def test_a_text_without_end(server: FaultyServer) -> None:
    server.content["/.treeinfo"] = bytes(17 * 1024 * 1024)
    with pytest.raises(ImageBuildError, match="is larger than 16 MiB, but a text was expected"):
        fetch.text(server.url("/.treeinfo"), QUICK)


def test_the_version_of_an_unverified_file(server: FaultyServer) -> None:
    server.content["/f"] = b"12345"
    assert fetch.version(server.url("/f"), QUICK) == '"one" - 5'


def test_https_with_a_private_authority(
    tls_server: FaultyServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls_server.content["/f"] = b"over TLS"
    with pytest.raises(HostError, match=r"the server's certificate is invalid: .*self.signed certificate"):
        fetch.text(tls_server.url("/f"), QUICK)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    assert fetch.text(tls_server.url("/f"), QUICK) == b"over TLS"


def test_never_from_https_down_to_http(
    tls_server: FaultyServer, server: FaultyServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    server.content["/f"] = b"in the clear"
    tls_server.faults.location = server.url("/f")
    with pytest.raises(ImageBuildError, match="redirects from https to the insecure http://"):
        fetch.text(tls_server.url("/f"), QUICK)
    assert server.seen == []


def test_a_redirect_is_followed_but_a_loop_is_not(server: FaultyServer, tls_server: FaultyServer) -> None:
    server.faults.location = server.url("/around")
    with pytest.raises(ImageBuildError, match="Exceeded 10 redirects"):
        fetch.text(server.url("/f"), QUICK)
    server.faults.location = "ftp://127.0.0.1/f"
    with pytest.raises(ImageBuildError, match=r"cannot fetch .*: it redirects to ftp://127\.0\.0\.1/f"):
        fetch.text(server.url("/f"), QUICK)


def test_a_proxy_of_the_environment_is_used(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(fetch.NotThere):
        fetch.text("http://mirror.example/.treeinfo", QUICK)
    assert server.seen == [("http://mirror.example/.treeinfo", None)]


def test_a_full_disk_is_reported_and_the_part_is_kept(server: FaultyServer, tmp_path: Path) -> None:
    """A limit on the file size simulates the full disk: only the errno differs."""
    server.content["/big.iso"] = BODY
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from imagebuild import fetch\n"
        "from imagebuild.errors import ImageBuildError\n"
        "from imagebuild.progress import SILENT\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n"
        "    fetch.download(sys.argv[1], Path(sys.argv[2]), None, SILENT)\n"
        "except ImageBuildError as error:\n"
        "    print(error.message)\n"
    )
    argv = [sys.executable, "-c", code, server.url("/big.iso"), str(tmp_path / "big.iso")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert os.strerror(errno.EFBIG) in done.stdout
    assert (tmp_path / "big.iso.part").stat().st_size == 1 << 20
    fetch.download(server.url("/big.iso"), tmp_path / "big.iso", digest(), SILENT, QUICK)
    assert server.seen[-1] == ("/big.iso", "bytes=1048576-")


def test_a_file_that_does_not_fit_is_not_downloaded(
    server: FaultyServer, get: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: real._replace(free=1 << 20))
    with pytest.raises(HostError, match="has 1 MiB free, but 3 MiB are still missing"):
        get()


@pytest.mark.seconds
def test_another_thread_can_end_it(server: FaultyServer, get: Callable[..., bytes]) -> None:
    server.faults.stall_after = 1_000_000
    wrong: list[BaseException] = []

    def go() -> None:
        try:
            get(limits=Limits())
        except HostError as error:
            wrong.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    while not server.seen:
        time.sleep(0.01)
    time.sleep(0.2)
    fetch.stop_all()
    thread.join(20)
    assert not thread.is_alive()
    assert "big.iso was cancelled" in str(wrong[0])


@pytest.mark.seconds
def test_an_interrupt_keeps_the_part(server: FaultyServer, tmp_path: Path) -> None:
    server.content["/big.iso"] = BODY
    server.faults.stall_after = 2_000_000
    code = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from imagebuild import fetch\n"
        "from imagebuild.progress import SILENT\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs of a shell ignore it
        "fetch.download(sys.argv[1], Path(sys.argv[2]), None, SILENT)\n"
    )
    argv = [sys.executable, "-c", code, server.url("/big.iso"), str(tmp_path / "big.iso")]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        part = tmp_path / "big.iso.part"
        while not part.exists() or part.stat().st_size < 1_000_000:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
    server.faults.stall_after = None
    fetch.download(server.url("/big.iso"), tmp_path / "big.iso", digest(), SILENT, QUICK)
    assert (tmp_path / "big.iso").read_bytes() == BODY
    assert server.seen[-1][1] is not None


def test_a_file_of_this_host_is_copied_and_verified(tmp_path: Path) -> None:
    source, target = tmp_path / "source.iso", tmp_path / "target"
    source.write_bytes(BODY)
    fetch.copy(source, target, digest(), SILENT)
    assert target.read_bytes() == BODY
    with pytest.raises(ImageBuildError, match=r"source\.iso does not match"):
        fetch.copy(source, tmp_path / "other", digest(OTHER), SILENT)
    with pytest.raises(HostError, match=r"no such file: .*/gone\.iso"):
        fetch.copy(tmp_path / "gone.iso", tmp_path / "other", None, SILENT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.iso", "target"]
