"""Formats and tools of Linux guests, as operations use them: boot files, packages, units, accounts."""
