"""How many examples a property test draws."""

from hypothesis import settings

GATE, NIGHTLY = 25, 200
"""Of a property test that asks for no number of its own."""


def scaled(number):
    """The examples of a test that draws so many in the gate: as many times more at night as of all others."""
    return number * settings().max_examples // GATE
