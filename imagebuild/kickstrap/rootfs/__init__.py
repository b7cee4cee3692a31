"""Files for the installer's VM in addition to the agent: the first programs, and a placeholder for
``requests``.
"""
