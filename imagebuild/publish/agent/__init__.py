"""The program that stores and checks published files on a host: a separate program.

Its source is sent over SSH to any Python from 3.6 on, so nothing is installed there. It imports only the
standard library and its own modules, by relative names, and reads requests from its standard input until
that ends (:mod:`.framing` has the format, :mod:`.requests` the requests).
"""
