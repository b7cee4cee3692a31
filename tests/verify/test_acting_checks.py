"""Checks that act on the machine, on a guest whose output is scripted."""

from __future__ import annotations

import re
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from imagebuild.host import process
from imagebuild.verify import registry
from imagebuild.verify.check import CloneSeed, NotCheckable, NothingToCheck, Printed
from imagebuild.verify.checks import cpu_hot_add, memory_balloon, ssh_answers

Answer = str | tuple[str, int] | Exception


class FakeGuest:
    """A guest that answers with one output after the other, and records what was done to it."""

    def __init__(self, *answers: Answer, **facts: Any) -> None:
        self.emulated: bool = facts.pop("emulated", False)
        self.seconds_to_login: float = facts.pop("seconds_to_login", 20.0)
        self.vcpus: tuple[int, int] = facts.pop("vcpus", (1, 3))
        self.memory: tuple[int, int] = facts.pop("memory", (1024 << 20, 2048 << 20))
        self.ssh_port: int | None = facts.pop("ssh_port", None)
        self.seed: CloneSeed | None = facts.pop("seed", None)
        self.console = ""
        self.hangs: bool = facts.pop("hangs", False)
        assert not facts
        self.answers = list(answers)
        self.scripts: list[str] = []
        self.did: list[object] = []

    def run(self, script: str, *, timeout: float = 60.0) -> Printed:
        self.scripts.append(script)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Printed(answer, 0) if isinstance(answer, str) else Printed(*answer)

    def upload(self, data: bytes, path: str) -> None:
        self.did.append((path, data))

    def set_vcpus(self, count: int) -> None:
        self.did.append(("vcpus", count))

    def set_memory(self, size: int) -> None:
        self.did.append(("memory", size))

    def reboot(self, *, timeout: float) -> float:
        return self._ended("reboot", timeout)

    def shut_down(self, *, timeout: float) -> float:
        return self._ended("shut down", timeout)

    def _ended(self, what: str, timeout: float) -> float:
        self.did.append((what, timeout))
        if self.hangs:
            raise TimeoutError(what)
        return 7.0


def problems(name: str, guest: FakeGuest, **params: Any) -> list[str]:
    check = registry.get(name)
    assert check.act is not None
    return list(check.act(guest, registry.call(name, params).params))


# time-to-login


def test_the_time_to_login_has_two_limits() -> None:
    assert problems("time-to-login", FakeGuest(seconds_to_login=119.0)) == []
    late = FakeGuest(seconds_to_login=301.0)
    assert problems("time-to-login", late) == [
        "the guest was usable 301 s after its start, which is more than 120 s",
    ]
    assert problems("time-to-login", late, limit=301) == []
    assert problems("time-to-login", FakeGuest(seconds_to_login=301.0, emulated=True)) == []
    assert problems("time-to-login", FakeGuest(seconds_to_login=901.0, emulated=True)) != []


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_time_that_was_not_measured_is_no_success(seconds: float) -> None:
    with pytest.raises(NotCheckable, match="not measured"):
        problems("time-to-login", FakeGuest(seconds_to_login=seconds))


# cpu-hot-add


ADD = "add the operation online-hot-added-cpus"


def cpus(possible: str, present: str, online: str) -> str:
    return f"possible {possible}\npresent {present}\nonline {online}"


def test_added_cpus_come_online() -> None:
    guest = FakeGuest(cpus("0-2", "0-2", "0-2"))
    assert problems("cpu-hot-add", guest) == []
    assert guest.did == [("vcpus", 3)]
    assert len(guest.scripts) == 1


def test_added_cpus_that_stay_offline_are_a_failure() -> None:
    assert problems("cpu-hot-add", FakeGuest(cpus("0-2", "0-2", "0"))) == [
        f"CPUs 1-2 were added and stay offline: nothing in the guest brings them online; {ADD}"
    ]
    assert problems("cpu-hot-add", FakeGuest(cpus("0-1", "0-1", "0"), vcpus=(1, 2))) == [
        f"CPU 1 was added and stays offline: nothing in the guest brings it online; {ADD}"
    ]


def test_added_cpus_that_the_guest_does_not_see_are_a_failure() -> None:
    assert problems("cpu-hot-add", FakeGuest(cpus("0-2", "0", "0"))) == [
        "CPUs were added from 1 to 3, and the guest sees only 1"
    ]


def test_a_kernel_without_room_is_a_failure_with_kvm_only() -> None:
    assert problems("cpu-hot-add", FakeGuest(cpus("0", "0", "0"))) == [
        "the domain has room for 3 CPUs, and the guest's kernel only for 1"
    ]
    with pytest.raises(NotCheckable, match=r"^this guest's kernel sees no hot-pluggable CPUs under emulation$"):
        problems("cpu-hot-add", FakeGuest(cpus("0", "0", "0"), emulated=True))


