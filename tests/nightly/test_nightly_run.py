"""Nightly runs: what is built, compared, refused, published, and what stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import pytest

from imagebuild.cli.main import main
from imagebuild.errors import HostError, UsageError
from imagebuild.nightly.journal import NightlyJournal
from tests.nightly.nightly_site import IMAGES, PACKAGES, NightlySite, of, words
from tests.trust.signed import key_pair
from tests.trust.sigstore_instance import IDENTITY, ISSUER, SigstoreInstance, token


def current(site: NightlySite, name: str) -> list[str]:
    """The version that is current at each target."""
    found = []
    for place in ("t1", "t2"):
        path = site.folder / place / f"{name}.json"
        found.append(json.loads(path.read_text())["current"] if path.exists() else "-")
    return found


def good(site: NightlySite, name: str) -> str:
    return str((site.folder / "artifacts" / name / "good").readlink())


def rewrite(site: NightlySite, old: str, new: str) -> None:
    """Change the project's file."""
    path = site.folder / "imagebuild.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_the_four_nights(site: NightlySite) -> None:
    """Everything, nothing, one package, one gate: as in the issue of a user who wants exactly this."""
    site.write(*IMAGES)
    first = site.run()
    assert (first.exit_code, first.outcome, first.changed, first.failed) == (0, "success", IMAGES, ())
    assert [words(first, name)["publish"] for name in IMAGES] == ["passed"] * 4
    assert site.built == list(IMAGES)

    second = site.run()
    assert (second.exit_code, second.changed, site.built) == (0, (), [])
    assert all(words(second, name)["publish"] == words(second, name)["build"] == "unchanged" for name in IMAGES)
    assert all(target.current for one in second.images for target in one.targets)

    site.change("beta", "another")
    site.packages["beta"] = {**PACKAGES, "vim": "2:9.2"}
    third = site.run()
    assert (third.exit_code, third.changed, site.built) == (0, ("beta",), ["beta"])
    assert of(third, "beta").differences[0] == "packages: 1 upgraded"
    assert "vim" in (site.folder / "reports/beta.diff.md").read_text()
    assert current(site, "beta") == ["2026-11-29.2"] * 2

    site.change("delta", "another")
    site.packages["delta"] = {"bash": "5.2.37-2"}
    fourth = site.run()
    assert (fourth.exit_code, fourth.outcome, fourth.changed, fourth.failed) == (1, "failure", (), ("delta",))
    refused = of(fourth, "delta")
    assert (refused.version, refused.good, good(site, "delta")) == ("2026-11-29.2", "2026-11-29.1", "2026-11-29.1")
    assert refused.failed[0].details == ("package-removed: 1 package is removed: vim",)
    assert current(site, "delta") == ["2026-11-29.1"] * 2

    fifth = site.run()  # it is not built again, and not forgotten
    assert (fifth.exit_code, fifth.failed, site.built) == (1, ("delta",), [])
    accepted = site.run(accept=["delta"])
    assert (accepted.exit_code, accepted.changed, site.built) == (0, ("delta",), [])
    assert current(site, "delta") == [good(site, "delta")] * 2 == ["2026-11-29.2"] * 2


def test_a_version_is_compared_with_the_last_good_one(site: NightlySite) -> None:
    """Not with the one that was refused last night."""
    site.write("alpha")
    site.mib["alpha"] = 10
    assert site.run().exit_code == 0
    site.change("alpha", "2")
    site.mib["alpha"] = 12
    assert words(site.run(), "alpha")["gates"] == "failed"
    site.change("alpha", "3")
    site.mib["alpha"] = 12
    ended = site.run()
    assert words(ended, "alpha")["gates"] == "failed"
    assert good(site, "alpha") == "2026-11-29.1"
    site.change("alpha", "4")
    site.mib["alpha"] = 10
    assert of(site.run(), "alpha").good == "2026-11-29.4"


