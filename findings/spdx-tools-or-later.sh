#!/bin/bash
# spdx-tools refuses the operator + of licence expressions after all licences but a few.
#
# Needs Python 3.11 or newer with venv, and an index of Python packages that pip is configured with.
set -eu

packages=("spdx-tools==0.8.5" "license-expression==30.4.4")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"

echo "${packages[*]}"
cat <<'END'
In SPDX's licence expressions (specification 2.3, annex D.3) a + after a licence's identifier means "this version or any
later version". spdx-tools reads it only where SPDX's list still has an identifier with a + of its own, all of which are
deprecated, such as GPL-2.0+. After other licences, which have no other way to say this, it is an unknown licence.
END

"$work/venv/bin/python" - <<'END'
import sys
from spdx_tools.common.spdx_licensing import spdx_licensing

expected = {"GPL-2.0+": True, "Apache-2.0": True, "Apache-2.0+": False, "MPL-2.0+": False, "EPL-1.0+": False}
seen = {}
for text in expected:
    errors = spdx_licensing.validate(text).errors
    seen[text] = not errors
    print(f"{text}: {'; '.join(errors) or 'valid'}")
if seen != expected:
    sys.exit("The behaviour has changed.")
END
