"""Conformance suite: check any implementation of MIND against the specification.

Authors of backends may import this package:

checks/      the checks, grouped by specification page
runner/      load a backend, run the checks, build the report
bounds/      compute an error bound for each expected number
draws/       draw random inputs with Hypothesis, and change inputs
golden/      golden values: stored inputs and expected results
mutants/     wrong implementations, which help to explain a failed check
report/      write reports (terminal, JSON, Markdown, JUnit), compare reports, write scripts
plugin.py    pytest options; `test_backend.py` runs each check as a test
requirements.py  the libraries that the suite needs
versions.py  version numbers of the specification, the checks and the protocol

These modules help in any test of a backend:

tolerances   how much two results may differ, and why
gradient     compare a hand-derived gradient with a central difference
strategies   Hypothesis strategies for sizes, masks, active interests and seeded arrays

Words:

rule         a numbered sentence of a page in specs/, such as routing-R3
check        a function that tests rules on some calls
call         the inputs of one operator, of a loss or of a training; its answer: results by name
stem         what a call computes: the name of an operator, "loss", "interests" or "training"
claim        a feature that a backend lists in `capabilities()`; others get "not_claimed"
level        how much a backend computes: "ops" (operators), "model" or "train" (training steps)
profile      smoke, standard or deep: how many calls are drawn for each check
mutant       a wrong implementation: edits of the reference; its header: rule and wrong behaviour
"""