def test_without_cpus_to_add_there_is_nothing_to_check() -> None:
    guest = FakeGuest(vcpus=(2, 2))
    with pytest.raises(NothingToCheck):
        problems("cpu-hot-add", guest)
    assert guest.did == []


@pytest.mark.parametrize("text", ["", "possible\npresent\nonline", "possible 0-99999999\npresent x\nonline 0"])
def test_a_list_of_cpus_that_cannot_be_read(text: str) -> None:
    with pytest.raises(NotCheckable, match="could not be read"):
        problems("cpu-hot-add", FakeGuest(text))


def test_ranges_are_written_as_the_kernel_does() -> None:
    assert cpu_hot_add.ranges([1, 2, 5, 7, 8]) == "1-2,5,7-8"


def shell(script: str) -> str:
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=20).stdout


@pytest.mark.seconds
def test_the_script_ends_when_the_cpus_are_there(tmp_path: Path) -> None:
    for name, text in {"possible": "0-1", "present": "0-1", "online": "0-1"}.items():
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\n\nprocessor\t: 1\n")

    def seen(count: int, limit: int) -> str:
        script = cpu_hot_add._SCRIPT.format(limit=limit, count=count)
        script = script.replace("/sys/devices/system/cpu", str(tmp_path)).replace("/proc", str(tmp_path))
        return shell(script)

    whole = "possible 0-1\npresent 0-1\nonline 0-1\n"
    assert seen(2, 600) == whole
    assert seen(3, 600) == whole, "there is no room for a third: it does not wait"
    (tmp_path / "possible").write_text("0-3\n")
    assert seen(3, 1).startswith("possible 0-3\n")


# memory-balloon


def memory(mib: int, *, balloon: bool = False) -> str:
    return (
        "balloon 0100000000000000000000000000010000000000\n" if balloon else ""
    ) + f"MemTotal:        {mib * 1024} kB"


def test_the_guest_follows_the_balloon() -> None:
    guest = FakeGuest(memory(980, balloon=True), memory(725), memory(980))
    assert problems("memory-balloon", guest) == []
    assert guest.did == [("memory", 768 << 20), ("memory", 1024 << 20)]
    assert '"$size" -le 767590 ' in guest.scripts[1], "a tenth of the difference may be missing"
    assert '"$size" -ge 977305 ' in guest.scripts[2]


def test_a_guest_that_keeps_its_memory_fails() -> None:
    assert problems("memory-balloon", FakeGuest(memory(980, balloon=True), memory(900), memory(980))) == [
        "the guest was to give back 256 MiB of memory, and gave back 80 MiB within 30 s"
    ]


def test_a_guest_that_does_not_get_its_memory_back_fails() -> None:
    assert problems("memory-balloon", FakeGuest(memory(980, balloon=True), memory(724), memory(730))) == [
        "the guest has 730 MiB of its 980 MiB 30 s after it got its memory back"
    ]


def test_the_memory_is_restored_when_the_guest_cannot_be_asked() -> None:
    guest = FakeGuest(memory(980, balloon=True), "garbage")
    with pytest.raises(NotCheckable):
        problems("memory-balloon", guest)
    assert guest.did[-1] == ("memory", 1024 << 20)


def test_a_small_guest_is_not_made_smaller() -> None:
    guest = FakeGuest(memory(470, balloon=True), memory(345), memory(470), memory=(512 << 20, 512 << 20))
    assert problems("memory-balloon", guest) == []
    assert guest.did[0] == ("memory", 384 << 20)
    with pytest.raises(NothingToCheck, match="only 400 MiB"):
        problems("memory-balloon", FakeGuest(memory(360, balloon=True), memory=(400 << 20, 400 << 20)))


def test_a_guest_without_a_balloon() -> None:
    with pytest.raises(NothingToCheck, match="no balloon"):
        problems("memory-balloon", FakeGuest(memory(980)))


def test_a_balloon_that_memtotal_does_not_follow() -> None:
    guest = FakeGuest("balloon 0110000000\n" + memory(980))
    with pytest.raises(NotCheckable, match="MemTotal does not follow"):
        problems("memory-balloon", guest)
    assert guest.did == []


def test_the_waiting_script_compares_the_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:         500000 kB\nMemFree:          400000 kB\n")

    def waited(comparison: str, size: int) -> str:
        script = memory_balloon._WAIT.format(limit=600, comparison=comparison, size=size)
        return shell(script.replace("/proc/meminfo", str(tmp_path / "meminfo")))

    assert waited("-le", 500001) == waited("-ge", 499999) == "MemTotal:         500000 kB\n"


# reboot and shutdown

ONE = "1c3f5d1e-3f0e-4c86-9d58-0b6d0c1f8f01"
OTHER = "2c3f5d1e-3f0e-4c86-9d58-0b6d0c1f8f02"


