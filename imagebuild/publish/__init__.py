"""Publishing: finished artifacts become versions of a template on hosts and in storage."""
