"""Training into a run directory: plan, start, steps, report.

plan             settings, log and number of steps, also from an earlier run; what --dry-run prints
memory_estimate  estimate of the largest memory of a training
warm_start       start of a training from the parameters of an earlier run
trainer          one training and its run directory; that of a recall family, also resumed
rerank_trainer   training of DIN on the candidates of a recall run
"""
