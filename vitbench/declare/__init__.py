"""Declarations: configs, ablations, claims, designs, the zoo and recipes. Imports neither torch nor pandas."""
