"""Kickstarts: rendered from a template, and checked before anything boots."""

from imagebuild.schema import light_pykickstart  # noqa: F401 - before any module here imports pykickstart
