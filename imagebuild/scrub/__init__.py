"""Scrubbing and auditing a guest on images that exist."""

from imagebuild.scrub.images import Image, recognised
from imagebuild.scrub.scrubbing import Way, audit, scrub

__all__ = ["Image", "Way", "audit", "recognised", "scrub"]
