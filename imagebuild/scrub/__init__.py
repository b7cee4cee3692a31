"""Scrubbing, auditing and listing the guest on existing images."""

from imagebuild.scrub.contents import inventories
from imagebuild.scrub.images import ImageToScrub, recognised
from imagebuild.scrub.scrubbing import Way, audit, scrub

__all__ = ["ImageToScrub", "Way", "audit", "inventories", "recognised", "scrub"]
