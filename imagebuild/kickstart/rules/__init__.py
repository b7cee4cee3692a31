"""The rules for kickstarts, one file each, by file name: see ``imagebuild.kickstart.rule``."""
