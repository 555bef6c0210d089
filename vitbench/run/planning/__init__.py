"""From an ablation to the trials that are still to run. No torch.

``trial`` defines a trial and its ids, ``trials`` lists the trials of an ablation as ``lazy_trials``, ``reuse`` finds
those that are recorded, and ``plan`` puts it all together. A dry run prints the plan (``preview``) with its ``macs``.
"""
