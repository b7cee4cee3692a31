"""Case files: the effect of an operation on a guest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from imagebuild.customise import registry
from imagebuild.customise.operation import OperationCall
from imagebuild.recipe import host_inputs
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.schema.document import Mark
from tests.operations.memory import Node, Tree, with_folders

HERE = Path(__file__).parent
_KEYS = {"case", "params", "host", "environment", "before", "after", "changes", "not_done", "reason", "error", "xfs"}


@dataclass(frozen=True)
class Case:
    """One document of a case file."""

    operation: str
    title: str
    before: Tree
    after: Tree
    params: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, str] | None = None
    not_done: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    error: str = ""
    xfs: bool = False
    host: Tree = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def call(self, folder: Path) -> OperationCall:
        """The operation with its parameters; the host's files are put into ``folder``, which is
        empty."""
        for path, node in with_folders(self.host).items():
            place = folder / path.strip("/")
            if node.kind == "dir":
                place.mkdir()
            elif node.kind == "symlink":
                place.symlink_to(node.content.decode())
            else:
                place.write_bytes(node.content)
                place.chmod(node.mode)
        mark = Mark(str(folder / "recipe.yaml"), 1, 1)
        call = registry.call(self.operation, self.params)
        with_paths = host_inputs.with_paths(call, lambda _: mark)
        return host_inputs.with_secrets(with_paths, lambda _: mark, RealSecrets(self.environment))

    def __str__(self) -> str:
        return f"{self.operation}: {self.title}"


def load(operation: str) -> list[Case]:
    """All cases of an operation."""
    path = HERE / f"{operation}.yaml"
    return [_case(operation, document) for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def operations_with_cases() -> set[str]:
    """The names of the case files."""
    return {path.stem for path in HERE.glob("*.yaml")}


def _case(operation: str, document: dict[str, Any]) -> Case:
    assert document.keys() <= _KEYS, f"{operation}: unknown keys {document.keys() - _KEYS}"
    before = with_folders({path.rstrip("/"): _node(path, value) for path, value in (document["before"] or {}).items()})
    for path, node in list(before.items()):
        if node.same and node.same != path:
            one = before[path] = replace(before[node.same], same=node.same)
            before[node.same] = one
    after = dict(before)
    for path, value in (document.get("after") or {}).items():
        name = path.rstrip("/")
        if value is None and not path.endswith("/"):
            assert name in before, f"{operation}: {name} is listed as removed but never existed"
            after = {p: n for p, n in after.items() if p != name and not p.startswith(name + "/")}
        else:
            after = with_folders({name: _node(path, value, before.get(name))}) | after
            after[name] = _node(path, value, before.get(name))
    return Case(
        operation,
        document["case"],
        before,
        after,
        params=document.get("params") or {},
        changes=document.get("changes"),
        not_done=document.get("not_done", {}),
        reason=document.get("reason", ""),
        error=document.get("error", ""),
        xfs=document.get("xfs", False),
        host={f"/{path}": _node(path, value) for path, value in document.get("host", {}).items()},
        environment=document.get("environment", {}),
    )


def _node(path: str, value: Any, before: Node | None = None) -> Node:
    if path.endswith("/"):
        mode, uid, gid = value.get("mode", 0o755) if value else 0o755, *_owner(value or {}, None)
        return Node("dir", mode, b"", uid, gid)
    mode = before.mode if before is not None and before.kind == "file" else 0o644
    if isinstance(value, str):
        text, fill, size = value.partition("{fill:")
        content = text.ljust(int(size.rstrip("}")), "#").encode() if fill else value.encode()
        return Node("file", mode, content, *_owner({}, before))
    if "link" in value:
        return Node("symlink", 0o777, value["link"].encode(), *_owner(value, None))
    if "fifo" in value:
        return Node("other", value.get("mode", 0o644), b"", *_owner(value, None))
    if "same" in value:
        return Node("file", 0o644, same=value["same"])
    content = bytes.fromhex(value["hex"]) if "hex" in value else value.get("text", "").encode()
    return Node("file", value.get("mode", mode), content, *_owner(value, before))


def _owner(value: Mapping[str, Any], before: Node | None) -> tuple[int, int]:
    """``1000:1000`` as two ids; without it those of the previous file, or root's."""
    if "owner" in value:
        uid, gid = str(value["owner"]).split(":")
        return int(uid), int(gid)
    return (before.uid, before.gid) if before is not None else (0, 0)
