"""The checks of the conformance suite: one module or package for each specification page.

Packages of operators have the modules `agreement`, which compares answers with the reference, and
`properties`, which tests algebraic properties and calls with known answers. The module
`contract` tests a backend as a whole. The module `golden` compares a backend with golden values.
"""
