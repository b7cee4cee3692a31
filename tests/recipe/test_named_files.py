"""Files that a recipe names and a build will read."""

from __future__ import annotations

from pathlib import Path

from projects import OS, image

from imagebuild.recipe.named_files import missing

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f admin@example\n"


def found(folder: Path, more: str, system: str = OS) -> list[str]:
    return [
        str(one).replace(f"{folder}/", "") for one in missing(image(folder, {"a.yaml": f"name: a\n{system}{more}"}))
    ]


def test_missing_and_wrong_files_of_keys(tmp_path: Path) -> None:
    (tmp_path / "good.pub").write_text(KEY)
    (tmp_path / "wrong.pub").write_text("PRIVATE\n")
    more = (
        "root:\n  ssh_keys: [{file: ../good.pub}, {file: ../none.pub}, {env: KEYS}]\n"
        "users:\n  - {name: ann, ssh_keys: [{file: ../wrong.pub}], password: {file: ../none}}\n"
        "operations:\n  - add-ssh-keys: {user: root, keys: [{file: ../gone.pub}]}\n"
    )
    first, second, third = found(tmp_path, more)
    assert first.startswith("recipes/a.yaml:4: root.ssh_keys[1]: the file recipes/../none.pub cannot be read: No such")
    assert second.startswith("recipes/a.yaml:6: users[0].ssh_keys[0]: the SSH key in file ../wrong.pub: ")
    assert third.startswith("recipes/a.yaml:8: operations[0].add-ssh-keys.keys[0]: the file recipes/../gone.pub")


def test_parts_of_an_install_source(tmp_path: Path) -> None:
    system = "os: {family: redhat, distribution: rocky, version: 9}\n"
    more = "installer:\n  source: {iso: ../none.iso, sha256: " + "0" * 64 + "}\n"
    assert found(tmp_path, more, system) == [
        "recipes/a.yaml:4: installer.source.iso: recipes/../none.iso cannot be read: No such file or directory"
    ]
    (tmp_path / "none.iso").touch()
    assert found(tmp_path, more, system) == []
    assert found(tmp_path, "installer: {source: {tree: 'https://mirror.example/os'}}\n", system) == []
