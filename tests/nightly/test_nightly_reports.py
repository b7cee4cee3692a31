"""What a nightly run writes: nightly.json, JUnit XML, metrics, SARIF; and the hooks that read it."""

from __future__ import annotations

import json
import os
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from prometheus_client.parser import text_string_to_metric_families

from imagebuild.cli.nightly_table import summary
from imagebuild.nightly import hooks, metrics
from imagebuild.nightly.outcome import NightlyEnded, NightlyImageResult, NightlyStage, exit_code, schema
from imagebuild.nightly.report_files import junit_text, result_text
from imagebuild.progress import SILENT_REPORTER
from imagebuild.project.nightly import NightlyHooks
from tests import junit_schema
from tests.nightly.nightly_site import NightlySite
from tests.nightly.test_nightly_run import rewrite

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "nightly"
HOSTILE = 'x"\\\n\x1b[31m\u202e<&'
STAGES = (
    NightlyStage(stage="build", status="passed", seconds=61.2),
    NightlyStage(stage="verify", status="skipped", message="not asked for"),
    NightlyStage(stage="gates", status="failed", message=HOSTILE, details=(HOSTILE,), exit_code=1, hint="look"),
)
FAILED = NightlyImageResult(
    image="web", version="2026-11-29.2", good="2026-11-29.1", previous="2026-11-29.1", stages=STAGES, seconds=61.2,
    last_run="2026-11-29T03:00:00+00:00", last_success="2026-11-28T03:10:00+00:00",
)  # fmt: skip
ENDED = NightlyEnded(
    imagebuild="0.1", outcome="failure", exit_code=1, began="2026-11-29T03:00:00+00:00",
    ended="2026-11-29T03:01:30+00:00", seconds=90.0, changed=(), failed=("web",), images=(FAILED,),
    stages=(NightlyStage(stage="page", status="passed", seconds=1.0),),
)  # fmt: skip


