"""Makes the workers of tests run ``fake_build.py`` instead of a build: Python imports this module at its start."""

import os
import sys
from pathlib import Path

if "IMAGEBUILD_FAKES" in os.environ and "imagebuild" not in sys.modules:
    sys.path.insert(0, os.environ["IMAGEBUILD_FAKES_CODE"])
    from imagebuild.build import scheduler

    scheduler.PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_build.py")))
    if code := os.environ.get("IMAGEBUILD_FAKES_OTHER_CODE"):
        from imagebuild.farm import software

        software._code = lambda: code
    if version := os.environ.get("IMAGEBUILD_FAKES_OTHER_VERSION"):
        import imagebuild

        imagebuild.__version__ = version
