"""What was measured: one JSON object a line, appended and flushed, never rewritten. Imports neither torch nor pandas.

A results folder holds ``records.jsonl`` (the truth), ``environments.jsonl`` (each machine's description once, by hash),
``artifacts/`` (arrays too large for a line) and, if a crash ever tore something, ``records.torn.jsonl``.
"""
