"""How many examples a property test draws where each takes long."""

from hypothesis import settings

GATE, NIGHTLY = 25, 200
"""Examples of a property test that asks for no number of its own."""


def examples(number):
    """Settings of a test that draws so many examples in the gate, and as many times more at night as all others do."""
    return settings(max_examples=number * settings().max_examples // GATE)
