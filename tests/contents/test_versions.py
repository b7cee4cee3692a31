"""The order of versions: dpkg's own answers, and the examples of rpm's manual and test suite."""

from __future__ import annotations

import subprocess
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.contents.versions import compare, compare_dpkg, compare_rpm

DPKG = (
    "1.0", "1.0-1", "1.0-1.1", "1.0~rc1-1", "1.0~~", "1.0~", "1:0.9", "0:1.0", "1.0+b1", "1.0a", "1.0.a", "1.01",
    "1.00", "1.10", "1.9", "2:9.1.1230-2", "1.0-1~bpo12+1", "1.0-1+deb12u1", "1.0-1+deb12u10", "1.0-0", "0", "0~", "a",
    "1.0-a-1", "10000000000000000000000000000", "1.0+dfsg-1", "1.0+dfsg1-1", "1.0-1build1", "20240101git1",
)  # fmt: skip


def dpkg(a: str, b: str) -> int:
    """What dpkg says; versions are given as they are, so a strange one is compared, too."""
    for relation, sign in (("lt", -1), ("gt", 1)):
        argv = ["dpkg", "--compare-versions", a, relation, b]
        if subprocess.run(argv, check=False, capture_output=True).returncode == 0:
            return sign
    return 0


@pytest.mark.seconds
def test_every_pair_is_ordered_as_dpkg_does() -> None:
    wrong = [(a, b) for a, b in product(DPKG, repeat=2) if a < b and compare_dpkg(a, b) != dpkg(a, b)]
    assert wrong == []


@pytest.mark.seconds
@given(a=st.from_regex(r"([0-3]:)?[0-9][0-9a-c.+~]{0,6}(-[0-9a-b.+~]{1,4})?", fullmatch=True),
       b=st.from_regex(r"([0-3]:)?[0-9][0-9a-c.+~]{0,6}(-[0-9a-b.+~]{1,4})?", fullmatch=True))  # fmt: skip
def test_any_pair_is_ordered_as_dpkg_does(a: str, b: str) -> None:
    assert compare_dpkg(a, b) == dpkg(a, b)


@pytest.mark.parametrize(
    ("a", "sign", "b"),
    [
        ("1.0", "=", "1.0"), ("1.0", "<", "2.0"), ("2.0.1", "=", "2.0.1"), ("2.0", "<", "2.0.1"),
        ("2.0.1a", ">", "2.0.1"),
        ("5.5p1", "<", "5.5p2"), ("5.5p10", ">", "5.5p1"), ("10xyz", "<", "10.1xyz"), ("xyz10", "<", "xyz10.1"),
        ("xyz.4", "<", "8"), ("xyz.4", "<", "2"), ("5.5p2", "<", "5.6p1"), ("6.0.rc1", ">", "6.0"),
        ("10b2", ">", "10a1"),
        ("1.0aa", ">", "1.0a"), ("10.0001", "=", "10.1"), ("10.0001", "<", "10.0039"), ("4.999.9", "<", "5.0"),
        ("20101121", "<", "20101122"), ("2_0", "=", "2.0"), ("a", "=", "a"), ("a+", "=", "a_"), ("+", "=", "_"),
        ("1.0~rc1", "<", "1.0"), ("1.0~rc1", "<", "1.0~rc2"), ("1.0~rc1~git123", "<", "1.0~rc1"),
        ("1.0^", ">", "1.0"), ("1.0^git1", ">", "1.0"), ("1.0^git1", "<", "1.0^git2"), ("1.0^git1", "<", "1.01"),
        ("1.0^20160101", "<", "1.0.1"), ("1.0^20160101^git1", ">", "1.0^20160101"), ("1.0~rc1^git1", ">", "1.0~rc1"),
        ("1.0^git1~pre", "<", "1.0^git1"), ("1:1.0", ">", "2.0"), ("0:1.0-1.el9", "=", "1.0-1.el9"),
        ("1.0-1.el9", "<", "1.0-2.el9"), ("1.0-1.el9", "<", "1.0-1.el9_1"), ("1.0", "=", "1.0-5"),
    ],
)  # fmt: skip
def test_rpm(a: str, sign: str, b: str) -> None:
    expected = {"<": -1, "=": 0, ">": 1}[sign]
    assert compare_rpm(a, b) == expected
    assert compare_rpm(b, a) == -expected


def test_apk_orders_pre_releases_before_the_release() -> None:
    ordered = ["1.2_alpha1-r0", "1.2_beta1-r0", "1.2_rc1-r0", "1.2-r0", "1.2-r1", "1.2_p1-r0", "1.10-r0"]
    assert all(compare("apk", a, b) < 0 for a, b in pairwise(ordered))


def test_absurdly_long_numbers_are_compared_and_not_converted() -> None:
    assert compare("dpkg", "9" * 100_000, "9" * 99_999) > 0
    assert compare("rpm", "9" * 100_000, "9" * 99_999 + "8") > 0
