"""The checks of the conformance suite: one module or package for each specification page.

The package of an operator has a module `agreement`, which compares results with the reference, and
a module `properties`, which tests algebraic properties and known results.
The module `contract` tests a backend as a whole. `golden` compares a backend with golden values.
"""