def test_a_removed_link_is_restored(site: NightlySite) -> None:
    """Else the refused version would be the first one, which nothing is compared with."""
    site.write("alpha")
    site.run()
    site.change("alpha", "2")
    site.packages["alpha"] = {"bash": "5.2.37-2"}
    assert site.run().exit_code == 1
    (site.folder / "artifacts/alpha/good").unlink()
    again = site.run()
    assert (again.exit_code, of(again, "alpha").good, good(site, "alpha")) == (1, "2026-11-29.1", "2026-11-29.1")
    assert current(site, "alpha") == ["2026-11-29.1"] * 2


def test_changed_gates_are_held_again(site: NightlySite) -> None:
    site.write("alpha")
    site.run()
    site.change("alpha", "2")
    site.packages["alpha"] = {"bash": "5.2.37-2"}
    assert site.run().exit_code == 1
    rewrite(site, ", package-removed", "")
    ended = site.run()
    assert (ended.exit_code, site.built, ended.changed) == (0, [], ("alpha",))


def test_only_what_was_refused_can_be_accepted(site: NightlySite) -> None:
    site.write("alpha")
    site.run()
    with pytest.raises(UsageError, match="no gate has refused"):
        site.run(accept=["alpha"])


def test_one_failure_stops_nothing_else(site: NightlySite) -> None:
    site.write(*IMAGES)
    site.broken.add("alpha")
    site.unusable.add("beta")
    (site.folder / "recipes/gamma.yaml").write_text("name: gamma\nos: 3\n")
    ended = site.run()
    assert ended.exit_code == 1
    assert ended.failed == ("alpha", "beta", "gamma")
    assert of(ended, "alpha").failed[0].details == ("E: 404",)
    assert words(ended, "beta") == {"build": "passed", "verify": "failed"}
    assert "gamma.yaml:2" in of(ended, "gamma").failed[0].details[0]
    assert current(site, "delta") == ["2026-11-29.1"] * 2
    sarif = json.loads((site.folder / "reports/lint.sarif").read_text())
    assert any(one["level"] == "error" for one in sarif["runs"][0]["results"])


def test_a_failed_build_leaves_the_good_version_published(site: NightlySite) -> None:
    site.write("alpha")
    site.run()
    site.change("alpha", "2")
    site.broken.add("alpha")
    ended = site.run()
    assert (ended.exit_code, words(ended, "alpha")["build"], words(ended, "alpha")["publish"]) == (
        1, "failed", "unchanged",
    )  # fmt: skip
    site.broken.clear()
    assert site.run().changed == ("alpha",)


def test_what_a_target_lacks_is_sent_the_next_night(site: NightlySite) -> None:
    site.write("alpha")
    (site.folder / "t2").rmdir()
    (site.folder / "t2").write_text("in the way")
    ended = site.run()
    assert (ended.exit_code, [one.current for one in of(ended, "alpha").targets]) == (1, [True, False])
    assert of(ended, "alpha").failed[0].details[0].startswith("t2: failed: ")
    (site.folder / "t2").unlink()
    (site.folder / "t2").mkdir()
    ended = site.run()
    assert (ended.exit_code, [one.status for one in of(ended, "alpha").targets]) == (0, ["unchanged", "switched"])


def test_a_rollback_by_hand_stays(site: NightlySite) -> None:
    """Targets are not even read if nothing is new."""
    site.write("alpha")
    site.run()
    record = site.folder / "t1/alpha.json"
    record.write_text(record.read_text().replace("2026-11-29.1", "2026-11-28.7"))
    before = record.read_text()
    assert site.run().exit_code == 0
    assert record.read_text() == before


def test_a_canary_that_is_not_good_stops_the_others(site: NightlySite) -> None:
    site.write("alpha")
    site.run()
    site.change("alpha", "2")
    text = (site.folder / "imagebuild.yaml").read_text()
    (site.folder / "imagebuild.yaml").write_text(
        text.replace("to: [all]", "to: [all], canary: t2, canary_check: exit 3")
    )
    ended = site.run()
    assert (ended.exit_code, current(site, "alpha")) == (1, ["2026-11-29.1"] * 2)
    assert {one.status for one in of(ended, "alpha").targets} == {"rolled back", "not started"}
    rewrite(site, "exit 3", "test $IMAGEBUILD_HOST = t2")
    assert site.run().exit_code == 0
    assert current(site, "alpha") == ["2026-11-29.2"] * 2


