"""Experiments: comparisons of models and ablations of settings, on the same test cases.

Spec: specs/experiments.md. An arm is a label with changes to the settings. Every arm is trained
with the same seeds, in separate run directories, evaluated on the same test cases, and compared
with its opponent user by user. Finished runs are never trained again, so that the same command
resumes an experiment.

    arms          arms and the directories of their runs
    runs          train, resume or load a run
    first_hits    the rank of the first hit of each test case
    step_clock    time of training steps
    tuning        equally many trials for every model, chosen on validation
    paired_tests  means, bootstrap intervals, paired tests
    contrasts     the estimates of all arms of a table
    model_arms    the models of `mindref compare` (models.toml)
    studies       the studies of `mindref ablate` (studies.toml)
    compare       the paper's table
    ablate        one study after the other
    results       parts that all results share
    tables        results as tables and Markdown
    plot          results as a plot
"""
