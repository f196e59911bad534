"""Experiments: comparisons of models and ablations of settings, on the same test cases.

Spec: specs/experiments.md. An arm is a label with changes to the settings. Every arm is trained
with the same seeds, in separate run directories, evaluated on the same test cases, and compared
with its opponent user by user. Finished runs are never trained again, so that the same command
resumes an experiment.

    arms          arms, the directories of their runs, the models of `mindref compare` (models.toml)
    runs          train, resume or load a run
    first_hits    the rank of the first hit of each test case
    paired_tests  means, bootstrap intervals, paired tests, the estimates of all arms of a table
    studies       the studies of `mindref ablate` (studies.toml)
    compare       the paper's table; equally many trials for every model, chosen on validation
    ablate        one study after the other
    tune          trials of a preset or a model on one log, for `mindref tune`
    results       parts that all results share
    tables        results as tables
"""
