#!/bin/sh
# Builds the site of docs/ in build/site, from the documents alone: the network is needed only the first time, and when
# docs/site/requirements.lock has changed. A broken link, in a document or to a heading, is an error.
#
#   scripts/docs.sh [FOLDER]   build into FOLDER instead of build/site
#
# Exit status: 0 done, 1 failed, 2 wrong usage.
set -eu

export LC_ALL=C.UTF-8
[ $# -le 1 ] || {
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
cd "$(dirname "$0")/.."
target=${1-build/site}
tools=build/docs-tools
lock=docs/site/requirements.lock

if ! cmp -s "$lock" "$tools/installed.lock"; then
    echo "docs: installing Sphinx, its theme and MyST into $tools"
    rm -rf "$tools"
    /usr/bin/python3 -m venv "$tools"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$lock"
    cp "$lock" "$tools/installed.lock"
fi
rm -rf "$target"
"$tools/bin/python" -m sphinx -b html -W --keep-going --quiet -d build/docs-doctrees -c docs/site . "$target"
echo "docs: $target/index.html"
