"""Scrubbing and auditing a guest on images that exist."""

from imagebuild.scrub.images import ImageToScrub, recognised
from imagebuild.scrub.scrubbing import Way, audit, scrub

__all__ = ["ImageToScrub", "Way", "audit", "recognised", "scrub"]
