#!/bin/sh
# Prepares a release: checks that everything agrees, and builds and tests the sdist and the wheel in dist/.
#
#   scripts/release.sh          check, build, test
#   scripts/release.sh --tag    then create the annotated tag
#   scripts/release.sh --check  only check that version, NEWS.md and tag agree
#
# Nothing is pushed or uploaded. Exit status: 0 done, 1 something does not agree or failed, 2 wrong usage.
set -eu

export LC_ALL=C.UTF-8
case ${1-} in
    '' | --tag | --check) ;;
    *)
        sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
cd "$(dirname "$0")/.."
python=$(pwd -P)/.venv/bin/python

say() { printf 'release: %s\n' "$*"; }

# die MESSAGE HINT
die() {
    printf 'release: error: %s\nrelease: hint: %s\n' "$1" "$2" >&2
    exit 1
}

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' imagebuild/__init__.py)
heading=$(sed -n 's/^## //p' NEWS.md | head -n 1)
case $heading in
    "$version, "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]) ;;
    "$version, not released yet")
        die "NEWS.md says that $version is not released yet" "write the date: ## $version, $(date +%F)" ;;
    *)
        die "the version is $version, and the newest heading of NEWS.md is '$heading'" \
            "change __version__ in imagebuild/__init__.py, or NEWS.md" ;;
esac
if tagged=$(git rev-parse --quiet --verify "refs/tags/v$version^{commit}"); then
    [ "$tagged" = "$(git rev-parse HEAD)" ] ||
        die "the tag v$version exists, on another commit" "raise __version__, with a new heading in NEWS.md"
fi
[ -z "$(git status --porcelain)" ] || die "the work tree is not clean" "commit or remove what git status lists"
say "version $version, NEWS.md and the tag agree"
[ "${1-}" != --check ] || exit 0

"$python" -m pytest -q tests/cli/test_man_page.py tests/test_docs.py tests/test_library.py -m 'not guestfs'
rm -rf dist
"$python" -m build --no-isolation . >build/release.log 2>&1 || die "the packages were not built" "see build/release.log"
"$python" scripts/check_wheel.py "dist/imagebuild-$version-py3-none-any.whl"

# In an environment of its own, with what pip takes from the index.
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
unset PYTHONPATH # the checkout must not stand in for the wheel
/usr/bin/python3 -m venv "$trial/venv"
"$trial/venv/bin/python" -m pip install --quiet --disable-pip-version-check "dist/imagebuild-$version-py3-none-any.whl"
(
    cd "$trial"
    [ "$(venv/bin/imagebuild --version)" = "imagebuild, version $version" ]
    venv/bin/imagebuild list >/dev/null
    venv/bin/imagebuild lint debian-13
) || die "the installed wheel does not work" "install it in an environment of your own, and look"
(cd dist && sha256sum -- *)

[ "${1-}" != --tag ] || [ -n "${tagged-}" ] || git tag -a -m "imagebuild $version" "v$version"
say "ready; now: git push origin HEAD v$version, and upload dist/*"
