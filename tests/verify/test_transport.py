"""How commands reach a guest: through a shell on a serial port, and through the guest agent."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from imagebuild.errors import GuestError
from imagebuild.host.domain import AgentSilent
from imagebuild.verify import transport
from imagebuild.verify.check import Printed
from imagebuild.verify.transport import READY, AgentShell, SerialShell, run


class PipedShell:
    """A serial port whose other end is a shell; reads ``piece`` bytes at a time."""

    def __init__(self, piece: int = 65536) -> None:
        self.piece = piece
        self.ended = False
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"echo {READY}; exec /bin/sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)

    def read(self) -> bytes:
        try:
            data = os.read(self.output, self.piece)
        except BlockingIOError:
            return b""
        self.ended = not data
        return data

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        with self.process:
            pass


@pytest.fixture
def opened() -> Iterator[Callable[..., SerialShell]]:
    shells: list[PipedShell] = []

    def shell(piece: int = 65536) -> SerialShell:
        shells.append(PipedShell(piece))
        return SerialShell(shells[-1])  # type: ignore[arg-type]  # the interface of SerialStream

    yield shell
    for one in shells:
        one.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_POLL", 0.002)


Opened = Callable[..., SerialShell]
SCRIPTS = {
    "a line": ("echo hello", Printed("hello", 0)),
    "nothing": ("true", Printed("", 0)),
    "empty": ("", Printed("", 0)),
    "status": ("echo no; exit 42", Printed("no", 42)),
    "without line end": ("printf abc", Printed("abc", 0)),
    "several line ends": ("printf 'a\\n\\n\\n'", Printed("a\n\n", 0)),
    "both streams": ("echo out; echo err >&2; echo out", Printed("out\nerr\nout", 0)),
    "characters": ("printf '\\303\\274\\342\\234\\223\\n'", Printed("ü✓", 0)),
    "binary": ("printf '\\377\\000\\033[31m\\n'", Printed("\ufffd\x00\x1b[31m", 0)),
    "a syntax error": ("if", None),
    "quotes": ("echo \"it's\" '$HOME' \\\\ `echo x`", Printed("it's $HOME \\ x", 0)),
    "a heredoc": ("cat <<'END'\n$HOME\nEND\n", Printed("$HOME", 0)),
    "several lines": ("x=1\nfor i in 1 2; do\n  x=$((x + i))\ndone\necho $x\n", Printed("4", 0)),
    "signal": ("kill -9 $$", Printed("Killed", 137)),
}


@pytest.mark.parametrize(("script", "printed"), SCRIPTS.values(), ids=SCRIPTS)
def test_scripts_on_a_serial_port(script: str, printed: Printed | None, opened: Opened) -> None:
    for piece in (65536, 1):
        shell = opened(piece)
        found = run(shell, script, timeout=20)
        if printed is None:
            assert found.status == 2
        elif printed.text == "Killed":
            assert found.status == printed.status
        else:
            assert found == printed


def test_one_shell_runs_script_after_script(opened: Opened) -> None:
    shell = opened()
    assert run(shell, "x=1; cd /; exec 2>/dev/null; exit 3", timeout=20) == Printed("", 3)
    assert run(shell, 'echo "${x-unset}"', timeout=20) == Printed("unset", 0)


def test_the_shell_reports_itself(opened: Opened) -> None:
    shell = opened()
    while not shell.ready():
        pass
    # Ready for the first script; later only once it has started again, as after a reboot.
    run(shell, "true", timeout=20)
    assert not shell.ready()


def test_a_script_cannot_end_itself_with_the_mark(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = opened()
    run(shell, "true", timeout=20)
    last = shell._mark
    # What a script knows is the mark of an earlier one.
    script = f"echo '{last} 0'\ncat <<'E'\nEND-{last}\n{last} 7\nE\nexit 5"
    assert run(shell, script, timeout=20) == Printed(f"{last} 0\nEND-{last}\n{last} 7", 5)


def test_an_echo_of_what_is_written_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Echo:
        ended = False
        written = b""

        def write(self, data: bytes) -> None:
            self.written += data

        def read(self) -> bytes:
            data, self.written = self.written.replace(b"\n", b"\r\n"), b""
            return data

    shell = SerialShell(Echo())  # type: ignore[arg-type]
    monkeypatch.setattr(transport, "_CONFIRMED", 0.1)
    with pytest.raises(GuestError, match="does not answer"):
        shell.start("echo x")
    assert shell.poll() is None


def test_line_ends_of_a_terminal_are_line_ends(opened: Opened) -> None:
    assert run(opened(), "printf 'a\\r\\nb\\r\\n'", timeout=20) == Printed("a\nb", 0)


def test_much_output_is_bounded(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_LONGEST", 1000)
    found = run(opened(), "i=0; while [ $i -lt 2000 ]; do echo line$i; i=$((i + 1)); done; exit 9", timeout=20)
    assert found.status == 9
    assert found.text.endswith("line1999")
    assert len(found.text) < 1000


def test_a_port_that_is_closed(opened: Opened) -> None:
    shell = opened()
    stream: Any = shell._stream
    shell.start("sleep 20")
    stream.process.kill()
    with pytest.raises(GuestError, match="serial port was closed"):
        while True:
            shell.poll()


def test_a_script_that_does_not_end(opened: Opened) -> None:
    with pytest.raises(GuestError, match="did not end within 0 s"):
        run(opened(), "sleep 20", timeout=0.05)


# The guest agent.


class FakeDomain:
    """Answers agent commands: with a value, with one value after the other, or not at all."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def agent(self, command: str, arguments: dict[str, Any] | None = None, *, timeout: int = 10) -> Any:
        self.asked.append((command, arguments or {}))
        answer = self.answers.get(command.replace("-", "_"), AgentSilent("Guest agent is not responding"))
        answer = answer.pop(0) if isinstance(answer, list) and command == "guest-exec-status" else answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def agent(**answers: Any) -> AgentShell:
    return AgentShell(FakeDomain(**answers))  # type: ignore[arg-type]


