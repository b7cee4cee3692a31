"""Files that go into the installer's VM beside the agent: the first programs, and a stand-in for ``requests``."""
