"""Golden values: small calls with the stored answers of the reference, and their provenance.

Each operator, and each of loss, interests and training, has two files with the same numbers: JSON,
which needs no Python, and safetensors. The golden checks compare every backend, including the
reference, with these numbers instead of the current answers of the reference.

cases    the calls, which are small enough to compute by hand
files    read and write the two formats
golden   make, write, load, compare: python -m mindref.conformance.golden.golden --write
"""
