"""The options of `run` that give cloud-init a seed."""

from __future__ import annotations

from pathlib import Path

import yaml

from imagebuild.cli.seed_options import SeedChoice, seed

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIN0mBnSxwXvTnYZFJdF2v4e7xZ0n0P4G8Q2nYk7mE1o me"


def test_without_an_option_there_is_no_seed() -> None:
    assert seed(SeedChoice(False, None, (), None, None)) is None


def test_each_machine_is_a_new_instance() -> None:
    choice = SeedChoice(True, None, (), None, None)
    first, second = seed(choice), seed(choice)
    assert first is not None
    assert second is not None
    one, other = (yaml.safe_load(files["meta-data"]) for files in (first, second))
    assert one["instance-id"] != other["instance-id"]
    assert one["local-hostname"] == "imagebuild-run"


def test_each_option_implies_a_seed(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(f"{KEY}\n")
    (tmp_path / "user").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "network").write_text("version: 2\n")
    named = seed(SeedChoice(False, "web1", (), None, None))
    assert named is not None
    assert yaml.safe_load(named["meta-data"])["local-hostname"] == "web1"
    keyed = seed(SeedChoice(False, None, (tmp_path / "key.pub",), None, None))
    assert keyed is not None
    assert yaml.safe_load(keyed["meta-data"])["public-keys"] == [KEY]
    given = seed(SeedChoice(False, None, (), tmp_path / "user", None))
    assert given is not None
    assert given["user-data"] == b"#!/bin/sh\nexit 0\n"
    network = seed(SeedChoice(False, None, (), None, tmp_path / "network"))
    assert network is not None
    assert network["network-config"] == b"version: 2\n"
