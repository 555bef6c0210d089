"""What ``vitbench.doctor`` finds out about this machine: readings of the system, live checks, and what to change."""
