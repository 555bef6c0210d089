"""The command ``python -m vitbench.trace``: a profile of a model's steps, for TensorBoard and as a summary."""
