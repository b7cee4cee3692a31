"""A new project: recipes, a folder for templates, the project's file, the schemas for editors, a CI
job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal

from imagebuild.errors import UsageError
from imagebuild.files import write_atomically
from imagebuild.project import schema as project_schema
from imagebuild.project.file import FILE
from imagebuild.recipe import schema

Ci = Literal["github", "gitlab", "jenkins", "woodpecker", "forgejo", "systemd", "cron", "none"]
SCHEMA = ".imagebuild/recipe.schema.json"
PROJECT_SCHEMA = ".imagebuild/project.schema.json"
CI = {
    "github": ".github/workflows/images.yml",
    "gitlab": ".gitlab-ci.yml",
    "jenkins": "Jenkinsfile",
    "woodpecker": ".woodpecker/images.yml",
    "forgejo": ".forgejo/workflows/images.yml",
}
"""For each CI system, the path of its file in a project."""
SCHEDULES = {
    "systemd": {
        "systemd/imagebuild-nightly.service": "nightly.service",
        "systemd/imagebuild-nightly.timer": "nightly.timer",
    },
    "cron": {"cron/imagebuild-nightly": "nightly.cron"},
}
"""For what runs commands by the clock: the paths of its files in a project, and their sources."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def contents(
    name: str, base: str, ci: Ci, axes: Mapping[str, object] | None = None, *, cloud_init: bool = False
) -> Mapping[str, str]:
    """The files of a new project, by path. Its first recipe is ``name``, which extends the recipe
    ``base``.

    ``axes`` select one of the images of a ``base`` with a matrix. Without ``cloud_init``, the recipe
    says how to log in.
    """
    sources = {
        f"recipes/{name}.yaml": "recipe.yaml",
        "kickstart/README.md": "kickstart.md",
        "README.md": "README.md",
        FILE: "imagebuild.yaml",
        ".gitignore": "gitignore",
    }
    if ci in SCHEDULES:
        sources |= SCHEDULES[ci]
    elif ci != "none":
        sources[CI[ci]] = "Jenkinsfile" if ci == "jenkins" else f"{ci}.yml"
    skeleton = resources.files("imagebuild.skeleton")
    login = (skeleton / ("login-cloud-init.yaml" if cloud_init else "login.yaml")).read_text(encoding="utf-8")
    values = {"@LOGIN@\n": login, "@NAME@": name, "@BASE@": base}
    written = {
        path: _filled((skeleton / source).read_text(encoding="utf-8"), values) for path, source in sources.items()
    }
    if axes:
        lines = [f"  {axis}: [{json.dumps(value)}]" for axis, value in axes.items()]
        written[f"recipes/{name}.yaml"] += "\n".join(
            ["", f"matrix:       # one of the images of {base}.yaml", *lines, ""]
        )
    return {**written, SCHEMA: schema.text(), PROJECT_SCHEMA: project_schema.text()}


def _filled(text: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def create(
    folder: Path,
    name: str,
    base: str,
    ci: Ci,
    axes: Mapping[str, object] | None = None,
    *,
    cloud_init: bool = False,
) -> list[Path]:
    """Write a new project to ``folder`` and return its files.

    Raises UsageError, before anything is written, if one of the files exists.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid image name",
            "use --name with letters, digits, '.', '_' and '-'",
        )
    files = {folder / path: text for path, text in contents(name, base, ci, axes, cloud_init=cloud_init).items()}
    there = [str(path) for path in files if path.exists() or path.is_symlink()]
    if there:
        raise UsageError(f"already exists: {', '.join(there)}", "choose another folder, or remove them")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    return list(files)
