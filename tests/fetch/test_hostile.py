"""Servers with invalid answers, on the loopback interface: a file is complete and of one
version, or does not exist.
"""

from __future__ import annotations

import base64
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Any

import pytest
from faulty_server import FaultyServer, Script, scripted
from hypothesis import given
from hypothesis import strategies as st
from test_fetch import BODY, QUICK, digest

from imagebuild import fetch
from imagebuild.errors import HostError, ImageBuildError
from imagebuild.fetch import Limits
from imagebuild.progress import SILENT

ONE, TWO = b"1" * 100_000, b"2" * 100_000
IMPATIENT = Limits(connect=5, read=0.5, window=1, slowest=64, pause=0, attempts=2)


def head(status: str, **headers: object) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def first_then(*answers: bytes) -> tuple[Script, list[bytes]]:
    """A script that sends these answers to successive requests, and repeats the last one."""
    heads: list[bytes] = []

    def script(asked: bytes, line: socket) -> None:
        heads.append(asked)
        line.sendall(answers[min(len(heads), len(answers)) - 1])

    return script, heads


CUT_ONE = head("200 OK", ETag='"one"', Content_Length=len(ONE)) + ONE[:60_000]
WHOLE_TWO = head("200 OK", ETag='"two"', Content_Length=len(TWO)) + TWO


@pytest.mark.parametrize(
    "about",
    [
        {"ETag": '"two"', "Content_Range": "bytes 60000-99999/100000"},
        {"ETag": 'W/"one"', "Content_Range": "bytes 60000-99999/100000"},
        {"Content_Range": "bytes 60000-99999/100000"},
        {"ETag": '"one"', "Content_Range": "bytes 60000-99999/100001"},
        {"ETag": '"one"', "Content_Range": "bytes 60000-99999/*"},
        {"ETag": '"one"', "Content_Range": "bytes 59999-99998/100000"},
        {"ETag": '"one"', "Content_Range": "bytes 0-39999/100000"},
        {"ETag": '"one"', "Content_Range": "60000-99999/100000"},
        {"ETag": '"one"', "Content_Range": f"bytes {'6' * 5000}-99999/100000"},
        {"ETag": '"one"'},
        {"ETag": '"one"', "Content_Type": "multipart/byteranges; boundary=x"},
    ],
    ids=str,
)
def test_the_rest_of_another_version_is_never_appended(about: dict[str, str], tmp_path: Path) -> None:
    rest = head("206 Partial Content", Content_Length=40_000, **about) + TWO[60_000:]
    script, heads = first_then(CUT_ONE, rest, WHOLE_TWO)
    with scripted(script) as url:
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
    assert (tmp_path / "f").read_bytes() == TWO
    assert [b"Range: " in asked for asked in heads] == [False, True, False]


def test_the_rest_of_the_same_version_is_appended(tmp_path: Path) -> None:
    rest = head("206 Partial", ETag='"one"', Content_Range="bytes 60000-99999/100000", Content_Length=40_000)
    script, heads = first_then(CUT_ONE, rest + ONE[60_000:])
    with scripted(script) as url:
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
    assert (tmp_path / "f").read_bytes() == ONE
    assert b'Range: bytes=60000-\r\nIf-Range: "one"\r\n' in heads[1]


def test_a_part_of_the_rest_is_progress(tmp_path: Path) -> None:
    some = head("206 Partial", ETag='"one"', Content_Range="bytes 60000-79999/100000", Content_Length=20_000)
    last = head("206 Partial", ETag='"one"', Content_Range="bytes 80000-99999/100000", Content_Length=20_000)
    script, heads = first_then(CUT_ONE, some + ONE[60_000:80_000], last + ONE[80_000:])
    with scripted(script) as url:
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
    assert (tmp_path / "f").read_bytes() == ONE
    assert len(heads) == 3


