"""The catalogue of mutants: wrong implementations, each with one mistake that breaks one rule.

The mutants of a page of specs/ are in `<page>.toml`: in this folder if the conformance suite checks
the page, otherwise in tests/mutants/. The header of a mutant names the broken rule and the wrong
behaviour, such as `[squash-R1."the length becomes sigmoid(n)"]`. Below it are these keys:

- `name`: unique over all files. Default: page and wrong behaviour, joined by hyphens.
- `scope`: the uses of the mutant, by default "suite" here and "tests" in tests/mutants/:

    suite   a check of the rule must fail; diagnosis.py names the mutant if it explains a failure.
    tests   a test that cites the rule must fail.
    study   `mindref study` shows the mutant.

- `does`: the effect on a model; `seen`: public code with this mistake. Both are optional.
- `at`: the edited statement. `new` replaces the statement; `before` or `after` is inserted. A
  mutant with several edits has a list `edits` instead. anchors.py defines the format.
- `tests`: optional, the folder or file of the test that must fail, such as "tests/kernels/".

loader.py builds mutants, and anchors.py makes the edits.
"""
