"""The installer that runs inside the VM: reads a kickstart, carries it out, powers off.

This package is copied into the install runtime and run there as ``python3 -m agent KS.CFG``
(Python 3.11 to 3.13, standard library and pykickstart, nothing else). On the host only
``supported`` is used, to refuse a kickstart before anything boots. Values are NamedTuples, not
dataclasses: importing ``dataclasses`` alone costs a third of a second under emulation.
"""
