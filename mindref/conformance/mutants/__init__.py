"""The catalogue of mutants: wrong implementations, each with one mistake that breaks one rule.

A page of specs/ that the conformance suite checks has a file `<page>.toml` here. The file of any
other page is in tests/mutants/. The header of a mutant is the rule that the mutant breaks and the
wrong behaviour, such as `[squash-R1."the length becomes sigmoid(n)"]`. Below it are these keys:

- `name`: unique over all files. Default: page and wrong behaviour, joined by hyphens.
- `scope`: the uses of the mutant, by default "suite" here and "tests" in tests/mutants/:

    suite   a check of its rule must fail; diagnosis.py names the mutant if it explains a failure.
    tests   a test that cites its rule must fail (tests/test_mutants.py).
    study   `mindref study` shows it.

- `does`: the effect on a model; `seen`: public code with this mistake. Both are optional.
- `at` and `new` (or `before`, `after`): the edited statement and the new text. A mutant with
  several edits has a list `edits` instead. anchors.py defines the format.
- `tests`: optional, the folder or file that has the failing test, such as "tests/kernels/".

loader.py reads and builds mutants, anchors.py makes edits, diagnosis.py compares mutants with a
failed check, and trained.py provides suite mutants as backends.
"""
