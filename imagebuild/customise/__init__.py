"""Changes a guest's disk offline: one launch of libguestfs's appliance, many small operations."""

from imagebuild.customise.files import Change
from imagebuild.customise.operation import OperationCall
from imagebuild.customise.process import again_if_stuck, run
from imagebuild.customise.result import RESULT, RESULTS, CustomiseResult, OperationResult
from imagebuild.customise.runner import ordered

__all__ = [
    "RESULT",
    "RESULTS",
    "Change",
    "CustomiseResult",
    "OperationCall",
    "OperationResult",
    "again_if_stuck",
    "ordered",
    "run",
]
