"""A host's copy of a template is used only if it is what was signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.store.artifact import Artifact, write_checksums
from imagebuild.trust import signers
from tests.publish.fleet import fleet
from tests.publish.publisher import Publisher, record


@pytest.mark.vm
@pytest.mark.timeout(600)
def test_only_what_was_signed_is_instantiated(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with fleet(1, folder=tmp_path) as hosts:
        project = Publisher(folder, hosts)
        unsigned = (folder / "imagebuild.yaml").read_text()
        key = signers.new_key(folder / "one.pem").openssh
        trust = f"trust:\n  sign: {{key: {{file: one.pem}}}}\n  keys:\n    - {{name: one, key: {key}}}\n"
        one = project.artifact(1, mib=1)
        write_checksums(Artifact(one, "web", one.name))
        assert project.run("publish", "web", "--to", "host1").code == 0
        (folder / "imagebuild.yaml").write_text(unsigned + trust)

        made = project.run("instantiate", "web", "vm1", "--on", "host1")
        assert made.code == 1
        assert "host1: web 2026-11-29.1 cannot be trusted: it was published without a signature" in str(made.events)
        assert project.run("attest", "web").code == 0
        # the image is there already, and the record gets its provenance
        done = project.run("publish", "web", "--to", "host1")
        assert (done.code, done.targets["host1"]["sent"]) == (0, 0)
        state = record(hosts[0])
        assert state is not None
        assert state.versions[0].provenance
        assert project.run("instantiate", "web", "vm1", "--on", "host1").code == 0
        assert project.run("templates", "--check").code == 0
        (volume,) = (file.name for file in state.versions[0].files)
        path = hosts[0].outside(f"{hosts[0].pool_path}/{volume}")
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        altered = project.run("instantiate", "web", "vm2", "--on", "host1")
        assert altered.code != 0
        assert "was altered" in str(altered.events)
