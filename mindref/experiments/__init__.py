"""Experiments: models compared, settings ablated, on the same cases and with equal chances.

Spec: specs/experiments.md. An arm is a label and changes of the settings. Every arm is trained with
the same seeds into run directories of its own, judged on the same test cases, and set beside its
opponent user by user. A run that is there is never trained again, so the same command goes on.

    arms       what is set beside what, and where its runs lie
    runs       a run made, taken up where it was stopped, or found finished
    hits       the rank of the first hit of each test case, kept beside the model
    tuning     as many trials for every model, chosen on validation
    paired     means, intervals, tests: users resampled, few seeds by Student
    contrasts  all of that for the arms of a table
    models     the models of `mindref compare` and their grids (models.toml)
    studies    the studies of `mindref ablate` (studies.toml)
    compare    the paper's table
    ablate     one study after the other
    tables     results as tables and Markdown
    plot       results as a picture
"""
