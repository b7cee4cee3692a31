"""The order of package versions, as the package managers themselves define it.

dpkg: deb-version(7). rpm: the algorithm rpmvercmp, documented in rpm's manual ("Version comparison",
docs/man/rpm-version.7). apk: like dpkg, except for its names of pre-releases.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TypeVar

Number = tuple[int, str]
T = TypeVar("T", int, str, Number)
_NOTHING: tuple[str, Number] = ("", (0, ""))
_PRE_RELEASE = re.compile(r"_(alpha|beta|pre|rc)")
_RPM_PARTS = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")


def compare(package_format: str, a: str, b: str) -> int:
    """Negative if ``a`` is older than ``b``, 0 if they are equal in the eyes of this package manager
    (``dpkg``, ``rpm``, ``apk``), and positive if ``a`` is newer."""
    if package_format == "rpm":
        return compare_rpm(a, b)
    if package_format == "apk":
        a, b = (_PRE_RELEASE.sub(r"~\1", one) for one in (a, b))
    return compare_dpkg(a, b)


def compare_dpkg(a: str, b: str) -> int:
    """Compare ``[epoch:]upstream[-revision]``."""
    (epoch_a, rest_a), (epoch_b, rest_b) = _epoch(a), _epoch(b)
    if epoch_a != epoch_b:
        return _sign(epoch_a, epoch_b)
    upstream_a, _, revision_a = rest_a.rpartition("-") if "-" in rest_a else (rest_a, "", "")
    upstream_b, _, revision_b = rest_b.rpartition("-") if "-" in rest_b else (rest_b, "", "")
    return _compare_part(upstream_a, upstream_b) or _compare_part(revision_a, revision_b)


def _compare_part(a: str, b: str) -> int:
    """Compare alternately what is not a digit, by the modified alphabet, and numbers."""
    for (text_a, number_a), (text_b, number_b) in zip_longest(_pairs(a), _pairs(b), fillvalue=_NOTHING):
        # The end of a text comes after a tilde and before everything else.
        for weight_a, weight_b in zip_longest(map(_weight, text_a), map(_weight, text_b), fillvalue=0):
            if weight_a != weight_b:
                return _sign(weight_a, weight_b)
        if number_a != number_b:
            return _sign(number_a, number_b)
    return 0


def _pairs(part: str) -> list[tuple[str, Number]]:
    return [(text, _number(digits)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", part)]


def _weight(char: str) -> int:
    """Where a character sorts: tilde, end, letters, everything else."""
    if char == "~":
        return -1
    return ord(char) if char.isascii() and char.isalpha() else ord(char) + 256


def _epoch(version: str) -> tuple[Number, str]:
    epoch, colon, rest = version.partition(":")
    return (_number(epoch), rest) if colon and re.fullmatch("[0-9]+", epoch) else ((0, ""), version)


def compare_rpm(a: str, b: str) -> int:
    """Compare ``[epoch:]version[-release]``; a missing release equals any."""
    (epoch_a, rest_a), (epoch_b, rest_b) = _epoch(a), _epoch(b)
    if epoch_a != epoch_b:
        return _sign(epoch_a, epoch_b)
    version_a, _, release_a = rest_a.partition("-")
    version_b, _, release_b = rest_b.partition("-")
    found = _rpmvercmp(version_a, version_b)
    return found if found or not release_a or not release_b else _rpmvercmp(release_a, release_b)


def _rpmvercmp(a: str, b: str) -> int:
    """Compare segment by segment; everything except letters, digits, tilde and caret separates
    them."""
    for one, other in zip_longest(_RPM_PARTS.findall(a), _RPM_PARTS.findall(b)):
        if one == other:
            continue
        if "~" in (one, other):  # before the end and everything else
            return -1 if one == "~" else 1
        if "^" in (one, other):  # after the end, before everything else
            return _sign(_caret_rank(one), _caret_rank(other))
        if one is None or other is None:
            return -1 if one is None else 1
        if one.isdigit() != other.isdigit():  # a number is newer than letters
            return 1 if one.isdigit() else -1
        if one.isdigit():
            if (number := _sign(_number(one), _number(other))) != 0:
                return number
        else:
            return _sign(one, other)
    return 0


def _caret_rank(part: str | None) -> int:
    return 0 if part is None else 1 if part == "^" else 2


def _number(digits: str) -> Number:
    """The value of a number of any length, for comparing: int() refuses very long ones."""
    stripped = digits.lstrip("0")
    return len(stripped), stripped


def _sign(a: T, b: T) -> int:
    return (a > b) - (a < b)
