"""Artifacts as static HTML: images and their versions, for people with a browser."""
