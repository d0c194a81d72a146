"""Save a model of eight weights: save.py FILE."""

import sys

import keras

keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="net").save(sys.argv[1])
