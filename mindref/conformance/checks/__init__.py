"""The checks of the conformance suite, by stem of the specification page.

A stem is a module, or a package with the modules `agreement` (compare with the reference) and
`properties` (algebraic properties and exact cases). `contract` tests a backend as a whole, `golden`
compares with the golden values.
"""
