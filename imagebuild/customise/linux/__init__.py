"""Formats and tools of Linux guests that operations use: boot files, packages, units, accounts."""
