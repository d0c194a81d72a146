"""Detecting that what a model sees or says is no longer what it was trained on.

Knows NumPy and SciPy at the most, and no telemetry.
"""

from gangplank.drift.result import Drift

__all__ = ["Drift"]
