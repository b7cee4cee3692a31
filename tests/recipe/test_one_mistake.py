"""One mistake is one problem, and words of other tools lead to those of a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import OS, problems_in

from recipes import problems

AT = "small.yaml:3: "


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("operations: [write-file: {path: /a, content: x}]",
         ["operations[0].write-file.content: unknown key 'content' [write 'text' instead]"]),
        ("operations: [write-file: {path: /a, content: 'x', permissions: 644}]",
         ["operations[0].write-file.content: unknown key 'content' [write 'text' instead]",
          "operations[0].write-file.permissions: unknown key 'permissions' [write 'mode' instead]"]),
        ("operations: [copy-file: {src: /a, dest: /b}]",
         ["operations[0].copy-file.src: unknown key 'src' [write 'path' instead]",
          "operations[0].copy-file.dest: unknown key 'dest' [write 'to' instead]"]),
        ("operations: [create-link: {src: /a, dest: /b}]",
         ["operations[0].create-link.src: unknown key 'src' [write 'target' instead]",
          "operations[0].create-link.dest: unknown key 'dest' [write 'path' instead]"]),
        ("operations: [create-link: {path: /a, tarjet: /b}]",
         ["operations[0].create-link.tarjet: unknown key 'tarjet' [did you mean 'target'?]"]),
        ("operations: [create-link: {path: /a}]",
         ["operations[0].create-link.target: this key is required but missing"]),
        ("operations: [run-at-first-boot: {script: \"#!/bin/sh\\n\"}]",
         ["operations[0].run-at-first-boot.script: unknown key 'script' [write 'text' instead]"]),
        ("operations: [run-script: {script: a.sh}]",
         ["operations[0].run-script.script: unknown key 'script' [write 'file' instead]"]),
        ("operations: [render-template: {source: a.j2, path: /a}]",
         ["operations[0].render-template.source: unknown key 'source' [write 'file' instead]"]),
        ("operations: [set-sysctl: {file: 10-a, settings: {vm.swappiness: 1}}]",
         ["operations[0].set-sysctl.file: unknown key 'file' [write 'name' instead]"]),
        ("operations: [write-file: {path: /a}]",
         ["operations[0].write-file: expected exactly one of text (the content) and file (a path), found neither"]),
        ("operations: [run-command: {command: 5}]",
         ["operations[0].run-command.command: expected text or a list, found 5"]),
        ("operations: [run-command: {command: [ls, 5]}]",
         ["operations[0].run-command.command[1]: expected text, found 5"]),
        ("operations: [set-sysctl: {settings: {vm.swappiness: [1]}}]",
         ["operations[0].set-sysctl.settings.vm.swappiness: expected a whole number or text, found a list"]),
        ("operations: [edit-line: {path: /a, pattern: a, line: b, missing: ad}]",
         ["operations[0].edit-line.missing: expected 'add' or 'fail', found 'ad' [did you mean 'add'?]"]),
        ("packages: -vim", ["packages: expected a list, found '-vim' [write `- vim`, with a space after the dash]"]),
        ("root: {ssh_keys: ssh-ed25519 AAAA x}",
         ["root.ssh_keys: expected a list, found 'ssh-ed25519 AAAA x' [write ssh_keys: [ssh-ed25519 AAAA x]]"]),
        ("machine: {ram: 4GiB, cpus: 2}",
         ["machine.ram: unknown key 'ram' [write 'memory' instead]",
          "machine.cpus: unknown key 'cpus' [write 'vcpus' instead]"]),
        ("timezone: UTC", ["timezone: unknown key 'timezone' [this key belongs elsewhere: locale.timezone]"]),
        ("update-packages:", [(
            "update-packages: unknown key 'update-packages' "
            "[this is an operation: list it under `operations:` as `- update-packages: …`]"
        )]),
        ("KernelCommandLine: a", [(
            "KernelCommandLine: unknown key 'KernelCommandLine' "
            "[KernelCommandLine of mkosi corresponds to `kernel_arguments`]"
        )]),
    ],
)  # fmt: skip
def test_a_mistake(more: str, expected: list[str]) -> None:
    assert problems(more) == [f"{AT}{one}" for one in expected]


def test_an_item_has_no_number_if_several_files_have_items(tmp_path: Path) -> None:
    files = {
        "base.yaml": OS + "operations: [trim-free-space]\n",
        "a.yaml": "extends: base.yaml\nname: a\noperations:\n  append:\n    - write-file: {path: /a, txt: b}\n",
    }
    assert problems_in(tmp_path, files) == [
        "a.yaml:5: operations.write-file.txt: unknown key 'txt' [did you mean 'text'?]"
    ]
    own = files["a.yaml"].replace("extends: base.yaml\n", OS).replace("  append:\n", "")
    assert problems_in(tmp_path, {"a.yaml": own}) == [
        "a.yaml:4: operations[0].write-file.txt: unknown key 'txt' [did you mean 'text'?]"
    ]
