"""What a file does not permit is reported, and everything else is done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from imagebuild import scrub as scrubbing
from imagebuild.cli.main import cli
from imagebuild.customise import registry, runner
from imagebuild.errors import GuestError
from imagebuild.guest.calls import ApplianceGone
from imagebuild.schema.customised import RESULT, Change, CustomiseResult, OperationResult
from tests.operations.memory import MemoryDisk, Node, with_folders

FILES = {
    "/etc/hostname": "web01\n",
    "/etc/machine-id": "4fb1\n",
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\n",
    "/root/.ssh/id_rsa": "key",
    "/root/.ssh/id_dsa": "key",
    "/var/log/a.log": "x",
    "/var/log/b.log": "x",
}


def guest(**more: str) -> MemoryDisk:
    return MemoryDisk(with_folders({path: Node("file", 0o644, text.encode()) for path, text in (FILES | more).items()}))


def scrubbed(disk: MemoryDisk, *names: str) -> CustomiseResult:
    calls = [registry.call(name) for name in names]
    return runner.apply_all(disk, calls, lambda detail, fraction: None)


def test_the_rest_continues() -> None:
    disk = guest()
    disk.stuck = dict.fromkeys(["/root/.ssh/id_rsa", "/var/log/a.log", "/etc/hostname"], "Input/output error")
    result = scrubbed(disk, "reset-hostname", "remove-user-ssh", "clean-logs", "reset-machine-id")
    assert [(one.name, one.status) for one in result.operations] == [
        ("reset-hostname", "incomplete"),
        ("remove-user-ssh", "incomplete"),
        ("clean-logs", "incomplete"),
        ("reset-machine-id", "changed"),
    ]
    assert [(change.path, change.what) for change in result.failed] == [
        ("/etc/hostname", "Input/output error"),
        ("/root/.ssh/id_rsa", "Input/output error"),
        ("/var/log/a.log", "Input/output error"),
    ]
    assert "/root/.ssh/id_dsa" not in disk.tree
    assert disk.tree["/var/log/b.log"].content == b""


def test_what_failed_is_tried_once_more_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(MemoryDisk):
        """No new content fits while there is a log."""

        def write(self, path: str, content: bytes) -> None:
            self.stuck = {path: "No space left on device"} if content and self.tree["/var/log/a.log"].content else {}
            super().write(path, content)

    disk = Full(guest().tree)
    result = scrubbed(disk, "reset-hostname", "clean-logs")
    assert [one.status for one in result.operations] == ["changed", "changed"]
    assert result.failed == ()
    assert disk.tree["/etc/hostname"].content == b"localhost\n"


def test_an_operation_that_must_be_whole_fails_as_a_whole() -> None:
    disk = guest(**{"/etc/passwd": "ann:x:1000:1000::/home/ann:/bin/sh\n"})
    disk.stuck = {"/etc/passwd": "Input/output error"}
    with pytest.raises(GuestError, match="remove-accounts: /etc/passwd in the guest: Input/output error"):
        scrubbed(disk, "remove-accounts")


def test_nothing_continues_without_an_appliance() -> None:
    class Gone(MemoryDisk):
        def remove(self, paths: Sequence[str]) -> dict[str, str]:
            raise ApplianceGone("libguestfs: appliance closed the connection unexpectedly")

    with pytest.raises(ApplianceGone):
        scrubbed(Gone(guest().tree), "remove-histories", "remove-user-ssh", "reset-hostname", "clean-temporary-files")


def test_names_that_are_not_utf8_can_be_stored_and_sent() -> None:
    result = scrubbed(guest(**{"/root/.ssh/caf\udce9": "key"}), "remove-user-ssh")
    data = RESULT.dump_json(result)
    assert RESULT.validate_json(data) == result
    json.dumps(RESULT.dump_python(result)).encode()
    assert "/root/.ssh/caf\\xe9" in [change.path for change in result.operations[0].changes]


class Opened:
    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk

    def __call__(self, *, network: bool) -> AbstractContextManager[MemoryDisk]:
        return nullcontext(self.disk)


def test_an_audit_reports_what_it_could_not_inspect() -> None:
    disk = guest()
    disk.tree["/var/tmp"] = Node("symlink", 0o777, b"/usr")
    disk.tree |= {"/usr": Node("dir", 0o755), "/usr/file": Node("file", 0o644)}
    result = runner.audit(Opened(disk), tell=lambda detail, fraction: None)
    assert [change.path for change in result.failed] == ["/var/tmp"]


def test_the_command_line_lists_it_and_says_so_in_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Change("/root/.ssh/id_rsa", "Input/output error")
    whole = OperationResult("clean-logs", "changed", "", (Change("/var/log/a", "emptied"),), 0.1)
    part = OperationResult("remove-user-ssh", "incomplete", "", (), 0.1, (left,))
    results: Mapping[bool, CustomiseResult] = {
        True: CustomiseResult((whole, part), {}),
        False: CustomiseResult((whole,), {}),
    }
    image = tmp_path / "disk.raw"
    image.write_bytes(b"\0" * 4096)
    for failed, result in results.items():
        monkeypatch.setattr(scrubbing, "scrub", lambda *args, result=result, **kwargs: result)
        monkeypatch.setattr(scrubbing, "audit", lambda *args, result=result, **kwargs: result)
        monkeypatch.setattr("imagebuild.cli.scrub._accelerator", lambda store: "tcg")
        done = CliRunner().invoke(cli, ["scrub", str(image)])
        assert done.exit_code == (1 if failed else 0), done.output
        assert ("not done: /root/.ssh/id_rsa: Input/output error" in done.output) == failed
        found = CliRunner().invoke(cli, ["audit", str(image), "--ignore", "clean-logs"])
        assert found.exit_code == (1 if failed else 0)
        assert ("/root/.ssh/id_rsa" in found.output) == failed
