"""The section ``trust`` of the project's file: all problems at their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.errors import RecipeError
from imagebuild.project.load import validate
from imagebuild.project.model import Project
from imagebuild.recipe.yaml.reader import parse

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICCONPgQ2YYMhmOw9gZBcFogfjLaw1hEcublqIMGAQFg"


def loaded(text: str) -> Project:
    return validate(parse(text, "imagebuild.yaml"), Path("imagebuild.yaml"))


def test_a_whole_section() -> None:
    found = loaded(
        f"""
trust:
  builder_id: https://ci.example.org/images
  sign: {{key: {{env: KEY}}, passphrase: {{file: word}}}}
  sums: {{gpg: images@example.org, gpg_home: gnupg}}
  threshold: 2
  keys:
    - {{name: a, key: {KEY} images@ci, not_before: 2026-01-01, expires: 2026-12-31}}
    - {{name: b, key: keys/b.pub, revoked: {{on: 2026-11-01, reason: it leaked}}}}
  templates: {{base: debian-13}}
"""
    ).trust
    assert found is not None
    assert [str(key.expires) for key in found.keys] == ["2026-12-31", "None"]
    assert found.keys[1].revoked is not None
    assert str(found.keys[1].revoked.on) == "2026-11-01"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("  sign: {}", "2: trust.sign: expected exactly one of key, agent and pkcs11"),
        ("  sign: {key: abc}", "2: trust.sign.key: this file must not contain a secret"),
        (
            f"  sign: {{agent: {KEY}, passphrase: {{env: X}}}}",
            "2: trust.sign.passphrase: this is the passphrase of key",
        ),
        ("  sums: {gpg: a, ssh: b}", "2: trust.sums: expected exactly one of gpg and ssh"),
        ("  sums: {ssh: b, gpg_home: c}", "2: trust.sums: gpg_home and passphrase_file are for gpg only"),
        ("  keys:\n  - name: a\n    key: ssh-ed25519 x", "4: trust.keys[0].key: expected an SSH public key"),
        ("  keys:\n  - name: a\n    key: k\n    expires: soon", "5: trust.keys[0].expires: expected a date such as"),
        ("  keys:\n  - name: a\n    key: k\n    expires: 2026-02-30", "5: trust.keys[0].expires: expected a date"),
        (
            "  keys:\n  - {name: a, key: b}\n  - {name: a, key: c}",
            "4: trust.keys[1].name: another key has the name 'a'",
        ),
        ("  threshold: 0", "2: trust.threshold: expected at least 1"),
        ("  threshold: 2\n  keys:\n  - {name: a, key: b}", "2: trust.threshold: there are fewer keys: 1"),
        ("  builder_id: me", "2: trust.builder_id: expected a URI such as"),
        ("  kyes: []", "2: trust.kyes"),
    ],
)
def test_problems_have_their_lines(lines: str, problem: str) -> None:
    with pytest.raises(RecipeError) as raised:
        loaded(f"trust:\n{lines}\n")
    assert any(str(one).startswith(f"imagebuild.yaml:{problem}") for one in raised.value.problems), raised.value
