"""The results folder, from the side that writes it. No torch.

One ``writer`` at a time holds the ``lock`` (``turn``: when; ``holder``: who), and keeps a ``spare`` copy.
What is written: the plan (``opening``), the records of trials (``recorder``); ``checkpoints`` come and go beside them.
"""
