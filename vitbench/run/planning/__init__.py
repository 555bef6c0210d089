"""From an ablation to the trials that are still to be run. No torch.

A ``trial`` and its ids; all ``trials`` of an ablation as lazy ``blocks``; held against what is ``recorded``
(``sorting``), here or in other folders (``shared``), they become a ``plan``, which a dry run shows (``preview``, with
MACs by ``counting``).
"""
