"""The rules for kickstarts, one file each, discovered by file name: see
``imagebuild.kickstart.rule``.
"""
