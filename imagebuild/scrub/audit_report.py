"""What an audit reports: the findings of the operations and of the audit's own searches, by kind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from imagebuild.customise import registry
from imagebuild.customise.audit import KINDS
from imagebuild.events import AuditFinding
from imagebuild.schema.customised import CustomiseResult, OperationResult


def report(result: CustomiseResult, ignore: Collection[str] = ()) -> tuple[AuditFinding, ...]:
    """The findings in the result of an audit, without those of operations and kinds of search in
    ``ignore``. What could not be checked is a finding too.
    """
    return tuple(
        AuditFinding(kind=_kind(one), operation=one.name, path=change.path, what=change.what)
        for one in result.operations
        for change in (*one.changes, *(replace(left, what=f"not checked: {left.what}") for left in one.failed))
        if one.name not in ignore
    )


def _kind(result: OperationResult) -> str:
    return KINDS.get(result.name) or registry.get(result.name).carries