def test_a_reboot_changes_the_boot_id() -> None:
    guest = FakeGuest(ONE, OTHER)
    assert registry.get("reboot").turn == "reboot"
    assert problems("reboot", guest) == []
    assert guest.did == [("reboot", 300)]
    assert problems("reboot", FakeGuest(ONE, ONE)) == ["the guest did not reboot: its boot id is the same as before"]


def test_a_guest_that_does_not_come_back_fails() -> None:
    assert problems("reboot", FakeGuest(ONE, hangs=True), limit=5) == [
        "the guest was not usable 5 s after it was asked to reboot"
    ]


def test_a_boot_id_that_cannot_be_read() -> None:
    with pytest.raises(NotCheckable):
        problems("reboot", FakeGuest(""))
    with pytest.raises(NotCheckable):
        problems("reboot", FakeGuest(ONE, "cat: No such file"))


def test_a_shutdown_has_two_limits() -> None:
    guest = FakeGuest(emulated=True)
    assert registry.get("shutdown").turn == "shutdown"
    assert problems("shutdown", guest) == []
    assert guest.did == [("shut down", 180)]
    assert problems("shutdown", FakeGuest(hangs=True)) == ["the guest was not off 60 s after it was asked to shut down"]


# script


def test_a_script_from_a_file_runs_by_its_own_interpreter(tmp_path: Path) -> None:
    path = tmp_path / "check.py"
    path.write_bytes(b"#!/usr/bin/python3\nprint(1)\n")
    guest = FakeGuest("1")
    assert problems("script", guest, file=str(path)) == []
    assert guest.did == [("/root/.imagebuild-check", path.read_bytes())]
    assert "$limit /root/.imagebuild-check </dev/null" in guest.scripts[0]


def test_a_text_without_an_interpreter_runs_by_sh() -> None:
    guest = FakeGuest("")
    assert problems("script", guest, text="test -d /etc") == []
    assert "$limit sh /root/.imagebuild-check </dev/null" in guest.scripts[0]


def test_a_script_that_fails_shows_its_last_lines() -> None:
    assert problems("script", FakeGuest(("one\ntwo\n\n three\nfour", 3)), text="x") == [
        "the script ended with exit status 3: two | three | four"
    ]
    assert problems("script", FakeGuest(("", 1)), text="x") == [
        "the script ended with exit status 1 and printed nothing"
    ]


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat", []),
        ("echo one; exit 7", ["the script ended with exit status 7: one"]),
        ("echo one; exec sleep 60", ["the script did not end within 1 s (exit status 124)"]),
    ],
    ids=["reads nothing", "fails", "hangs"],
)
def test_the_script_runs_in_a_shell(tmp_path: Path, text: str, said: list[str]) -> None:
    place = tmp_path / "script"

    class Shell(FakeGuest):
        def run(self, script: str, *, timeout: float = 60.0) -> Printed:
            place.write_text(text)
            # A transport may pass the script on standard input.
            script = script.replace("/root/.imagebuild-check", str(place)) + "\necho more input\n"
            done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=False, timeout=20)
            return Printed(done.stdout.rstrip("\n"), done.returncode)

    assert problems("script", Shell(), text=text, limit=1) == said
    assert not place.exists()


def test_a_script_is_a_file_or_a_text() -> None:
    for params in ({}, {"text": "x", "file": "y"}):
        with pytest.raises(ValidationError, match="exactly one of text and file"):
            registry.call("script", params)


def test_a_script_that_is_missing_on_the_host(tmp_path: Path) -> None:
    with pytest.raises(NotCheckable, match="could not be read"):
        problems("script", FakeGuest(), file=str(tmp_path / "missing"))


# ssh-answers


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on the loopback, for as many connections as come; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stopped = threading.Event()

        def accept() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    if not stopped.is_set():
                        serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        try:
            yield port
        finally:
            stopped.set()
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            thread.join(5)


def saying(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@pytest.fixture
def no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_answers.shutil, "which", lambda _name: None)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, int], Path]:
    """Puts an ssh on PATH that prints a text and records its arguments."""

    def install(text: str, status: int) -> Path:
        path = tmp_path / "bin" / "ssh"
        path.parent.mkdir()
        path.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/arguments\ncat <<"END"\n{text}\nEND\nexit {status}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
        return tmp_path / "arguments"

    return install


BANNER = b"SSH-2.0-OpenSSH_10.0p2 Debian-7\r\n"


@pytest.mark.usefixtures("no_client")
@pytest.mark.parametrize("text", [BANNER, b"Welcome!\r\n" + BANNER, b"SSH-1.99-OpenSSH_5.3\n"])
def test_a_banner_is_an_answer(text: bytes) -> None:
    with server(saying(text)) as port:
        assert problems("ssh-answers", FakeGuest(ssh_port=port)) == []


