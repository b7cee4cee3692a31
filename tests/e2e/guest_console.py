"""Drives a guest's serial console as a person would: wait for text, type, read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from imagebuild.host.accelerator import Accelerator, emulator
from imagebuild.host.stall import Stall, Usage

_PROMPT = "ready-for-the-next> "
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[a-zA-Z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[=>])")


_LOOK = 5.0
"""Seconds between two checks of the machine."""
_HUNG_AFTER = 150.0
"""Longer than systemd waits for a device by default."""


class Hung(Exception):
    """An emulated machine that does nothing any more: see docs/development.md."""


class GuestConsole:
    """The guest's output, collected by a thread, and its input."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._text = ""
        self._seen = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self._process.stdout is not None
        while chunk := self._process.stdout.read1(4096):  # type: ignore[attr-defined]
            with self._changed:
                self._text += chunk.decode("utf-8", "replace")
                self._changed.notify_all()

    def expect(self, pattern: str, seconds: float, *, hung_after: float = 0) -> str:
        """Wait for ``pattern`` after the text seen so far. Returns the text up to its end.

        Raises Hung when the machine has neither written nor used its processor for ``hung_after``
        seconds.
        """
        deadline = time.monotonic() + seconds
        stall = Stall(hung_after, time.monotonic()) if hung_after else None
        length = len(self._text)
        with self._changed:
            while True:
                if found := re.search(pattern, self._text[self._seen :]):
                    text = self._text[self._seen : self._seen + found.end()]
                    self._seen += found.end()
                    return text
                self._changed.wait(min(_LOOK, max(0.0, deadline - time.monotonic())))
                now, spoke, length = time.monotonic(), len(self._text) > length, len(self._text)
                if stall is not None and stall.waits(now, self._usage(), spoke=spoke):
                    raise Hung(self._text[-3000:])
                if now >= deadline:
                    raise AssertionError(f"{pattern!r} did not come within {seconds} s:\n{self._text[-3000:]}")

    def _usage(self) -> Usage:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return Usage((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())
        self._process.stdin.flush()

    def unlock(self, passphrase: str, seconds: float) -> None:
        """Wait until the guest asks for the passphrase of its disk, and enter it."""
        self.expect(r"Please unlock disk \S+: ?", seconds, hung_after=_HUNG_AFTER)
        self.type(passphrase)

    def log_in(self, password: str, seconds: float, passphrase: str = "") -> None:
        """Wait for the login prompt, log in as root, and set a prompt that no output contains."""
        if passphrase:
            self.unlock(passphrase, seconds)
        self.expect(r"login: ", seconds, hung_after=_HUNG_AFTER)
        self.type("root")
        self.expect("Password: ", 60)
        self.type(password)
        self.expect(r"# ", 90)
        # in two pieces, so that the echo of this line is not mistaken for the prompt
        self.type(
            f"stty -echo; export PAGER=cat; bind 'set enable-bracketed-paste off'; PS1='{_PROMPT[:5]}''{_PROMPT[5:]}'"
        )
        self.expect(_PROMPT, 60)

    def run(self, command: str, seconds: float = 60) -> str:
        """The output of a shell command in the guest, without terminal escapes."""
        self.type(command)
        output = self.expect(_PROMPT, seconds).replace("\r", "")
        return _ESCAPES.sub("", output).removesuffix(_PROMPT).strip()


OVMF = Path("/usr/share/OVMF")
_FIRMWARE = {
    "uefi": ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
    "uefi-secure": ("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd"),
}
"""Debian's builds: the program, and variables that are initially empty, or have Microsoft's keys
and Secure Boot enabled.
"""


def _firmware(name: str, variables: Path) -> list[str]:
    """QEMU's options for a firmware; its state is stored in ``variables``."""
    if name == "bios":
        return []
    code, empty = (OVMF / file for file in _FIRMWARE[name])
    shutil.copyfile(empty, variables)
    machine = "q35,smm=on" if name == "uefi-secure" else "q35"
    options = ["-machine", machine, "-drive", f"if=pflash,format=raw,unit=0,file={code},readonly=on"]
    options += ["-drive", f"if=pflash,format=raw,unit=1,file={variables}"]
    return [*options, "-global", "driver=cfi.pflash01,property=secure,value=on"] if name == "uefi-secure" else options


@contextmanager
def logged_in(
    image: Path,
    overlay: Path,
    accelerator: Accelerator,
    password: str,
    *,
    more: Sequence[Path] = (),
    firmware: str = "bios",
    cards: int = 1,
    seconds: float = 600,
    passphrase: str = "",
) -> Iterator[GuestConsole]:
    """A console of a throwaway VM of ``image`` and its further disks, on which root is logged in.
    ``passphrase`` unlocks its encrypted disk.

    The VM writes to ``overlay`` and has ``cards`` of QEMU's user network. One that hangs under emulation before
    the login is started again once.
    """
    with ExitStack() as stack:
        console = stack.enter_context(_booted(image, overlay, accelerator, more, firmware, cards))
        try:
            console.log_in(password, seconds, passphrase)
        except Hung:
            if accelerator != "tcg":
                raise
            stack.close()
            console = stack.enter_context(_booted(image, overlay, accelerator, more, firmware, cards))
            console.log_in(password, seconds, passphrase)
        yield console


@contextmanager
def _booted(
    image: Path, overlay: Path, accelerator: Accelerator, more: Sequence[Path], firmware: str, cards: int
) -> Iterator[GuestConsole]:
    overlays = [overlay, *(overlay.with_suffix(f".{at}.qcow2") for at in range(2, len(more) + 2))]
    for below, above in zip([image, *more], overlays, strict=True):
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(below.absolute()), "-F", "qcow2", str(above)]
        subprocess.run(create, check=True, capture_output=True)
    variables = overlay.with_suffix(".vars")
    argv = [
        emulator(), *_firmware(firmware, variables), "-accel", accelerator, "-m", "768", "-smp", "1", "-nodefaults",
        "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
        "-device", "virtio-rng-pci",
    ]  # fmt: skip
    for card in range(cards):
        argv += ["-netdev", f"user,id=net{card}", "-device", f"virtio-net-pci,netdev=net{card}"]
    for above in overlays:
        argv += ["-drive", f"file={above},format=qcow2,if=virtio,cache=unsafe"]
    if accelerator == "tcg":
        argv += ["-cpu", "qemu64,-cx16"]  # see EMULATED_KERNEL_ARGUMENTS: the image has its own command line
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield GuestConsole(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        for path in (*overlays, variables):
            path.unlink(missing_ok=True)
