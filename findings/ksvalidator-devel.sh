#!/bin/bash
# ksvalidator lists the syntax version DEVEL, and refuses it.
#
# Needs Python 3.11 or newer with venv, and an index of Python packages that pip is configured with.
set -eu

packages=("pykickstart==3.78")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work # ksvalidator leaves a copy of each kickstart there
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"

echo "${packages[*]}"
cat <<'END'
ksvalidator --listversions prints the versions that --version takes; DEVEL, the newest syntax, is the first of them. Given
with --version, it "is not supported". Without --version, the same syntax is used and the file is valid, and so it is with
F46, another name of the same number. The handler's module is looked for under the word that was given: there is none
called devel.
END

echo 'rootpw --lock' >"$work/a.ks"
cd "$work"
listed=$(venv/bin/python venv/bin/ksvalidator --listversions | grep -cx DEVEL)
status=0
said=$(venv/bin/python venv/bin/ksvalidator --version DEVEL a.ks 2>&1) || status=$?
default=0
venv/bin/python venv/bin/ksvalidator a.ks >/dev/null 2>&1 || default=$?
same=0
venv/bin/python venv/bin/ksvalidator --version F46 a.ks >/dev/null 2>&1 || same=$?
echo "listed: $listed; --version DEVEL: exit status $status, $(echo "$said" | tail -n 1)"
echo "--version F46: exit status $same; without: exit status $default"
[ "$listed $status $same $default" = "1 1 0 0" ] || { echo "The behaviour has changed." >&2; exit 1; }