def test_what_was_not_verified_is_published_only_if_the_project_says_so(site: NightlySite) -> None:
    site.write("alpha")
    rewrite(site, ", unverified: true", "")
    ended = site.run()
    assert (ended.exit_code, current(site, "alpha")) == (1, ["-", "-"])
    assert "nightly.publish.unverified: true" in of(ended, "alpha").failed[0].hint


def test_old_versions_go_and_the_good_one_stays(site: NightlySite) -> None:
    site.write("alpha", more="  keep: {versions: 1, templates: 1}\n")
    for number in range(1, 4):
        site.change("alpha", str(number))
        assert site.run().exit_code == 0
    site.packages["alpha"] = {}
    for number in range(4, 6):
        site.change("alpha", str(number))
        assert site.run().exit_code == 1
    there = sorted(path.name for path in (site.folder / "artifacts/alpha").iterdir() if not path.is_symlink())
    assert there == ["2026-11-29.3", "2026-11-29.5"]
    assert good(site, "alpha") == "2026-11-29.3"
    assert [path.name.split("--")[1] for path in (site.folder / "t1").glob("*.qcow2")] == ["2026-11-29.3"]


def test_a_second_run_says_who_is_at_work(site: NightlySite) -> None:
    site.write("alpha")
    with (
        NightlyJournal(site.folder / "artifacts").alone(),
        pytest.raises(HostError, match=rf"another nightly run is at work in .* \(process {os.getpid()}, since "),
    ):
        site.run()
    assert site.run().exit_code == 0


def test_damaged_records_cost_only_time(site: NightlySite) -> None:
    site.write("alpha")
    site.run()
    (site.folder / "artifacts/.nightly/images/alpha.json").write_text("{")
    ended = site.run()
    assert (ended.exit_code, site.built, of(ended, "alpha").targets[0].status) == (0, [], "unchanged")


def test_images_that_a_run_leaves_out_keep_their_metrics(site: NightlySite) -> None:
    site.write("alpha", "beta")
    site.run()
    site.run("beta")
    assert 'image_success{image="alpha"} 1' in (site.folder / "images.prom").read_text()
    with pytest.raises(UsageError, match="bta is not among the images of nightly"):
        site.run("bta")


def test_nothing_to_build_is_an_error(site: NightlySite) -> None:
    with pytest.raises(UsageError, match="there is no recipe"):
        site.run()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("[gone]", "there is no recipe 'gone'"),
        ("[{recipe: alpha, only: [alpah]}]", "yields no image 'alpah'"),
        ("[{recipe: alpha, variables: {site: x}}]", "has no variable 'site'"),
    ],
)
def test_a_wrong_entry_is_the_failure_of_that_entry(site: NightlySite, images: str, message: str) -> None:
    site.write("alpha", more=f"  images: {images}\n")
    ended = site.run()
    assert (ended.exit_code, message in ended.images[0].failed[0].message) == (1, True)


def test_a_place_that_does_not_exist_is_refused_before_anything_is_built(site: NightlySite) -> None:
    site.write("alpha", more="  images: [{recipe: alpha, to: [t3]}]\n")
    with pytest.raises(UsageError, match=r"nightly\.publish\.to t3: there is no host, target or group"):
        site.run()
    assert not (site.folder / "artifacts").exists()


def test_an_image_may_be_published_nowhere(site: NightlySite) -> None:
    site.write("alpha", more="  images: [{recipe: alpha, to: []}]\n")
    assert words(site.run(), "alpha")["publish"] == "skipped"


def test_an_interruption_leaves_a_report_and_the_next_run_goes_on(site: NightlySite) -> None:
    site.write(*IMAGES)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    run = site.prepared()
    run.build = interrupted
    ended = run.go()
    assert (ended.outcome, ended.exit_code) == ("interrupted", 130)
    assert [(one.image, one.stages[0].message, one.last_success) for one in ended.images] == [
        (name, "interrupted", "") for name in IMAGES
    ]
    assert json.loads((site.folder / "reports/nightly.json").read_text())["outcome"] == "interrupted"
    assert site.run().changed == IMAGES


