"""Licences of Debian, rpm and apk as SPDX expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_expression import get_spdx_licensing

from imagebuild.sbom import licences

LICENSING = get_spdx_licensing()


@pytest.mark.parametrize(
    ("named", "expression"),
    [
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("Apache-2", "Apache-2.0"),
        ("Apache-2.0.0", "Apache-2.0"),
        ("GPL", "LicenseRef-GPL"),
        ("public-domain", "LicenseRef-public-domain"),
        ("OPL-1", "LicenseRef-OPL-1"),
        ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0"),
        ("GPL-2+ or AFL-2.1, and Expat", "(GPL-2.0-or-later OR AFL-2.1) AND MIT"),
        ("GPL-2+ or AFL-2.1 and Expat", "GPL-2.0-or-later OR AFL-2.1 AND MIT"),
        ("GPL-3+ with Bison exception", "GPL-3.0-or-later WITH Bison-exception-2.2"),
        ("GPL-2 with Linux-syscall-note exception OR ISC", "GPL-2.0-only WITH Linux-syscall-note OR ISC"),
        ("(GPLv2+ or LGPLv3+) and BSD with advertising and ASL 2.0",
         "(GPL-2.0-or-later OR LGPL-3.0-or-later) AND BSD-4-Clause AND Apache-2.0"),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("MIT BSD-3-Clause", "MIT AND BSD-3-Clause"),
    ],
)  # fmt: skip
def test_names(named: str, expression: str) -> None:
    assert licences.expression([named]) == expression


def test_several_licences_are_joined() -> None:
    assert licences.expression(["ISC or Expat", "GPL-2+", "Expat"]) == "GPL-2.0-or-later AND (ISC OR MIT) AND MIT"
    assert licences.expression([]) == licences.expression([" "]) == ""


def test_two_names_never_share_a_reference() -> None:
    names = ["a b", "a-b", "a/b", "a+b", "-a-b", "a" * 80, "a" * 81]
    assert len({licences.reference(one) for one in names}) == len(names)


@given(st.lists(st.text(max_size=60), max_size=5))
def test_every_text_gives_an_expression_that_others_read(names: list[str]) -> None:
    found = licences.expression(names)
    if found:
        errors = LICENSING.validate(found).errors
        assert not [one for one in errors if "Unknown license key" not in one]
        assert found.isascii()


def test_deep_brackets_end() -> None:
    assert licences.expression(["(" * 5000 + "MIT" + ")" * 5000]).startswith("LicenseRef-")
