"""Golden values: small calls, and the answers of the reference that are stored in this folder.

Each operator, and each of loss, interests and training, has a JSON file and a safetensors file with
the same numbers. The golden checks compare every backend, even the reference, with these numbers.

cases    the calls, which are small enough to compute by hand
files    read and write JSON and safetensors
golden   make, write, load, compare: python -m mindref.conformance.golden.golden --write
"""
