"""Records of measurements: one JSON object per line, appended and flushed, never rewritten. No torch, no pandas.

A results folder holds ``records.jsonl`` (all results), ``environments.jsonl`` (the description of each machine, by
hash), ``artifacts/`` (arrays too large for a line) and, after a crash that cut a line, ``records.torn.jsonl``.
"""
