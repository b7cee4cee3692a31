"""The installer that runs inside the VM: reads a kickstart, performs the installation, powers off.

This package is copied into the install runtime and run there as ``python3 -m agent KS.CFG``
(Python 3.11 to 3.13, only the standard library and pykickstart). On the host only ``supported`` is
used, to refuse a kickstart before anything boots. Values are NamedTuples, not dataclasses, because
importing ``dataclasses`` alone takes a third of a second under emulation.
"""
