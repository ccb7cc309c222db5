"""Detektor Features: one definition of a feature, the same number in batch, stream and training sets."""

__version__ = "0.1.0"
