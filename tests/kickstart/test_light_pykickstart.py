"""pykickstart is imported without the code that fetches kickstarts by URL; no other module gets the
placeholder.
"""

from __future__ import annotations

import sys

from imagebuild.host.process import run

CODE = """
import imagebuild.kickstart.parse, sys
from pykickstart import load
try:
    load.load_to_str("http://192.0.2.1/ks.cfg")
except Exception as error:
    print(type(error).__name__, "requests" in sys.modules, "urllib3" in sys.modules)
import requests
print(hasattr(requests, "Session"))
"""


def test_nothing_is_fetched_and_requests_is_unchanged() -> None:
    assert run([sys.executable, "-c", CODE], timeout=60).stdout == "KickstartError False False\nTrue"
