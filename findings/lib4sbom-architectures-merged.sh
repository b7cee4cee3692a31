#!/bin/bash
# lib4sbom keeps one package for each name and version: of two architectures, one is lost.
#
# Needs Python 3.11 or newer with venv, and an index of Python packages that pip is configured with.
set -eu

packages=("lib4sbom==0.10.4")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"

echo "${packages[*]}"
cat <<'END'
A system with several architectures (dpkg's multiarch) has one library twice: libc6 for amd64 and for i386, in the same
version, with two package URLs and two identifiers. lib4sbom reads both components of a CycloneDX document into one
package, which has the package URL of the last one.
END

cat >"$work/image.cdx.json" <<'END'
{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
 "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
 "metadata": {"timestamp": "2026-01-01T00:00:00Z",
              "component": {"type": "operating-system", "name": "image", "bom-ref": "image"}},
 "components": [
  {"type": "library", "name": "libc6", "version": "2.41-12",
   "bom-ref": "pkg:deb/debian/libc6@2.41-12?arch=amd64", "purl": "pkg:deb/debian/libc6@2.41-12?arch=amd64"},
  {"type": "library", "name": "libc6", "version": "2.41-12",
   "bom-ref": "pkg:deb/debian/libc6@2.41-12?arch=i386", "purl": "pkg:deb/debian/libc6@2.41-12?arch=i386"}]}
END
cd "$work"
venv/bin/python - <<'END'
import sys
from lib4sbom.parser import SBOMParser

parser = SBOMParser()
parser.parse_file("image.cdx.json")
found = [reference[2] for package in parser.get_packages() for reference in package["externalreference"]]
print(f"2 components, {len(parser.get_packages())} package read: {', '.join(found)}")
if found != ["pkg:deb/debian/libc6@2.41-12?arch=i386"]:
    sys.exit("The behaviour has changed.")
END
