"""The results folder, from the side that writes it. No torch.

One ``writer`` at a time holds the ``lock``, and keeps a ``backup`` of what it wrote. It writes the plan
(``plan_record``) and the records of trials (``recorder``), after it copied those of other folders (``result_cache``).
``checkpoints`` lie beside the records until their trainings are recorded.
"""
