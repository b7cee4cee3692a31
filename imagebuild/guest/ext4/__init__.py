"""Reads an ext4 file system without mounting it, from its blocks: the files, what they contain, and
their attributes.

Everything is Python and only reads, so that a damaged or malicious file system can cause wrong
results or an error, and nothing else. The layout is that of the kernel's documentation
(Documentation/filesystems/ext4). Whatever is not known here is an UnsupportedExt4Error: the caller then
has the kernel of the appliance read it.
"""
