"""Checks of routing. Spec: specs/routing.md.

properties   algebraic properties and exactly known answers
agreement    comparison of forward with the reference, and invalid arguments
gradient     gradients for each number of iterations and each input
options      optional features: softmax axis, matrices, kinds of squash, log weights
"""
