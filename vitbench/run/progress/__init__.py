"""Watching a run. No torch.

An ``observer`` is told what happens: the terminal's ``view``, TensorBoard's ``scalars``. From another terminal
``standing`` says how a folder stands, counted (``tally``) by ``following`` its records.
"""
