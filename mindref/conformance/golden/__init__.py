"""Frozen answers: small calls with what the reference said to them once, and provenance.

A file for each operator and for loss, interests and training, once as JSON that needs no Python to
be read, once as safetensors, with the same numbers. A backend, the reference included, is judged
against these numbers and not against what the reference says today.

cases    the calls, sized for a hand
files    the two formats, and calls as arrays by name
golden   make, write, load, compare: python -m mindref.conformance.golden.golden --write
"""