def info(*, enabled: bool) -> dict[str, Any]:
    commands = [{"name": "guest-ping", "enabled": True}, {"name": "guest-exec", "enabled": enabled}]
    return {"version": "7.2.5", "supported_commands": commands}


def test_an_agent_that_allows_commands() -> None:
    shell = agent(guest_info=info(enabled=True))
    assert shell.ready()
    assert not shell.forbidden


def test_an_agent_that_forbids_commands() -> None:
    shell = agent(guest_info=info(enabled=False))
    assert not shell.ready()
    assert shell.forbidden


def test_an_agent_that_is_silent() -> None:
    shell = agent()
    assert not shell.ready()
    assert not shell.forbidden
    with pytest.raises(GuestError, match="does not run commands: Guest agent is not responding"):
        shell.start("true")
    with pytest.raises(GuestError, match="does not answer any more"):
        shell.poll()


def test_a_script_is_the_input_of_a_shell() -> None:
    ended = {"exited": True, "exitcode": 3, "out-data": base64.b64encode("ü\n\n".encode()).decode()}
    shell = agent(guest_exec={"pid": 7}, guest_exec_status=[{"exited": False}, ended])
    assert run(shell, "echo x\nexit 3", timeout=20) == Printed("ü\n", 3)
    domain: Any = shell._domain
    (command, arguments), *polls = domain.asked
    assert (command, arguments["path"], arguments["arg"]) == ("guest-exec", "/bin/sh", ["-s"])
    assert base64.b64decode(arguments["input-data"]) == b"exec 2>&1\necho x\nexit 3"
    assert polls == [("guest-exec-status", {"pid": 7})] * 2


def test_a_script_that_a_signal_ended() -> None:
    shell = agent(guest_exec={"pid": 7}, guest_exec_status=[{"exited": True, "signal": 9}])
    assert run(shell, "kill -9 $$", timeout=20) == Printed("", 255)


HOSTILE: list[Any] = [
    None, 5, "text", [], [1], {}, {"supported_commands": None}, {"supported_commands": [1]},
    {"supported_commands": {"a": 1}}, {"pid": None}, {"pid": "x"}, {"pid": float("inf")}, {"pid": [1]},
    {"exited": True, "out-data": 5}, {"exited": True, "out-data": "***="}, {"exited": True, "out-data": "a"},
    {"exited": True, "exitcode": "x"}, {"exited": True, "exitcode": None}, {"exited": True, "exitcode": float("inf")},
]  # fmt: skip


@pytest.mark.parametrize("answer", HOSTILE, ids=str)
def test_an_agent_may_say_anything(answer: Any) -> None:
    shell = agent(guest_info=answer, guest_exec=answer, guest_exec_status=[answer])
    assert not shell.ready()
    with pytest.raises(GuestError):
        shell.start("true")
    try:
        found = shell.poll()
    except GuestError:
        return
    assert found is None or isinstance(found.status, int)
