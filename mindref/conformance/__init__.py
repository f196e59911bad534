"""Conformance suite: check any implementation of MIND against the specification.

Authors of backends may import it. Subpackages and modules:

checks/      the checks, by stem of the specification page
runner/      run the checks of a backend, from its name to a report
bounds/      arrays that carry an error bound; the reference runs on them unchanged
draws/       Hypothesis strategies that draw calls, and changes of calls
golden/      golden values: calls with their stored answers
mutants/     the mutant catalogue, and the diagnosis of a failure by it
report/      terminal, JSON, Markdown, JUnit, badge, difference to an earlier report, scripts
plugin.py    options of pytest; `test_backend.py` has the checks as tests
requirements.py  the libraries that the suite needs
versions.py  versions of specification, suite and protocol

Useful in any test of a backend, and used in the tests of this repository:

tolerances   tolerances between two results, each with its reason
gradient     comparison of a hand-derived gradient with a central difference
strategies   Hypothesis strategies for sizes, masks, active interests and seeded arrays
"""
