"""What a person looks back on: the values that metrics had, each series bounded, from the begin until now.

It reads what exits read, beside the program and at the ends of epochs, and knows nothing of how it is shown.
"""
