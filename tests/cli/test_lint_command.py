# ruff: noqa: F811 - the fixture imagebuild is imported, and an argument
"""``imagebuild lint``: recipes and kickstart files, for people, for programs and for CI."""

from __future__ import annotations

import io
import json
import lzma
import sys
from pathlib import Path
from typing import Any

import pytest
from faulty_server import FaultyServer
from jsonschema import Draft7Validator
from test_main import Imagebuild, imagebuild  # noqa: F401 - a fixture

from imagebuild.schema import rule_names

SCRUBBED = (
    "operations: [remove-ssh-host-keys, reset-machine-id, remove-network-identity, remove-udev-rules, "
    "remove-random-seed, remove-device-records, run-command: {command: passwd -d root}]\n"
)
RECIPE = "name: web\nos: {family: debian, version: 13, codename: trixie}\nkickstart: {template: web.ks.j2}\n"
TEMPLATE = """\
{% import "macros.ks.j2" as imagebuild %}
{{ imagebuild.source(payload) }}
zerombr
clearpart --all --initlabel
part / --size=1024 --grow --fstype=ext4
bootloader --location=mbr
rootpw --lock
poweroff
%packages --nocore
linux-image-cloud-amd64
%end
"""
PROOF = "{{ imagebuild.success(nonce) }}\n"


@pytest.fixture
def project(tmp_path: Path, imagebuild: Imagebuild, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "kickstart").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project: Path, template: str, more: str = "") -> None:
    (project / "recipes/web.yaml").write_text(RECIPE + more + SCRUBBED)
    (project / "kickstart/web.ks.j2").write_text(template)


def test_a_rule_is_reported_with_its_name_and_hint(project: Path, imagebuild: Imagebuild) -> None:
    write(project, TEMPLATE + "user --name=ann --password=sesame\n" + PROOF)
    done = imagebuild("lint", "web")
    assert done.returncode == 2
    assert f"{Path('kickstart/web.ks.j2')}:12: user holds a password in plain text [plaintext-password]" in done.stderr
    assert "hint: write a hash" in done.stderr
    assert "sesame" not in done.stderr + done.stdout
    assert done.stdout == "1 recipe, 1 image, 1 error\n"
    for command in ("render", "plan"):
        assert imagebuild(command, "web").returncode == 2


def test_a_warning_is_reported_and_blocks_nothing(project: Path, imagebuild: Imagebuild) -> None:
    write(project, TEMPLATE + "%post\necho\n%end\n" + PROOF)
    done = imagebuild("lint", "web")
    assert (done.returncode, done.stdout) == (0, "1 recipe, 1 image, 1 warning\n")
    assert ":12: warning: %post without --erroronfail" in done.stderr
    planned = imagebuild("plan", "web", "--json")
    assert planned.returncode == 0
    assert [warning["rule"] for warning in json.loads(planned.stdout)["warnings"]] == ["post-without-erroronfail"]


def test_a_finding_in_many_images_is_reported_once(project: Path, imagebuild: Imagebuild) -> None:
    suppression = "lint: {ignore: {post-without-erroronfail: only one image has such a script}}\n"
    script = "{% if variables.site == 'a' %}\n%post\necho\n%end\n{% endif %}\n"
    write(
        project,
        TEMPLATE + "user --name=ann --password=x\n" + script + PROOF,
        "matrix: {site: [a, b, c]}\n" + suppression,
    )
    done = imagebuild("lint", "web", "--json")
    (finding, summary) = map(json.loads, done.stdout.splitlines())
    assert (finding["rule"], finding["images"], finding["severity"]) == ("plaintext-password", 3, "error")
    ending = ["schema", "event", "errors", "warnings", "checked", "notes"]
    assert [summary[key] for key in ending] == [1, "summary", 1, 0, ["1 recipe", "3 images"], []]
    assert "(in 3 images)" in imagebuild("lint", "web").stderr


def test_a_suppression_without_findings_is_a_warning(project: Path, imagebuild: Imagebuild) -> None:
    write(project, TEMPLATE + PROOF, "matrix: {site: [a, b]}\nlint: {ignore: {swap: once upon a time}}\n")
    done = imagebuild("lint", "web")
    assert done.returncode == 0
    assert "web.yaml:5: warning: lint.ignore.swap: unused suppression: swap finds nothing here" in done.stderr


