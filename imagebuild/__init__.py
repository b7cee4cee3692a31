"""imagebuild: golden images for KVM, from a recipe to a compressed qcow2.

The names in ``__all__`` are the public interface (see docs/library.md); everything else in this
package is private, and may change in any version.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not typing's: importing that is slower than all the rest of this file
if TYPE_CHECKING:
    from typing import Any

    from imagebuild.api import (
        Artifact,
        AuditFinding,
        CustomiseResult,
        HostError,
        ImageBuildError,
        OperationCall,
        Outlook,
        Problem,
        Progress,
        Recipe,
        RecipeError,
        Reporter,
        Settings,
        UsageError,
        audit_image,
        build_image,
        load_recipes,
        operation,
        plan_image,
        scrub_image,
        settings,
    )

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "AuditFinding",
    "CustomiseResult",
    "HostError",
    "ImageBuildError",
    "OperationCall",
    "Outlook",
    "Problem",
    "Progress",
    "Recipe",
    "RecipeError",
    "Reporter",
    "Settings",
    "UsageError",
    "__version__",
    "audit_image",
    "build_image",
    "load_recipes",
    "operation",
    "plan_image",
    "scrub_image",
    "settings",
]


def __getattr__(name: str) -> Any:
    """Import the public interface on first use: the command line imports only what it needs."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
