"""Observers of a sweep: the terminal view, ``progress.json`` and TensorBoard files. No torch."""
