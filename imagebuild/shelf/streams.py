"""A simplestreams tree, as python-simplestreams and the tools that use it read and mirror it.

    streams/v1/index.json                names the file of products
    streams/v1/imagebuild:images.json    templates with their versions and files

Paths are relative to the folder that contains ``streams``. Versions are compared as strings, so the
counter in them has leading zeros. The signed variants end with .sjson, and a signed index names the
signed file of products. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from imagebuild.printable import one_line
from imagebuild.shelf.record import ShelfRecord, ShelvedFile, ShelvedTemplate, ShelvedVersion

CONTENT_ID = "imagebuild:images"
INDEX = "streams/v1/index.json"
PRODUCTS = f"streams/v1/{CONTENT_ID}.json"
_DATA_TYPE = "image-downloads"


def signed(path: str) -> str:
    """The path of the signed variant of a file."""
    return path.removesuffix(".json") + ".sjson"


def index(record: ShelfRecord, products: str = PRODUCTS) -> str:
    """The index; ``products`` is the path of the file that it names."""
    entry = {
        "datatype": _DATA_TYPE,
        "format": "products:1.0",
        "path": products,
        "products": sorted(_products(record)),
        "updated": _updated(record),
    }
    return _text({"format": "index:1.0", "index": {CONTENT_ID: entry}, "updated": _updated(record)})


def products(record: ShelfRecord, images: str) -> str:
    """The file of products; ``images`` is the path of the folder of images."""
    named = {
        name: {**_system(template.current), "versions": {one.serial: _version(template, one, images)
                                                        for one in template.versions}}
        for name, template in _products(record).items()
    }  # fmt: skip
    content = {"content_id": CONTENT_ID, "datatype": _DATA_TYPE, "format": "products:1.0", "products": named}
    return _text({**content, "updated": _updated(record)})


def _products(record: ShelfRecord) -> Mapping[str, ShelvedTemplate]:
    return {f"imagebuild:{one.name}:{one.current.arch}": one for one in record.templates}


def _system(version: ShelvedVersion) -> dict[str, str]:
    known = {
        "arch": version.arch,
        "os": version.system,
        "release": version.codename or version.release,
        "version": version.release,
        "release_title": one_line(version.title),
        "osinfo": version.osinfo,
    }
    return {key: value for key, value in known.items() if value}


def _version(template: ShelvedTemplate, version: ShelvedVersion, images: str) -> dict[str, Any]:
    items = {one.item: _item(one, images) for one in version.files}
    label = {"passed": "verified", "failed": "failed"}.get(version.verdict, "unverified")
    return {"label": label, "pubname": f"{template.name}--{version.version}", "items": items}


def _item(file: ShelvedFile, images: str) -> dict[str, Any]:
    return {
        "ftype": file.item,
        "path": f"{images}/{file.name}",
        "size": file.size,
        "sha256": file.sha256,
        "sha512": file.sha512,
    }


def _updated(record: ShelfRecord) -> str:
    return format_datetime(datetime.fromisoformat(record.changed))


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
