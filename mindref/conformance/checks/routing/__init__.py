"""Checks of routing. Spec: specs/routing.md.

properties   algebraic properties, and results that are known exactly
agreement    comparison of forward with the reference, and invalid arguments
gradient     gradients, for each number of iterations and each input
options      optional features: softmax over behaviours, matrices S_ik, other squash, log weights
"""