@pytest.mark.parametrize(
    ("modified", "resumed"), [("Sat, 31 Jan 2026 12:00:00 GMT", True), ("Sat, 31 Jan 2026 12:59:30 GMT", False)]
)
def test_a_date_is_a_validator_if_it_is_old_enough(modified: str, resumed: bool, tmp_path: Path) -> None:
    dates = {"Date": "Sat, 31 Jan 2026 13:00:00 GMT", "Last_Modified": modified}
    cut = head("200 OK", Content_Length=len(ONE), **dates) + ONE[:60_000]
    rest = head("206 Partial", Content_Range="bytes 60000-99999/100000", Content_Length=40_000, **dates)
    whole = head("200 OK", Content_Length=len(ONE), **dates) + ONE
    script, heads = first_then(cut, rest + ONE[60_000:] if resumed else whole)
    with scripted(script) as url:
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
    assert (tmp_path / "f").read_bytes() == ONE
    assert (f"If-Range: {modified}".encode() in heads[1]) is resumed


_RANGES = st.one_of(
    st.builds("bytes {}-{}/{}".format, st.integers(59_990, 60_010), st.just(99_999), st.sampled_from([100_000, "*"])),
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=20),
)


@pytest.mark.seconds
@given(
    status=st.sampled_from(["200 OK", "206 Partial Content", "416 No"]),
    tag=st.sampled_from(['"one"', '"two"', 'W/"one"', "one", ""]),
    place=_RANGES,
    length=st.integers(0, 40_000),
)
def test_whatever_answers_the_second_request_versions_are_not_mixed(
    status: str, tag: str, place: str, length: int, tmp_path: Path
) -> None:
    # Bytes of version two under every name but that of version one.
    body = (ONE if tag == '"one"' and place.startswith("bytes 60000-") else TWO)[:length]
    second = head(status, ETag=tag, Content_Range=place, Content_Length=length) + body
    script, _ = first_then(CUT_ONE, second, WHOLE_TWO)
    target = tmp_path / "f"
    target.unlink(missing_ok=True)
    with scripted(script) as url, suppress(ImageBuildError):
        fetch.download(f"{url}/f", target, None, SILENT, QUICK)
    if target.exists():
        assert len(set(target.read_bytes())) <= 1
    for path in tmp_path.iterdir():
        path.unlink()


def test_a_server_that_cuts_and_has_no_ranges_is_abandoned(server: FaultyServer, tmp_path: Path) -> None:
    server.content["/f"] = BODY
    server.faults.ranges = False
    server.faults.cut_after = [1_200_000, 2_500_000] * 50
    with pytest.raises(HostError, match=r"cannot fetch .*: the connection ended after"):
        fetch.download(server.url("/f"), tmp_path / "f", digest(), SILENT, QUICK)
    assert len(server.seen) == 4  # the second one got further, three did not


def test_a_server_that_cuts_and_sends_other_parts_is_abandoned(tmp_path: Path) -> None:
    cut = head("200 OK", ETag='"one"', Content_Length=len(BODY)) + BODY[:2_000_000]
    other = head("206 Partial", ETag='"two"', Content_Range=f"bytes 2000000-{len(BODY) - 1}/{len(BODY)}")
    script, heads = first_then(*[cut, other] * 50)
    with scripted(script) as url, pytest.raises(HostError, match="cannot fetch "):
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
    assert len(heads) == 3


def test_attempts_are_limited_even_if_each_makes_progress(server: FaultyServer, tmp_path: Path) -> None:
    server.content["/f"] = BODY
    server.faults.cut_after = [1_100_000] * 50
    limits = Limits(pause=0, most=2)
    with pytest.raises(HostError, match="ended after 2200000 of 3145745 bytes") as wrong:
        fetch.download(server.url("/f"), tmp_path / "f", None, SILENT, limits)
    assert "run it again" in str(wrong.value.hint)
    server.faults.cut_after = []
    fetch.download(server.url("/f"), tmp_path / "f", digest(), SILENT, limits)
    assert server.seen[-1] == ("/f", "bytes=2200000-")


