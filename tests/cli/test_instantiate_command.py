"""``imagebuild instantiate``: what is refused before any host is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from imagebuild.cli.main import cli
from imagebuild.errors import UsageError

PROJECT = """\
hosts:
  kvm1: {uri: qemu:///system}
  kvm2: {uri: qemu:///session, labels: [dc1]}
targets:
  mirror: {url: ./mirror}
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["web", "vm", "--on", "all"], "--on: expected one host, found 3: kvm1, kvm2, mirror"),
        (["web", "vm", "--on", "mirror"], "--on mirror: machines can be made on libvirt hosts only"),
        (["web", "vm", "--on", "kvm3"], "no host, target or group 'kvm3'"),
        (["web", "v m", "--on", "kvm1"], "'v m' is not a valid name of a machine"),
        (["web", "vm", "--on", "kvm1", "--hostname", "a\nb"], "--hostname: expected a single line"),
        (["web", "vm", "--on", "kvm1", "--timeout", "1m", "--start"], "--timeout needs --wait"),
        (["web", "vm", "--on", "kvm1", "--remove", "--wait"], "mutually exclusive"),
        (["web", "vm", "--on", "kvm1", "--ssh-key", "absent"], "--ssh-key absent: No such file"),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("imagebuild.yaml").write_text(PROJECT)
    done = CliRunner().invoke(cli, ["instantiate", *words])
    assert isinstance(done.exception, UsageError)
    assert message in done.exception.message