def test_kickstart_files_need_no_recipe(
    project: Path,
    imagebuild: Imagebuild,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (project / "old.ks").write_text("lnag C\n")
    (project / "plain").write_text("part swap --size=1\n")
    done = imagebuild("lint", "old.ks", "--kickstart", "plain", "--syntax", "rhel9")
    assert done.returncode == 2
    assert "old.ks:1: Unknown command: lnag [syntax]" in done.stderr
    assert "plain:1: warning: part makes swap [swap]" in done.stderr
    assert done.stdout.startswith("2 kickstarts, ")

    class Stdin:
        buffer = io.BytesIO(b"autopart\n")

    monkeypatch.setattr("sys.stdin", Stdin)
    assert "-:1: warning: autopart makes swap [swap]" in imagebuild("lint", "-").stderr
    assert imagebuild("lint", "old.ks", "--syntax", "RHEL99").returncode == 2


def test_the_rules_are_listed(imagebuild: Imagebuild) -> None:
    listed = imagebuild("lint", "--list-rules").stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(rule_names.names())
    data = [json.loads(line) for line in imagebuild("lint", "--list-rules", "--json").stdout.splitlines()]
    assert all(one["help"] and one["severity"] in ("error", "warning") for one in data)


def test_the_syntaxes_are_listed(imagebuild: Imagebuild) -> None:
    *others, newest = imagebuild("lint", "--list-syntaxes").stdout.splitlines()
    assert {"RHEL9", "F43", "FC3"} <= set(others)
    assert newest.startswith("DEVEL (F")
    data = [json.loads(line) for line in imagebuild("lint", "--list-syntaxes", "--json").stdout.splitlines()]
    assert [one["name"] for one in data] == [*others, "DEVEL"]
    assert [one["name"] for one in data if one["newest"]] == ["DEVEL"]


def test_everything_that_a_build_will_look_at_is_reported_together(
    project: Path, imagebuild: Imagebuild, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGEBUILD_OFFLINE")
    index = lzma.compress(b"Package: linux-image-cloud-amd64\n\nPackage: nginx\nProvides: httpd\n")
    server.content["/debian/dists/trixie/main/binary-amd64/Packages.xz"] = index
    more = (
        f"installer: {{mirror: '{server.url('/debian')}'}}\n"
        "root: {ssh_keys: [{file: keys.pub}]}\nverify:\n  checks: [script: {file: check.sh}]\n"
        "packages: [httpd,\n  ngnix]\n"
    )
    scrubbed = SCRUBBED.replace("]", ", run-script: {file: none.sh}]")
    monkeypatch.setattr(sys.modules[__name__], "SCRUBBED", scrubbed)
    write(project, TEMPLATE.replace("%end", "{% for one in packages %}\n{{ one }}\n{% endfor %}\n%end") + PROOF, more)
    done = imagebuild("lint", "web")
    assert done.returncode == 2
    assert [line.partition(": ")[0] for line in done.stderr.splitlines() if not line.startswith(" ")] == [
        "recipes/web.yaml:5", "recipes/web.yaml:7", "recipes/web.yaml:9", "recipes/web.yaml:10",
    ]  # fmt: skip
    assert "packages[1]: Debian trixie has no package 'ngnix'\n    hint: did you mean 'nginx'?" in done.stderr
    server.content.clear()
    assert "ngnix" in imagebuild("lint", "web").stderr


def test_what_was_not_looked_up_is_said(project: Path, imagebuild: Imagebuild) -> None:
    write(project, TEMPLATE + PROOF)
    note = "package names of web were not checked: offline"
    assert imagebuild("lint", "web").stderr == f"note: {note}\n"
    assert json.loads(imagebuild("lint", "web", "--json").stdout)["notes"] == [note]
    centos = imagebuild("lint", "centos-7").stderr
    assert (
        centos == "note: package names of centos-7 were not checked: their installer's repositories are not looked at\n"
    )


def test_an_identity_that_clones_would_share_is_a_warning_of_lint_and_plan(
    project: Path, imagebuild: Imagebuild
) -> None:
    (project / "recipes/own.yaml").write_text("extends: debian-13\nname: own\noperations: {replace: [clean-logs]}\n")
    for command in ("lint", "plan"):
        done = imagebuild(command, "own")
        assert done.returncode == 0
        assert f"{Path('recipes/own.yaml')}:3: warning: operations: all clones of this image would" in done.stderr
        assert "SSH host keys (remove-ssh-host-keys), machine id (reset-machine-id)" in done.stderr
    (project / "recipes/own.yaml").write_text(
        "extends: debian-13\nname: own-${n}\nmatrix: {n: {a: {operations: {replace: [clean-logs]}}, b: {}}}\n"
        "lint: {ignore: {shared-identity: it becomes one machine}}\nroot: {ssh_keys: [{env: KEYS}]}\n"
    )
    assert imagebuild("lint", "own").stdout == "1 recipe, 2 images, no problems found\n"
    assert "own.yaml:4: warning: lint.ignore.shared-identity: unused" in imagebuild("lint", "own-b").stderr


# The part of SARIF 2.1.0 that GitHub and GitLab read, with names and types from its specification (sections 3.13 to
# 3.52).
_TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_RULE = {
    "type": "object",
    "required": ["id", "shortDescription", "help", "defaultConfiguration"],
    "properties": {
        "id": {"type": "string"}, "shortDescription": _TEXT, "fullDescription": _TEXT, "help": _TEXT,
        "defaultConfiguration": {"type": "object", "properties": {"level": _LEVEL}},
    },
}  # fmt: skip
_PLACE = {
    "type": "object",
    "required": ["artifactLocation"],
    "properties": {
        "artifactLocation": {"type": "object", "required": ["uri"],
            "properties": {"uri": {"type": "string", "format": "uri-reference"}}},
        "region": {"type": "object", "required": ["startLine"],
            "properties": {"startLine": {"type": "integer", "minimum": 1}}},
    },
}  # fmt: skip
_RESULT = {
    "type": "object",
    "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
    "properties": {
        "level": _LEVEL, "message": _TEXT, "ruleIndex": {"type": "integer", "minimum": 0},
        "locations": {"type": "array", "minItems": 1,
            "items": {"type": "object", "properties": {"physicalLocation": _PLACE}}},
    },
}  # fmt: skip
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array", "minItems": 1, "maxItems": 1,
            "items": {
                "type": "object", "required": ["tool", "results"],
                "properties": {
                    "tool": {"type": "object", "required": ["driver"], "properties": {"driver": {
                        "type": "object", "required": ["name", "rules"],
                        "properties": {"name": {"type": "string"}, "rules": {"type": "array", "items": _RULE}},
                    }}},
                    "results": {"type": "array", "items": _RESULT},
                },
            },
        },
    },
}  # fmt: skip