@pytest.mark.seconds
def test_the_total_time_is_limited(tmp_path: Path) -> None:
    def script(_asked: bytes, line: socket) -> None:
        line.sendall(head("200 OK"))
        while True:
            line.sendall(b"x" * 100)
            time.sleep(0.01)

    with scripted(script) as url, pytest.raises(HostError, match="took longer than 0 minutes"):
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, Limits(total=0.5, pause=0))


def endless(_asked: bytes, line: socket) -> None:
    line.sendall(head("200 OK", ETag='"one"'))
    while True:
        line.sendall(BODY)


def test_an_endless_body_is_limited_by_the_largest_size(tmp_path: Path) -> None:
    with scripted(endless) as url, pytest.raises(ImageBuildError, match="is larger than 5 MiB"):
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK, largest=5 << 20)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_body_leaves_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    real, free = shutil.disk_usage(tmp_path), itertools.count(70 << 20, -(1 << 20))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: real._replace(free=next(free)))
    with scripted(endless) as url, pytest.raises(HostError, match="MiB of a file whose size is unknown"):
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_text_without_end() -> None:
    with scripted(endless) as url, pytest.raises(ImageBuildError, match="is larger than 16 MiB"):
        fetch.text(f"{url}/f", QUICK)


@pytest.mark.parametrize(
    "length", ["-5", "abc", "9" * 5000, str(1 << 64), "5\r\nContent-Length: 7", "5, 7", "0x5", "+5", "٥", str(1 << 50)]
)
def test_an_impossible_size(length: str, tmp_path: Path) -> None:
    script, heads = first_then(b"HTTP/1.1 200 OK\r\nContent-Length: " + length.encode() + b"\r\n\r\nhello!!")
    with scripted(script) as url:
        with pytest.raises(ImageBuildError) as wrong:
            fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
        assert len(wrong.value.message) < 250
        with pytest.raises(ImageBuildError):
            fetch.text(f"{url}/f", QUICK)
    assert list(tmp_path.iterdir()) == []
    assert len(heads) == 2


def test_a_size_larger_than_any_medium_is_refused_before_a_byte_is_read(tmp_path: Path) -> None:
    script, _ = first_then(head("200 OK", Content_Length=(64 << 30) + 1) + b"x")
    with scripted(script) as url, pytest.raises(ImageBuildError, match="is larger than 65536 MiB"):
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)


def test_fewer_bytes_than_announced_are_an_error() -> None:
    script, heads = first_then(head("200 OK", Content_Length=100) + b"[checksums]\n")
    with scripted(script) as url, pytest.raises(HostError, match="cannot fetch "):
        fetch.text(f"{url}/.treeinfo", QUICK)
    assert len(heads) == 3


def test_more_bytes_than_announced(tmp_path: Path) -> None:
    rest = head("206 Partial", ETag='"one"', Content_Range="bytes 60000-99999/100000") + ONE
    script, _ = first_then(CUT_ONE, rest, WHOLE_TWO)
    with scripted(script) as url:
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
    assert (tmp_path / "f").read_bytes() == TWO


def _headers_without_end(_asked: bytes, line: socket) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        line.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")


def _header_without_end(_asked: bytes, line: socket) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        line.sendall(b"a" * 100_000)


def _interim_answers_without_end(_asked: bytes, line: socket) -> None:
    while True:
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def _dripping_headers(_asked: bytes, line: socket) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        line.sendall(b"a")
        time.sleep(0.05)


def _chunk_size_without_end(_asked: bytes, line: socket) -> None:
    line.sendall(head("200 OK", Transfer_Encoding="chunked") + b"5;")
    while True:
        line.sendall(b"a" * 1000)
        time.sleep(0.001)


