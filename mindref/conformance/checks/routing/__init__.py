"""Checks of routing. Spec: specs/routing.md.

properties   algebraic properties and exact cases
agreement    forward against the reference, and invalid arguments
gradient     gradients, by number of iterations and by input
options      optional axis, matrices and kinds of squash
log_weights  optional log weights of behaviours
"""
