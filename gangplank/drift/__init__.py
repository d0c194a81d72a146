"""Detecting that what a model sees or says is no longer what it was trained on.

Knows NumPy, and no telemetry.
"""
