"""What it takes to judge an implementation; importable by authors of backends.

The pages' checks stand here, one module or more for each: routing.py, routing_laws.py,
routing_gradient.py, ..., model.py, optimiser.py, backend.py; goldens.py asks for frozen answers.

judging/     ask, compare, explain, keep books: from a backend to a report
bounds/      the reference on numbers that carry their rounding error
draws/       what checks are fed with
golden/      frozen calls and answers
variants/    wrong implementations, and which of them explains a failure
report/      terminal, JSON, Markdown, JUnit, badge, what has changed, a script for each failure
plugin.py    options of pytest; test_backend.py: the checks as tests; extra.py: is hypothesis there
versions.py  of the pages, the suite and the protocol

Of use in any test of a backend, and used in our own:

tolerances   how far two results may lie apart, each number with its reason
gradient     a hand-derived gradient against a central difference, by random projection
strategies   what property tests draw: sizes, masks, active interests, seeded arrays
"""