@pytest.mark.usefixtures("no_client")
def test_a_banner_may_come_in_pieces() -> None:
    def serve(connection: socket.socket) -> None:
        for byte in BANNER:
            connection.sendall(bytes([byte]))

    with server(serve) as port:
        assert problems("ssh-answers", FakeGuest(ssh_port=port)) == []


@pytest.mark.seconds
@pytest.mark.usefixtures("no_client")
def test_a_server_that_answers_late_is_tried_again() -> None:
    tries = []

    def serve(connection: socket.socket) -> None:
        tries.append(1)
        if len(tries) > 2:
            connection.sendall(BANNER)

    with server(serve) as port:
        assert problems("ssh-answers", FakeGuest(ssh_port=port), limit=20) == []
    assert len(tries) >= 3


@pytest.mark.usefixtures("no_client")
def test_another_server_is_a_failure() -> None:
    with server(saying(b"220 mail ESMTP\r\n")) as port:
        assert problems("ssh-answers", FakeGuest("yes", ssh_port=port)) == [
            r"the server on port 22 sends '220 mail ESMTP\r\n' instead of SSH's banner"
        ]


@pytest.mark.usefixtures("no_client")
def test_a_guest_is_asked_early_whether_it_has_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_answers, "_AT_ONCE", 0.1)
    port = closed_port()
    with pytest.raises(NothingToCheck, match="nothing listens on port 22"):
        problems("ssh-answers", FakeGuest("no", ssh_port=port), limit=3600)
    tried: list[float] = []
    monkeypatch.setattr(ssh_answers, "answer", lambda _port, limit: tried.append(limit) or "no banner")
    assert problems("ssh-answers", FakeGuest("yes", ssh_port=port), limit=3600) == ["no banner"]
    assert tried == [0.1, 3599.9]


@pytest.mark.seconds
@pytest.mark.usefixtures("no_client")
def test_a_server_that_says_nothing_is_a_failure() -> None:
    with server(lambda connection: connection.settimeout(0.1) or hold(connection)) as port:
        assert problems("ssh-answers", FakeGuest("yes", ssh_port=port), limit=1) == ["the SSH server sends no banner"]


def hold(connection: socket.socket) -> None:
    """Keep a connection open until the other side closes it."""
    connection.settimeout(10)
    connection.recv(1)


@pytest.mark.seconds
@pytest.mark.usefixtures("no_client")
def test_a_port_that_is_closed() -> None:
    port = closed_port()
    said = problems("ssh-answers", FakeGuest("yes", ssh_port=port), limit=1)
    assert said == ["the SSH server cannot be reached: Connection refused"]
    with pytest.raises(NothingToCheck, match="nothing listens on port 22"):
        problems("ssh-answers", FakeGuest("no", ssh_port=port), limit=1)


def test_without_a_network_card_there_is_nothing_to_check() -> None:
    with pytest.raises(NothingToCheck, match="no network card"):
        problems("ssh-answers", FakeGuest(ssh_port=None))


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("root@127.0.0.1: Permission denied (publickey).", 255, []),
        ("Permission denied (publickey,password).", 255, ["the SSH server offers password to root"]),
        (
            "Permission denied (publickey,gssapi-keyex,gssapi-with-mic,password,keyboard-interactive).",
            255,
            ["the SSH server offers password and keyboard-interactive to root"],
        ),
        ("", 0, ["the SSH server lets root in without any authentication"]),
    ],
)
def test_the_offered_methods(client: Callable[[str, int], Path], text: str, status: int, said: list[str]) -> None:
    arguments = client(text, status)
    with server(saying(BANNER)) as port:
        assert problems("ssh-answers", FakeGuest(ssh_port=port)) == said
        asked = arguments.read_text()
    assert "-F none" in asked
    assert f"-p {port} root@127.0.0.1 true" in asked


def test_passwords_may_be_allowed(client: Callable[[str, int], Path]) -> None:
    client("Permission denied (publickey,password).", 255)
    with server(saying(BANNER)) as port:
        assert problems("ssh-answers", FakeGuest(ssh_port=port), password_authentication=True) == []


def test_a_client_that_gets_no_further_knows_nothing(client: Callable[[str, int], Path]) -> None:
    client("Unable to negotiate with 127.0.0.1 port 22: no matching host key type found.", 255)
    with server(saying(BANNER)) as port, pytest.raises(NotCheckable, match="no matching host key type"):
        problems("ssh-answers", FakeGuest(ssh_port=port))


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
def test_the_real_client_takes_the_options() -> None:
    with server(saying(BANNER)) as port, pytest.raises(NotCheckable) as caught:
        ssh_answers.methods(port, 5)
    assert not re.search(r"[Bb]ad configuration|unknown option|usage:", str(caught.value))
    assert process.run(["ssh", "-V"], timeout=10).returncode == 0