@pytest.mark.seconds
@pytest.mark.parametrize(
    "script",
    [
        _headers_without_end,
        _header_without_end,
        _interim_answers_without_end,
        _dripping_headers,
        _chunk_size_without_end,
        first_then(head("200 OK", Transfer_Encoding="chunked") + b"zz\r\nhello\r\n0\r\n\r\n")[0],
        first_then(head("200 OK", Transfer_Encoding="chunked") + b"5\r\nhello\r\n")[0],
        first_then(head("200 OK", Transfer_Encoding="chunked") + b"-5\r\nhello\r\n0\r\n\r\n")[0],
        first_then(b"hello")[0],
        first_then(b"")[0],
        first_then(b"HTTP/1.1 abc\r\n\r\n")[0],
        first_then(b"HTTP/1.1 99999 OK\r\n\r\n")[0],
        first_then(head("204 No Content"))[0],
        first_then(head("302 Found"))[0],
        first_then(head("206 Partial", Content_Range="bytes 0-4/5", Content_Length=5) + b"hello")[0],
        first_then(head("416 No", Content_Length=0))[0],
    ],
)
def test_no_answer_at_all(script: Script, tmp_path: Path) -> None:
    """Each quickly ends in an error with a full message, and leaves nothing."""
    with scripted(script) as url, pytest.raises(ImageBuildError, match=r"cannot fetch \S+: .{5,}"):
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, IMPATIENT)
    assert list(tmp_path.iterdir()) == []


def test_chunks_take_precedence_over_the_content_length(tmp_path: Path) -> None:
    script, _ = first_then(head("200 OK", Content_Length=99, Transfer_Encoding="chunked") + b"5\r\nhello\r\n0\r\n\r\n")
    with scripted(script) as url:
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
    assert (tmp_path / "f").read_bytes() == b"hello"


def test_an_encoded_answer_is_not_mistaken_for_the_file(server: FaultyServer, tmp_path: Path) -> None:
    server.content |= {"/vmlinuz": b"gzip of it", "/Packages.gz": b"gzip, as it should be"}
    server.faults.encoding = "gzip"
    with pytest.raises(ImageBuildError, match=r"the server compressed its answer \(gzip\)"):
        fetch.download(server.url("/vmlinuz"), tmp_path / "f", None, SILENT, QUICK)
    with pytest.raises(ImageBuildError, match="the server compressed"):
        fetch.text(server.url("/vmlinuz"), QUICK)
    assert fetch.text(server.url("/Packages.gz"), QUICK) == b"gzip, as it should be"


