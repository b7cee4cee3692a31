"""The build host: its programs, its hypervisor, its accelerator."""