def sarif(text: str) -> dict[str, Any]:
    log = json.loads(text)
    Draft7Validator(SARIF).validate(log)
    (run,) = log["runs"]
    described = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in described}) == len(described)
    for result in run["results"]:
        assert described[result["ruleIndex"]]["id"] == result["ruleId"]
    return dict(run)


def test_sarif_points_at_the_templates_lines(project: Path, imagebuild: Imagebuild) -> None:
    write(project, TEMPLATE + "user --name=ann --password=x\n%post\necho\n%end\n" + PROOF)
    done = imagebuild("lint", "web", "--sarif")
    assert done.returncode == 2
    first, second = sarif(done.stdout)["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "kickstart/web.ks.j2", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 12},
    }
    assert (first["ruleId"], first["level"], second["level"]) == ("plaintext-password", "error", "warning")


def test_sarif_of_a_wrong_recipe_and_of_files_elsewhere(
    project: Path,
    imagebuild: Imagebuild,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    write(project, TEMPLATE + PROOF, "packages: ['two words']\n")
    other = tmp_path_factory.mktemp("else where") / "a.ks"
    other.write_text("lnag\n")
    results = sarif(imagebuild("lint", "web", str(other), "--sarif").stdout)["results"]
    uris = {one["ruleId"]: one["locations"][0]["physicalLocation"]["artifactLocation"] for one in results}
    assert uris["recipe"] == {"uri": "recipes/web.yaml", "uriBaseId": "%SRCROOT%"}
    assert uris["syntax"] == {"uri": other.as_uri()}


def test_sarif_of_nothing_wrong(project: Path, imagebuild: Imagebuild) -> None:
    write(project, TEMPLATE + PROOF)
    done = imagebuild("lint", "web", "--sarif")
    assert (done.returncode, sarif(done.stdout)["results"]) == (0, [])
