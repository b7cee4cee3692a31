"""The rules for kickstarts, one file each, found by its name: see ``imagebuild.kickstart.rule``."""
