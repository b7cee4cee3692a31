#!/bin/sh
# Writes requirements.lock: the versions and digests of everything that `make setup` installs into .venv; and
# docs/site/requirements.lock, those of what `make docs` builds the site with.
#
#   scripts/lock.sh                     update all versions to the newest that pyproject.toml allows
#   scripts/lock.sh --vulnerabilities   check the locked versions with pip-audit; changes nothing
#
# The tools get their own environment below build/. Exit status: 0 done, 1 failed or vulnerable, 2 wrong usage.
set -eu

export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."
tools=build/lock-tools

install_tool() {
    [ -x "$tools/bin/python" ] || /usr/bin/python3 -m venv "$tools"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check "$1"
}

case ${1-} in
    '')
        install_tool 'uv>=0.5'
        # The files name no registry: each host is configured with its own.
        compile() {
            "$tools/bin/uv" pip compile "$@" --universal --python-version 3.11 --generate-hashes --upgrade \
                --no-emit-index-url --no-emit-find-links --no-annotate --quiet --custom-compile-command 'make lock'
        }
        compile pyproject.toml --group dev --output-file requirements.lock
        compile --group docs --output-file docs/site/requirements.lock
        git --no-pager diff --stat -- requirements.lock docs/site/requirements.lock
        ;;
    --vulnerabilities)
        install_tool 'pip-audit>=2.7'
        "$tools/bin/pip-audit" --requirement requirements.lock --requirement docs/site/requirements.lock \
            --require-hashes --disable-pip --progress-spinner off
        ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