def test_a_clock_in_the_past_makes_no_good_version(site: NightlySite) -> None:
    """Targets refuse an older version, every night; the hint is the way out."""
    site.write("alpha")
    _sign_with(site, "one", key_pair(site.folder, "one"))
    assert site.run().exit_code == 0
    site.change("alpha", "2")
    site.today = date(2026, 1, 1)
    for _ in range(2):  # also when it is not built any more
        ended = site.run()
        (failed,) = of(ended, "alpha").failed
        assert (ended.exit_code, failed.stage, ended.changed) == (3, "gates", ())
        assert "2026-01-01.1 was built after 2026-11-29.1 and is older by its name: the clock" in failed.message
        assert good(site, "alpha") == "2026-11-29.1"
        assert words(ended, "alpha")["publish"] == "unchanged"
    site.today = date(2026, 11, 30)
    subprocess.run(["sh", "-c", failed.hint.rpartition(": ")[2]], check=True)
    ended = site.run()
    assert (ended.exit_code, ended.changed, good(site, "alpha")) == (0, ("alpha",), "2026-11-30.1")
    assert current(site, "alpha") == ["2026-11-30.1"] * 2


def test_an_older_version_that_became_good_is_put_right(site: NightlySite) -> None:
    """As imagebuild did before it looked at that."""
    site.write("alpha")
    site.run()
    site.change("alpha", "2")
    site.today = date(2026, 1, 1)
    site.run()
    (site.folder / "artifacts/alpha/good").unlink()
    (site.folder / "artifacts/alpha/good").symlink_to("2026-01-01.1")
    ended = site.run()
    assert (ended.exit_code, good(site, "alpha")) == (3, "2026-11-29.1")


def test_problems_of_a_recipe_have_their_hints(site: NightlySite) -> None:
    site.write("alpha")
    recipe = site.folder / "recipes/alpha.yaml"
    recipe.write_text(recipe.read_text().replace("packages: [tree]", "pakages: [tree]"))
    details = of(site.run(), "alpha").failed[0].details
    assert "recipes/alpha.yaml:5: pakages: " in details[0]
    assert details[1].startswith("    hint: ")


def test_a_signal_during_a_hook_ends_in_a_summary(site: NightlySite, tmp_path: Path) -> None:
    """A command that runs too long is ended by the service manager, which sends SIGTERM."""
    site.write("alpha")
    site.run()
    site.write("alpha", more='  hooks: {always: "kill -TERM $PPID; sleep 60"}\n')
    pid = os.fork()
    if pid == 0:
        _command(["nightly", "--store", "store"], tmp_path / "out")  # ends the process
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    said = (tmp_path / "out").read_text()
    assert code == 130, said
    assert "alpha  2026-11-29.1" in said
    assert "1 image in" in said
    assert "interrupted; the next run goes on from there" in said
    report = json.loads((site.folder / "reports/nightly.json").read_text())
    assert (report["outcome"], report["images"][0]["good"]) == ("interrupted", "2026-11-29.1")


def _command(words: list[str], output: Path) -> NoReturn:
    """The command line, as this process."""
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
        sys.stdout = sys.stderr = os.fdopen(descriptor, "w", buffering=1)
        sys.argv = ["imagebuild", *words]
        main()
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    finally:
        os._exit(99)


