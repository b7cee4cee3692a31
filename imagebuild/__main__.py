"""``python -m imagebuild`` is the command ``imagebuild``."""

from imagebuild.cli.main import main

main()
