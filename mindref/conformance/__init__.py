"""Conformance suite: check any implementation of MIND against the specification.

Authors of backends may import this package. It has these subpackages and modules:

checks/      the checks, grouped by specification page
runner/      load a backend, run the checks on it, build the report
bounds/      arrays that carry an error bound; the code of the reference runs on them
draws/       Hypothesis strategies that draw calls, and functions that change calls
golden/      golden values: calls with the stored answers of the reference
mutants/     the catalogue of mutants, and the diagnosis of a failed check
report/      write reports (terminal, JSON, Markdown, JUnit), comparisons, reproduction scripts
plugin.py    options of the suite in pytest; `test_backend.py` runs each check as a test
requirements.py  the libraries that the suite needs
versions.py  version numbers of the specification, of the checks and of the protocol

The tests of this repository also use these modules, which help in any test of a backend:

tolerances   tolerances between two results, each with its reason
gradient     compare a hand-derived gradient with a central difference
strategies   Hypothesis strategies for sizes, masks, active interests and seeded arrays
"""
