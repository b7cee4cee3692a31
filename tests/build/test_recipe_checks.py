"""The checks that follow from a recipe, and whether an artifact has passed them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagebuild.build import checks, verdict, verification
from imagebuild.errors import RecipeError, VerificationFailed
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.store.artifact import Artifact
from imagebuild.verify import registry
from imagebuild.verify.check import CheckCall, CheckResult
from imagebuild.verify.verification import Verification, versions
from tests.recipe.recipes import recipe
from tests.recipes.test_shipped import EXPECTED

ALWAYS = {
    "clones-share-nothing", "failed-units", "reboot", "shutdown", "time-to-login", "clock-synchronisation", "swap-off",
    "packages", "root-file-system", "sshd", "listening-sockets",
}  # fmt: skip


def params(calls: Sequence[CheckCall]) -> dict[str, dict[str, Any]]:
    return {call.name: call.params.model_dump(mode="json") for call in calls}


def following(more: str = "") -> dict[str, dict[str, Any]]:
    return params(checks.of(recipe(more)))


def test_checks_of_a_minimal_recipe() -> None:
    found = following()
    assert found.keys() >= ALWAYS | {"memory-balloon", "ssh-answers"}
    assert list(found) == sorted(found)
    assert found["clones-share-nothing"] == {"hostname": "localhost", "ignore": []}
    assert found["root-file-system"]["grown"] is False


@pytest.mark.parametrize(
    ("more", "there", "absent"),
    [
        ("machine: {networks: []}", ALWAYS, {"ssh-answers", "network-interface"}),
        ("machine: {networks: [{type: none}]}", ALWAYS, {"ssh-answers", "network-interface"}),
        ("network: {device: eth0}", {"network-interface", "ssh-answers"}, set()),
        ("network: {device: eth0}\nmachine: {networks: []}", set(), {"network-interface"}),
        ("machine: {balloon: false}", set(), {"memory-balloon"}),
        ("machine: {vcpus: {current: 1, maximum: 4}}", {"cpu-hot-add"}, set()),
        ("machine: {vcpus: 4}", set(), {"cpu-hot-add"}),
        ("tuning: {io_scheduler: none}", {"io-scheduler"}, set()),
        ("tuning: {transparent_huge_pages: never}", {"huge-pages"}, set()),
        ("tuning: {serial_console: true}\nmachine: {serial: false}", set(), {"serial-console"}),
        ("tuning: {serial_console: true}", {"serial-console"}, set()),
        ("operations: [disable-selinux, disable-firewall]", {"selinux", "firewall"}, set()),
        ("verify: {without: [reboot, sshd]}", {"shutdown"}, {"reboot", "sshd"}),
        ("verify: {checks: [hostname]}", {"hostname"}, set()),
        ("", set(), {"cloud-init-seed"}),
        ("cloud_init: true", {"cloud-init-seed"}, set()),
        ("cloud_init: {datasources: [Ec2]}", set(), {"cloud-init-seed"}),
        ("cloud_init: true\nverify: {without: [cloud-init-seed]}", set(), {"cloud-init-seed"}),
        ("verify: {checks: [{script: {text: 'true'}}], without: [script]}", ALWAYS, {"script"}),
    ],
)
def test_checks_follow_from_the_settings(more: str, there: set[str], absent: set[str]) -> None:
    found = set(following(f"{more}\n"))
    assert there <= found
    assert not absent & found


def test_parameters_follow_from_the_settings() -> None:
    found = following(
        "network: {hostname: web1, device: eth0}\npackages: [vim]\ntuning: {io_scheduler: none}\n"
        "operations: [grow-root-at-first-boot, disable-selinux]\n"
    )
    assert found["clones-share-nothing"]["hostname"] == "web1"
    assert found["network-interface"]["name"] == "eth0"
    assert "vim" in found["packages"]["installed"]
    assert found["io-scheduler"]["scheduler"] == "none"
    assert found["root-file-system"]["grown"] is True
    assert found["selinux"]["mode"] == "disabled"


def test_what_cloud_init_does_is_checked() -> None:
    found = following("cloud_init: true\n")
    assert found["root-file-system"]["grown"] is True
    assert found["cloud-init-seed"]["network"] is True
    named = following("cloud_init: true\nnetwork: {device: ens3}\n")
    assert named["cloud-init-seed"]["device"] == "ens3"
    assert following("cloud_init: {growpart: false}\n")["root-file-system"]["grown"] is False
    assert following("cloud_init: {network: false}\n")["cloud-init-seed"]["network"] is False
    assert following("cloud_init: true\nmachine: {networks: []}\n")["cloud-init-seed"]["network"] is False


def test_a_recipe_has_other_parameters_and_more_checks() -> None:
    found = checks.of(
        recipe(
            "verify:\n  checks:\n  - time-to-login: {limit: 30}\n  - script: {text: 'exit 0'}\n"
            "  - script: {text: 'exit 1', limit: 5}\n"
        )
    )
    assert params(found)["time-to-login"]["limit"] == 30
    assert [call.name for call in found].count("time-to-login") == 1
    scripts = [call.params.model_dump() for call in found if call.name == "script"]
    assert scripts == [
        {"text": "exit 0", "file": None, "limit": 300},
        {"text": "exit 1", "file": None, "limit": 5},
    ]


def test_a_script_is_found_beside_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "own.sh").write_text("echo ü\n")
    more = "verify:\n  checks:\n  - script: {file: own.sh, limit: 7}\n"
    (*_, call) = checks.of(recipe(more, file=str(tmp_path / "small.yaml")))
    assert call.params.model_dump() == {"text": "echo ü\n", "file": None, "limit": 7}


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b""])
def test_a_script_that_cannot_be_used(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "own.sh").write_bytes(content)
    more = "verify:\n  checks:\n  - swap-off\n  - script:\n      file: own.sh\n"
    with pytest.raises(RecipeError) as refused:
        checks.of(recipe(more, file=str(tmp_path / "small.yaml")))
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"{tmp_path}/small.yaml:7: verify.checks.script.file: {tmp_path}/own.sh ")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_shipped_recipes_have_checks_that_a_manifest_can_record(name: str) -> None:
    calls = checks.of(load(name))
    assert {call.name for call in calls} >= ALWAYS
    again = [registry.call(key, value) for one in checks.recorded(calls) for key, value in one.items()]
    assert again == calls


def test_checks_without_a_recipe() -> None:
    general, house = checks.general(house_rules=False), checks.general(house_rules=True)
    assert [call.name for call in general] == list(checks.GENERAL)
    assert {call.name for call in house} == {*checks.GENERAL, *checks.HOUSE_RULES}
    assert [call.name for call in house] == sorted(call.name for call in house)


# The verdict in the manifest.


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    (tmp_path / "small.qcow2").write_bytes(b"image")
    content = {"name": "small", "image": {"file": "small.qcow2", "size": 5}, "other": {"kept": "ü"}}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    return Artifact(tmp_path, "small", "2026-11-29.1")


def done(calls: Sequence[CheckCall], status: str = "passed") -> Verification:
    results = tuple(
        CheckResult(name, status, ("x",) if status == "failed" else (), version=version)  # type: ignore[arg-type]
        for name, version in versions(calls).items()
    )
    return Verification(image="small", sha256="", accelerator="kvm", seconds_to_login=1.0, results=results)


CALLS = (registry.call("swap-off"), registry.call("time-to-login", {"limit": 30}))


def manifest(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((artifact.folder / "manifest.json").read_text())
    return found


def test_an_artifact_that_has_passed_is_verified(artifact: Artifact) -> None:
    assert not verdict.is_verified(artifact, CALLS)
    verdict.put_checks(artifact, CALLS)
    assert not verdict.is_verified(artifact, CALLS)
    verdict.put_verdict(artifact, done(CALLS))
    assert verdict.is_verified(artifact, CALLS)
    assert manifest(artifact)["other"] == {"kept": "ü"}
    sums = (artifact.folder / "SHA256SUMS").read_text()
    assert {line.split("  ")[1] for line in sums.splitlines()} == {"manifest.json", "small.qcow2"}


def test_a_failed_verification_is_none(artifact: Artifact) -> None:
    verdict.put_checks(artifact, CALLS)
    verdict.put_verdict(artifact, done(CALLS, "failed"))
    assert manifest(artifact)["verification"]["verdict"] == "failed"
    assert not verdict.is_verified(artifact, CALLS)


@pytest.mark.parametrize(
    "others",
    [
        CALLS[:1],
        (*CALLS, registry.call("sshd")),
        (CALLS[0], registry.call("time-to-login", {"limit": 31})),
        (CALLS[0], registry.call("time-to-login")),
    ],
)
def test_other_checks_or_parameters_are_not_verified(artifact: Artifact, others: Sequence[CheckCall]) -> None:
    verdict.put_checks(artifact, CALLS)
    verdict.put_verdict(artifact, done(CALLS))
    assert not verdict.is_verified(artifact, others)
    # The checks of the recipe have changed: the old verdict is removed with them.
    verdict.put_checks(artifact, others)
    assert "verification" not in manifest(artifact)
    assert manifest(artifact)["checks"] == checks.recorded(others)


def test_another_version_of_a_check_is_not_verified(artifact: Artifact) -> None:
    verdict.put_checks(artifact, CALLS)
    for number in range(3):
        results = list(done(CALLS).results)
        results[number] = replace(results[number], version="0" * 12)
        verdict.put_verdict(artifact, replace(done(CALLS), results=tuple(results)))
        assert not verdict.is_verified(artifact, CALLS)


def test_the_same_checks_keep_the_verdict(artifact: Artifact) -> None:
    verdict.put_checks(artifact, CALLS)
    verdict.put_verdict(artifact, done(CALLS))
    before = (artifact.folder / "manifest.json").stat().st_ino
    verdict.put_checks(artifact, CALLS)
    assert (artifact.folder / "manifest.json").stat().st_ino == before
    assert verdict.is_verified(artifact, CALLS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        '{"verification": []}',
        '{"verification": {"checks": 5}}',
        '{"verification": {"checks": {"a": 1}}}',
    ],
)
def test_a_damaged_manifest_is_not_verified(artifact: Artifact, text: str) -> None:
    (artifact.folder / "manifest.json").write_text(text)
    assert not verdict.is_verified(artifact, ())
    (artifact.folder / "manifest.json").unlink()
    assert not verdict.is_verified(artifact, ())


def test_a_build_runs_the_tests_that_its_manifest_does_not_have(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [registry.call("testinfra", {"text": "def test_x(): pass"})]
    seen: list[Any] = []

    def verify(subject: Any, *_: Any, **__: Any) -> verification.VerifiedHere:
        seen.extend(subject)
        return verification.VerifiedHere(done(calls), artifact.folder / "evidence")

    (artifact.folder / "evidence").mkdir()
    monkeypatch.setattr(verification, "artifact_subject", lambda _, given: given)
    monkeypatch.setattr(verification, "verify", verify)
    job: Any = SimpleNamespace(
        recipe=recipe(""),
        run="run",
        work=artifact.folder,
        reporter=None,
        settings=SimpleNamespace(store=None),
    )
    verification.check_artifact(job, artifact, calls)
    assert seen == calls
    assert manifest(artifact)["checks"] == checks.recorded(calls)
    assert verdict.is_verified(artifact, calls)


def test_what_a_build_runs() -> None:
    def names(made: Recipe, asked: bool | None) -> bool:
        return bool(verdict.wanted(made, asked=asked))

    on, off = recipe("verify: true\n"), recipe("verify: false\n")
    assert [names(on, asked) for asked in (None, True, False)] == [True, True, False]
    assert [names(off, asked) for asked in (None, True, False)] == [False, True, False]


def test_an_image_for_xen_is_not_verified_even_if_asked_for() -> None:
    made = recipe("verify: true\nmachine: {virt_type: xen}\n")
    assert verdict.why_not(made) == "its machine is for Xen"
    assert verdict.wanted(made, asked=True) == []
    assert verdict.why_not(recipe("")) == ""


def test_how_long_an_earlier_verification_took(artifact: Artifact) -> None:
    assert verdict.seconds(None) is None
    assert verdict.seconds(artifact) is None
    verdict.put_verdict(artifact, replace(done(CALLS), seconds=130.4))
    assert verdict.seconds(artifact) == 130.4
    (artifact.folder / "manifest.json").write_text("[]")
    assert verdict.seconds(artifact) is None


def test_a_verdict_is_revoked_when_the_same_image_fails_later(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    verdict.put_checks(artifact, CALLS)
    verdict.put_verdict(artifact, done(CALLS))
    work = tmp_path / "work"
    (work / "evidence").mkdir(parents=True)
    (work / "logs").mkdir()
    failed = verification.VerifiedHere(done(CALLS, "failed"), work / "evidence")
    monkeypatch.setattr(verification, "artifact_subject", lambda _, given: given)
    monkeypatch.setattr(verification, "verify", lambda *_, **__: failed)
    job: Any = SimpleNamespace(
        recipe=recipe(""), run="run", work=work, logs=work / "logs", reporter=None, settings=SimpleNamespace(store=None)
    )
    with pytest.raises(VerificationFailed):
        verification.check_artifact(job, artifact, CALLS)
    assert manifest(artifact)["verification"]["verdict"] == "failed"
    assert not verdict.is_verified(artifact, CALLS)
    assert (work / "logs" / "verify.json").exists()
