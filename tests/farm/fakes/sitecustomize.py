"""Makes the workers of tests run ``fake_build.py`` instead of a build: Python imports this module at its start."""

import os
import sys
from pathlib import Path

if "IMAGEBUILD_FAKES" in os.environ and "imagebuild" not in sys.modules:
    sys.path.insert(0, os.environ["IMAGEBUILD_FAKES_CODE"])
    from imagebuild.ledger import claims

    if lease := os.environ.get("IMAGEBUILD_FAKES_LEASE"):  # before others have it as a default
        claims.LEASE = float(lease)
    from imagebuild.build import scheduler

    scheduler.PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_build.py")))
    if patience := os.environ.get("IMAGEBUILD_FAKES_PATIENCE"):
        from imagebuild.farm import site

        site.STORE_PATIENCE = float(patience)
    if code := os.environ.get("IMAGEBUILD_FAKES_OTHER_CODE"):
        from imagebuild.farm import software

        software._code = lambda: code
    if version := os.environ.get("IMAGEBUILD_FAKES_OTHER_VERSION"):
        import imagebuild

        imagebuild.__version__ = version
