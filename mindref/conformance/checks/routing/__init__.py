"""Checks of routing. Spec: specs/routing.md.

properties   algebraic properties and exact cases
agreement    forward against the reference, and invalid arguments
gradient     gradients, by number of iterations and by input
options      optional axis, matrices, kinds of squash and log weights
"""
