"""What this host gives: its programs, its hypervisor, its accelerator."""
