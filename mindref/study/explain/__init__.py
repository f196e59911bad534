"""The arithmetic of one cell, from its recipe: what it is made of, and what follows from it.

cells        any cell: the terms, what they add up to
model, loss  cells that are no sums of products, up to the interests and from there on
arithmetic   what an explanation is made of
"""
