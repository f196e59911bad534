"""Golden values: small calls with the stored answers of the reference, and their provenance.

There is a file for each operator and for loss, interests and training. Each is stored as JSON,
which needs no Python, and as safetensors, with the same numbers. A backend, the reference included,
is compared with these numbers and not with the current answer of the reference.

cases    the calls, small enough to compute by hand
files    the two formats
golden   make, write, load, compare: python -m mindref.conformance.golden.golden --write
"""
