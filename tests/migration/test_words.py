"""What other tools call things leads to what a recipe calls them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from imagebuild.cli.commands import CommandTable
from imagebuild.customise import registry
from imagebuild.migration import command_lines, words
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.findings import models

DOCS = Path(__file__).parents[2] / "docs" / "migration.md"
# https://developer.hashicorp.com/packer/docs/provisioners, and one of each plugin with a provisioner.
PROVISIONERS = {
    "breakpoint", "file", "hcp-sbom", "powershell", "shell", "shell-local", "windows-restart", "windows-shell",
    "ansible", "ansible-local", "chef-client", "chef-solo", "converge", "inspec", "puppet-masterless", "puppet-server",
    "salt-masterless",
}  # fmt: skip


def keys(model: type[BaseModel] = Recipe, before: str = "") -> Iterator[str]:
    """All keys of a recipe: ``disk.size``."""
    for name, field in model.model_fields.items():
        yield before + name
        for inner in models(field.annotation):
            yield from keys(inner, f"{before}{name}.")


def long_options(tool: str) -> set[str]:
    ran = subprocess.run([tool, "--long-options"], check=True, capture_output=True, text=True)
    return {line.removeprefix("--") for line in ran.stdout.split()}


@pytest.mark.parametrize("tool", ["virt-customize", "virt-sysprep"])
def test_every_option_of_the_installed_tool_has_an_equivalent(tool: str) -> None:
    assert shutil.which(tool)
    assert long_options(tool) - set(words.equivalents("virt-customize")) - set(words.equivalents(tool)) == set()
    for option in long_options(tool):
        assert words.counterpart(f"--{option}", command_lines.TOOLS), option


@pytest.mark.parametrize("tool", ["virt-customize", "virt-sysprep"])
def test_which_options_have_a_value_is_what_the_help_of_the_installed_tool_says(tool: str) -> None:
    output = subprocess.run([tool, "--help"], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^  ((?:-.*?)(?=  |$))", output, re.MULTILINE)
    for line in found:
        names = [name.lstrip("-") for name in re.findall(r"--?[A-Za-z][a-z-]*", line.partition("<")[0])]
        group = command_lines.VALUES if "<" in line else command_lines.FLAGS
        for name in names:
            assert command_lines.SHORT.get(name, name) in group, line


def test_every_provisioner_of_packer_has_an_equivalent() -> None:
    assert PROVISIONERS - set(words.equivalents("Packer")) == set()


def test_what_is_named_exists() -> None:
    known = {*registry.names(), *keys(), "matrix", "extends", "keep", "users", "password", "ssh_keys", "recommends",
             "repository", "network: true", "scrub --recipe", "customise"}  # fmt: skip
    for tool in words.tools():
        for word, ours in words.equivalents(tool).items():
            for name in (found.rstrip(":") for found in re.findall(r"`([^`]+)`", ours)):
                if name.startswith("imagebuild "):
                    command = name.split()[1]
                    assert command in CommandTable() or command == "--version", (tool, word)
                else:
                    assert name in known, (tool, word, name)


def test_a_key_that_is_meant_is_a_key_of_something() -> None:
    all_keys = {key.rpartition(".")[2] for key in keys()} | {"extends", "matrix"}
    all_keys |= {key for name in registry.names() for key in registry.get(name).params.model_fields}
    for word, meant in words._table()["keys"].items():
        assert set(meant) <= all_keys, word
        assert word not in meant, word


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("firstboot", "--firstboot of virt-customize corresponds to `run-at-first-boot: {file: …}`"),
        ("--upload", "--upload of virt-customize corresponds to `copy-in: {source: …, path: …}`"),
        ("ssh-hostkeys", "ssh-hostkeys of virt-sysprep corresponds to `remove-ssh-host-keys`"),
        ("keep_user_accounts", "--keep-user-accounts of virt-sysprep corresponds to `remove-accounts` with `keep`"),
        ("windows_restart", (
            "windows_restart of Packer corresponds to nothing: the guest is changed offline and does not run"
        )),
        ("shell", "shell of Packer corresponds to `run-script: {file: …}`, or `run-command` for a single command"),
        ("ExtraTrees", "ExtraTrees of mkosi corresponds to `copy-in: {source: …, path: …}`"),
        ("write_file", "did you mean 'write-file'?"),
        ("WriteFile", "did you mean 'write-file'?"),
        ("isntall-packages", "did you mean 'install-packages'?"),
        ("xyzzy", None),
    ],
)  # fmt: skip
def test_an_unknown_operation(word: str, hint: str | None) -> None:
    assert words.operation(word) == hint


def test_the_documentation_lists_the_words(golden: Callable[[Path, str], None]) -> None:
    rows = [
        f"| {tool} | `{word}` | {ours} |"
        for tool in words.tools()
        if tool not in command_lines.TOOLS
        for word, ours in words.equivalents(tool).items()
    ]
    page = DOCS.read_text(encoding="utf-8")
    before, begin, rest = page.partition("--regenerate) -->\n")
    _, end, after = rest.partition("<!-- words: end -->")
    table = "\n".join(["| tool | word | in a recipe |", "|---|---|---|", *rows, ""])
    golden(DOCS, f"{before}{begin}{table}{end}{after}")