def families(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples of each metric, by the values of their labels."""
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_junit_is_as_ci_systems_read_it() -> None:
    made = junit_text(ENDED)
    junit_schema.check(made)
    junit_schema.check(junit_text(replace(ENDED, images=(replace(FAILED, seconds=86400.5),), stages=())))
    suite, whole = ET.fromstring(made.encode())
    counts = {key: suite.get(key) for key in ("tests", "failures", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "skipped": "1"}
    failure = suite.find("testcase[@name='gates']/failure")
    assert failure is not None
    assert failure.text is not None
    assert "\x1b" not in made
    assert failure.text.endswith("hint: look")
    assert whole.get("name") == "imagebuild nightly run"


def test_the_result_is_valid_by_its_schema() -> None:
    validator = Draft202012Validator(schema())
    Draft202012Validator.check_schema(schema())
    data = json.loads(result_text(ENDED))
    validator.validate(data)
    for key in data:
        with pytest.raises(ValidationError):
            validator.validate({name: value for name, value in data.items() if name != key})
    with pytest.raises(ValidationError):
        validator.validate({**data, "outcome": "good"})
    assert result_text(ENDED).isascii()


def test_metrics_are_what_prometheus_reads() -> None:
    found = families(metrics.text(ENDED, [replace(FAILED, image="other", stages=(), last_success="")]))
    assert found["imagebuild_nightly_success"] == {(): 0.0}
    assert found["imagebuild_nightly_image_success"] == {("other",): 1.0, ("web",): 0.0}
    # 2026-11-28T03:10:00 UTC, `date -u -d '2026-11-28 03:10' +%s`
    assert found["imagebuild_nightly_image_last_success_timestamp_seconds"] == {("other",): 0.0, ("web",): 1795835400.0}
    assert found["imagebuild_nightly_image_stage_success"][("web", "gates")] == 0.0
    assert ("web", "verify") not in found["imagebuild_nightly_image_stage_success"]
    hostile = replace(FAILED, image=HOSTILE)
    assert len(families(metrics.text(replace(ENDED, images=(hostile,))))["imagebuild_nightly_image_success"]) == 1


def test_names_of_metrics_end_in_their_units() -> None:
    for family in text_string_to_metric_families(metrics.text(ENDED)):
        assert family.documentation
        assert family.type == "gauge"
        assert not any(word in family.name for word in ("_ms", "_minutes", "_mib", "_percent", "_total"))
        if "timestamp" in family.name or "duration" in family.name:
            assert family.name.endswith("_seconds")


@pytest.mark.parametrize(("codes", "expected"), [((), 0), ((1,), 1), ((3,), 3), ((3, 3), 3), ((3, 1), 1), ((2,), 1)])
def test_exit_codes(codes: tuple[int, ...], expected: int) -> None:
    failed = [NightlyStage(stage="x", status="failed", exit_code=code) for code in codes]
    passed = NightlyStage(stage="y", status="passed")
    images = [NightlyImageResult(image=f"i{number}", stages=(one, passed)) for number, one in enumerate(failed)]
    assert exit_code(images, ()) == exit_code((), failed) == expected


def hooked(site: NightlySite, **commands: str) -> NightlyEnded:
    """A run with these hooks."""
    site.write("alpha", more=f"  hooks: {json.dumps(commands)}\n")
    return site.run()


def test_the_last_line_names_what_failed_for_the_whole_run() -> None:
    page = NightlyStage(stage="page", status="failed", message="no space left")
    well = replace(ENDED, failed=(), images=(), stages=(page,), changed=())
    assert list(summary(well))[-1].endswith(": no new good version, no image failed; page failed")
    assert list(summary(replace(well, stages=())))[-1].endswith(", no image failed")


def test_hooks_run_by_outcome(site: NightlySite) -> None:
    commands = {name: f"cat >{name}.json" for name in ("success", "failure", "changed", "always")}

    def ran() -> list[str]:
        found = [name for name in commands if (site.folder / f"{name}.json").exists()]
        for name in found:
            data = json.loads((site.folder / f"{name}.json").read_text())
            Draft202012Validator(schema()).validate(data)
            (site.folder / f"{name}.json").unlink()
        return found

    assert hooked(site, **commands).exit_code == 0
    assert ran() == ["success", "changed", "always"]
    site.run()
    assert ran() == ["success", "always"]
    site.change("alpha", "2")
    site.broken.add("alpha")
    site.run()
    assert ran() == ["failure", "always"]


def test_a_hook_that_fails_is_a_failure(site: NightlySite) -> None:
    ended = hooked(site, success="echo no route to host; exit 7", always="cat >ran.json")
    assert (ended.exit_code, ended.outcome) == (1, "failure")
    (stage,) = [one for one in ended.stages if one.status == "failed"]
    assert stage.stage == "hook success"
    assert "exit status 7: no route to host" in stage.message
    assert (site.folder / "ran.json").exists()
    assert json.loads((site.folder / "reports/nightly.json").read_text())["exit_code"] == 1
    assert families((site.folder / "images.prom").read_text())["imagebuild_nightly_success"] == {(): 0.0}


def test_a_hook_that_hangs_is_ended(tmp_path: Path) -> None:
    patient = NightlyHooks(always="sleep 600").model_copy(update={"timeout": 0.2})
    (stage,) = hooks.run(patient, ENDED, tmp_path, SILENT_REPORTER)
    assert (stage.status, "did not end within" in stage.message) == ("failed", True)


def test_a_hook_that_does_not_read_is_no_failure(site: NightlySite) -> None:
    assert hooked(site, always="true").exit_code == 0


@contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook's address, and the JSON that it has received. The path /refuse answers with 403."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append({"type": self.headers["Content-Type"], **json.loads(body)})
            self.send_response(403 if self.path == "/refuse" else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()


def test_the_webhook_of_the_documentation(site: NightlySite) -> None:
    with receiver() as (address, received):
        (site.folder / "webhook.curl").write_text(f'url = "{address}/hook"\n')
        site.broken.add("alpha")
        command = f"{EXAMPLES}/webhook.sh webhook.curl"
        assert hooked(site, failure=command).stages[-1].status == "passed"
        (got,) = received
        assert got["type"] == "application/json"
        assert got["text"].splitlines() == ["images: failure", "alpha: build failed: the mirror is gone"]
        (site.folder / "webhook.curl").write_text(f'url = "{address}/refuse"\n')
        stage = site.run().stages[-1]
        assert (stage.status, "403" in stage.message) == ("failed", True)


def test_the_mail_of_the_documentation(site: NightlySite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sendmail = tmp_path / "bin" / "sendmail"
    sendmail.parent.mkdir()
    sendmail.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/words\ncat >{tmp_path}/mail\n')
    sendmail.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sendmail.parent}:{os.environ['PATH']}")
    ended = hooked(site, changed=f"{EXAMPLES}/mail.py ops@example.org team@example.org")
    assert ended.exit_code == 0, ended.stages
    assert (tmp_path / "words").read_text() == "-t -oi\n"
    mail = message_from_bytes((tmp_path / "mail").read_bytes(), policy=policy.default)
    assert (mail["To"], mail["Subject"]) == ("ops@example.org, team@example.org", "images: success")
    body = mail.get_body()
    assert body is not None
    assert "alpha: new version 2026-11-29.1" in body.get_content()
    (attached,) = mail.iter_attachments()
    Draft202012Validator(schema()).validate(json.loads(attached.get_content()))


def test_a_changed_address_is_another_place(site: NightlySite) -> None:
    site.write("alpha")
    site.run()
    (site.folder / "t3").mkdir()
    rewrite(site, "t2: {url: t2}", "t2: {url: t3}")
    assert [one.status for one in site.run().images[0].targets] == ["unchanged", "switched"]
