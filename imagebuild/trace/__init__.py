"""A trace of a build: when each step and each program ran, and what they used.

The file is in the Trace Event Format of Chrome, which https://ui.perfetto.dev and chrome://tracing show.
"""

from imagebuild.trace.tracing import TracedReporter, traced

__all__ = ["TracedReporter", "traced"]
