"""Files for the installer's VM besides the agent: first programs, placeholder of ``requests``."""
