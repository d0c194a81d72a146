"""Weights of a model: how they are spread, how large they are, and how far they moved. Knows no framework."""
