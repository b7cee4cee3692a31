"""Foreign kickstarts: any file produces a result or findings, in bounded time, and no other file is
read.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from corpus import VERSIONS, kickstarts
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebuild.errors import UsageError
from imagebuild.kickstart import divide, external, parse, syntax_version
from imagebuild.kickstart.check import CheckReport
from imagebuild.kickstart.handler import handler_class

CORPUS = list(kickstarts(seed=3, number=400))
GROUPS = [CORPUS[at : at + 20] for at in range(0, len(CORPUS), 20)]


def findings(content: bytes, syntax: str | None = None) -> CheckReport:
    report = external.read(io.BytesIO(content), "x.ks", syntax)
    assert (report.parsed is None) == bool(report.errors)
    for problem in report.findings:
        assert problem.rule
        assert problem.message
        assert "\n" not in problem.message
        assert problem.line is None or 1 <= problem.line <= len(content) + 1
    return report


@pytest.mark.seconds
@pytest.mark.timeout(120)  # for twenty files, on a busy machine
@pytest.mark.parametrize("group", GROUPS, ids=[group[0][0] for group in GROUPS])
def test_each_file_of_the_corpus_produces_a_result_or_findings(group: list[tuple[str, str, bytes]]) -> None:
    for _, version, content in group:
        findings(content, version)


def test_the_corpus_has_valid_and_invalid_files() -> None:
    read = [
        not any(p.rule == "syntax" for p in findings(content, version).findings) for _, version, content in CORPUS[:80]
    ]
    assert 5 < sum(read) < 75


@contextmanager
def whole(version: str) -> Iterator[Any]:
    """pykickstart's own handler, with all its commands."""
    yield handler_class(version)()


@pytest.mark.seconds
def test_the_quick_handler_reports_what_pykickstarts_own_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [(version, content.decode()) for _, version, content in CORPUS[:70] if _is_text(content)]
    quick = [parse.parse(text, version) for version, text in texts]
    monkeypatch.setattr(parse.handlers, "reading", whole)
    slow = [parse.parse(text, version) for version, text in texts]
    assert [(one.wrong, one.deprecated, one.repeated) for one in quick] == [
        (one.wrong, one.deprecated, one.repeated) for one in slow
    ]
    assert any(one.wrong for one in slow)


def _is_text(content: bytes) -> bool:
    try:
        return len(content.decode()) < 20_000
    except UnicodeDecodeError:
        return False


@pytest.mark.seconds
@settings(max_examples=settings.default.max_examples * 3)
@given(st.sampled_from(CORPUS), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), max_size=4))
def test_mutations(one: tuple[str, str, bytes], changes: list[tuple[float, bytes]]) -> None:
    _, version, content = one
    content = content[:2000]
    for where, what in changes:
        at = int(where * len(content))
        content = content[:at] + what + content[at + len(what) // 2 :]
    findings(content, version)


BOMBS = {
    "commands": b"user --name=a\n" * 19_000,
    "unknown": b"lnag\n" * 900,
    "refused": b"user --name=a --x\n" * 900,
    "users": b"".join(b"user --name=u%d\n" % at for at in range(990)),
    "lines": b"\x0b" * 400_000,
    "line": b"lang '" + b"x" * 400_000,
    "sections": b"%post\n" * 6_000,
    "globs": b"%packages\n" + b"".join(b"a%d\n-b*%d\n" % (at, at) for at in range(9_000)) + b"%end\n",
    "size": b"lang C\n" * 1_000_000,
    "nul": b"lang C\n\0\n",
    "suppressions": b"# imagebuild: ignore swap: x\n" * 15_000,
    "multibyte": "é".encode() * (divide.MAX_BYTES // 2 + 1),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str) -> None:
    report = findings(BOMBS[name])
    assert 0 < len(report.findings) <= 300


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_parses(version: str) -> None:
    assert not any(p.rule == "syntax" for p in findings(b"lang en_US\npart / --size=1\n", version).findings)


def test_nothing_that_is_included_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.ks"
    secret.write_text("lnag sesame\n")
    text = f"%include {secret}\n%ksappend {secret}\n%include http://mirror.example/x\n"
    assert [(p.rule, p.line) for p in findings(text.encode()).findings] == [
        ("fragment", None),
        ("included-file", 1),
        ("included-file", 2),
        ("http-without-checksum", 3),
        ("included-file", 3),
    ]


def test_a_missing_or_special_file_is_a_finding(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ks")
    for name, message in {"pipe.ks": "not a regular file", "absent.ks": "no such file"}.items():
        (problem,) = external.read_file(tmp_path / name).findings
        assert problem.message == message


def test_bytes_that_are_not_text_are_reported_at_their_line() -> None:
    (problem,) = findings(b"lang C\nlang \xff\n").findings
    assert str(problem) == "x.ks:2: the byte 0xFF is not UTF-8: this is not text, or it is in another encoding"


def test_a_byte_order_mark_and_the_files_own_version() -> None:
    assert not any(p.rule == "syntax" for p in findings("\ufefflang C\n".encode()).findings)
    old = b"#version=RHEL7\nauth --enableshadow\nurl --url=https://m.example --metalink=x\n"
    assert any("metalink" in p.message for p in findings(old).errors)


def test_a_syntax_in_any_case() -> None:
    assert syntax_version.chosen("rhel9") == "RHEL9"
    with pytest.raises(UsageError, match="RHEL99"):
        syntax_version.chosen("RHEL99")