def test_credentials_are_sent_only_to_their_server(server: FaultyServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    credentials = b"Authorization: Basic " + base64.b64encode(b"user:pass phrase")
    with scripted(lambda asked, line: elsewhere(asked, line)) as other:
        script, heads = first_then(head("302 Found", Location=f"{other}/there?token=x", Content_Length=0))
        asked_elsewhere: list[bytes] = []

        def elsewhere(asked: bytes, line: socket) -> None:
            asked_elsewhere.append(asked)
            line.sendall(head("503 Busy", Content_Length=0))

        with scripted(script) as url:
            address = url.replace("://", "://user:pass%20phrase@") + "/f?token=secret"
            with pytest.raises(HostError) as wrong:
                fetch.text(address, QUICK)
    assert credentials in heads[0]
    assert len(asked_elsewhere) == 3
    assert not any(b"Authorization" in asked for asked in asked_elsewhere)
    assert f"cannot fetch {url}/f?…: the server says 503 Busy" in wrong.value.message
    for secret in ("user", "pass", "secret", "token"):
        assert secret not in f"{wrong.value.message}{wrong.value.hint}{caplog.text}"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://user:pw@h.example/a?b=c#d", "https://h.example/a?…"),
        ("HTTP://user@pw:x@h.example:81/a", "HTTP://h.example:81/a"),
        ("http://[::1/a", "http://[::1/a"),
        ("http://h.example/a@b", "http://h.example/a@b"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, said: str) -> None:
    assert fetch.shown(address) == said


@pytest.mark.parametrize("address", ["http://[::1/f", "http:///f", "http://a b/f", "http://127.0.0.1:99999999/f"])
def test_an_invalid_address(address: str) -> None:
    with pytest.raises(ImageBuildError, match="cannot fetch "):
        fetch.text(address, IMPATIENT)


def test_never_down_to_http_after_a_redirect_to_https(
    tls_server: FaultyServer, server: FaultyServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    server.content["/f"] = b"in the clear"
    tls_server.faults.location = server.url("/f")
    script, _ = first_then(head("302 Found", Location=tls_server.url("/up"), Content_Length=0))
    with scripted(script) as url, pytest.raises(ImageBuildError, match="redirects from https to the insecure http://"):
        fetch.text(f"{url}/f", QUICK)
    assert server.seen == []


@pytest.mark.seconds
def test_two_processes_that_download_to_the_same_place(server: FaultyServer, tmp_path: Path) -> None:
    server.content["/f"] = BODY
    server.faults.stall_after, server.faults.drip = len(BODY) - 20, 0.02
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from imagebuild import fetch\n"
        "from imagebuild.progress import SILENT\n"
        "fetch.download(sys.argv[1], Path(sys.argv[2]), None, SILENT)\n"
    )
    argv = [sys.executable, "-c", code, server.url("/f"), str(tmp_path / "f")]
    both = [subprocess.Popen(argv) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert (tmp_path / "f").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert [asked for _, asked in server.seen] == [None, None]  # neither resumed the other's part


@pytest.mark.seconds
@pytest.mark.parametrize(("validator", "left"), [('"one"', ["f.part", "f.part.json"]), (None, [])])
def test_an_interrupt_leaves_only_what_can_be_resumed(
    server: FaultyServer, tmp_path: Path, validator: str | None, left: list[str]
) -> None:
    server.content["/f"] = BODY
    server.faults.stall_after, server.faults.validator = 2_000_000, validator
    code = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from imagebuild import fetch\n"
        "from imagebuild.progress import SILENT\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "fetch.download(sys.argv[1], Path(sys.argv[2]), None, SILENT)\n"
    )
    argv = [sys.executable, "-c", code, server.url("/f"), str(tmp_path / "f")]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        part = tmp_path / "f.part"
        while not part.exists() or part.stat().st_size < 1_000_000:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_a_part_that_is_a_link_is_not_followed(server: FaultyServer, tmp_path: Path) -> None:
    server.content["/f"] = BODY
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "f.part").symlink_to("precious")
    with pytest.raises(ImageBuildError):
        fetch.download(server.url("/f"), tmp_path / "f", None, SILENT, QUICK)
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_only_a_regular_file_is_copied(kind: str, tmp_path: Path) -> None:
    place = {"device": Path("/dev/zero"), "pipe": tmp_path / "pipe", "folder": tmp_path}[kind]
    if kind == "pipe":
        os.mkfifo(place)
    with pytest.raises(ImageBuildError, match="is not a regular file"):
        fetch.copy(place, tmp_path / "copy", None, SILENT)
    assert not (tmp_path / "copy.part").exists()


def test_an_address_with_non_ascii_letters(server: FaultyServer) -> None:
    server.content["/gr%C3%BCn%20x"] = b"green"
    assert fetch.text(server.url("/grün x"), QUICK) == b"green"
    assert fetch.text(server.url("/gr%C3%BCn%20x?a=ü"), QUICK) == b"green"


def test_a_tag_with_non_ascii_letters(tmp_path: Path) -> None:
    cut = head("200 OK", ETag='"\xe9"', Content_Length=len(ONE)) + ONE[:60_000]
    rest = head("206 Partial", ETag='"\xe9"', Content_Range="bytes 60000-99999/100000", Content_Length=40_000)
    script, heads = first_then(cut, rest + ONE[60_000:])
    with scripted(script) as url:
        fetch.download(f"{url}/f", tmp_path / "f", None, SILENT, QUICK)
    assert b'If-Range: "\xe9"\r\n' in heads[1]
    assert (tmp_path / "f").read_bytes() == ONE


def test_an_error_in_a_callback_is_not_lost(server: FaultyServer, tmp_path: Path) -> None:
    server.content["/f"] = BODY

    class Broken:
        def update(self, *_: Any) -> None:
            raise ZeroDivisionError

        summary = update

    with pytest.raises(ZeroDivisionError):
        fetch.download(server.url("/f"), tmp_path / "f", None, Broken(), QUICK)
    assert threading.active_count() < 10
