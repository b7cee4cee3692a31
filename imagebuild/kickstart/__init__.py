"""The kickstart: rendered from a template, and checked before anything boots."""
