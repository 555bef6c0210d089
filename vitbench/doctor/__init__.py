"""The ``doctor`` command: whether numbers measured on this machine can be trusted now, and how to improve them."""