def test_a_full_disk_is_reported(site: NightlySite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write("alpha")

    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("imagebuild.nightly.report_files.write_atomically", full)
    ended = site.run()
    assert ended.exit_code == 3
    assert {one.stage for one in ended.stages} >= {"reports", "metrics"}


def test_a_refused_version_does_not_pass_because_the_good_one_is_damaged(site: NightlySite) -> None:
    """Nothing to compare with is not the same as nothing that differs."""
    site.write("alpha", more="  keep: {versions: 1}\n")
    site.run()
    site.change("alpha", "2")
    site.packages["alpha"] = {"bash": "5.2.37-2"}
    assert site.run().exit_code == 1
    (site.folder / "artifacts/alpha/2026-11-29.1/manifest.json").write_text("{")
    site.run()  # the judgement of the night before still holds
    site.change("alpha", "3")
    site.packages["alpha"] = PACKAGES
    ended = site.run()
    assert (ended.exit_code, words(ended, "alpha")["gates"], ended.changed) == (1, "failed", ())
    assert "the contents of 2026-11-29.1 are not known" in of(ended, "alpha").failed[0].details[0]
    assert good(site, "alpha") == "2026-11-29.1"
    assert (site.folder / "artifacts/alpha/2026-11-29.1").is_dir()  # somebody may mend it
    assert current(site, "alpha") == ["2026-11-29.1"] * 2
    assert site.run(accept=["alpha"]).exit_code == 0
    assert current(site, "alpha") == ["2026-11-29.3"] * 2


def test_a_link_to_anything_else_is_not_the_first_version(site: NightlySite) -> None:
    site.write("alpha")
    site.run()
    site.change("alpha", "2")
    site.run()
    link = site.folder / "artifacts/alpha/good"
    link.unlink()
    link.symlink_to("/etc")
    site.change("alpha", "3")
    ended = site.run()
    assert (ended.exit_code, words(ended, "alpha")["gates"]) == (1, "failed")
    assert current(site, "alpha") == ["2026-11-29.2"] * 2


def _sign_with(site: NightlySite, signer: str, *keys: Mapping[str, Any]) -> None:
    """Sign with the key SIGNER.pem, and accept these keys."""
    trust = {"sign": {"key": {"file": f"{signer}.pem"}}, "keys": list(keys)}
    text = (site.folder / "imagebuild.yaml").read_text().partition("trust:")[0]
    (site.folder / "imagebuild.yaml").write_text(f"{text}trust: {json.dumps(trust)}\n")


def test_the_identity_of_the_job_signs_what_is_published(
    site: NightlySite, monkeypatch: pytest.MonkeyPatch, no_proxy: None
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITLAB_CI", "true")
    instance = SigstoreInstance()
    site.write("alpha")
    with instance.serving():
        section = {
            **instance.write(site.folder),
            "identities": [{"identity": IDENTITY, "issuer": ISSUER}],
            "sign": True,
        }
        text = (site.folder / "imagebuild.yaml").read_text()
        (site.folder / "imagebuild.yaml").write_text(f"{text}trust: {json.dumps({'sigstore': section})}\n")
        monkeypatch.delenv("SIGSTORE_ID_TOKEN", raising=False)
        ended = site.run()
        (failed,) = of(ended, "alpha").failed
        assert (ended.exit_code, failed.stage) == (3, "sign")
        assert "the identity of this environment cannot be used" in failed.message
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", token())
        ended = site.run()
        assert (ended.exit_code, words(ended, "alpha")["sign"]) == (0, "passed")
    assert current(site, "alpha") == ["2026-11-29.1"] * 2
    monkeypatch.delenv("SIGSTORE_ID_TOKEN")
    ended = site.run()  # nothing is signed again, so no identity is needed
    assert (words(ended, "alpha")["sign"], words(ended, "alpha")["publish"]) == ("unchanged", "unchanged")


def test_targets_get_the_signature_of_another_key(site: NightlySite) -> None:
    """The version stays, and its record at a target is made with the signature that clients will ask for."""
    site.write("alpha")
    site.run()
    one, two = key_pair(site.folder, "one"), key_pair(site.folder, "two")
    _sign_with(site, "one", one)
    assert [one.status for one in of(site.run(), "alpha").targets] == ["switched"] * 2
    assert [one.status for one in of(site.run(), "alpha").targets] == ["unchanged"] * 2
    before = (site.folder / "t1/alpha.json").read_text()
    _sign_with(site, "two", one, two)
    assert site.run().exit_code == 0
    after = (site.folder / "t1/alpha.json").read_text()
    assert before != after
    _sign_with(site, "two", {**one, "expires": "2040-01-01"}, two)  # nothing new is signed
    ended = site.run()
    assert (words(ended, "alpha")["sign"], words(ended, "alpha")["publish"]) == ("passed", "unchanged")
