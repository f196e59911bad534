"""The catalogue of mutants: wrong implementations, each with one mistake that breaks one rule.

A page that the conformance suite checks has a file `<page>.toml` here. Any other page has such a
file in tests/mutants/ of the repository. The header of a mutant is the rule that it breaks and the
wrong behaviour, such as `[squash-R1."the length becomes sigmoid(n)"]`. Below it are these keys:

- `name`: unique over all files. Default: the page and the words of the sentence.
- `scope`: the uses of the mutant, by default "suite" here and "tests" in tests/mutants/:

    suite   the conformance suite must kill it, and diagnosis.py compares it with a failure.
    tests   the tests that cite the rule must fail on it (tests/test_mutants.py).
    study   `mindref study` shows it.

- `does`: the effect on a model; `seen`: public code with this mistake. Both are optional.
- `at` and `new` (or `before`, `after`): the edited statement and the new text. A mutant with
  several edits has a list `edits` instead. anchors.py defines the format.
- `tests`: optional, the folder or file whose tests must fail, such as "tests/kernels/".

loader.py reads and builds mutants, anchors.py makes the edits, diagnosis.py compares mutants with a
failed check, and trained.py provides each mutant as a backend.
"""
