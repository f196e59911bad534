"""From a raw log to arrays. In reading order:

log         what a reader returns: events by user, dense ids, features
readers     one module for each format, and `frames` for tables in memory; their shared steps are
            `streams`, `times`, `identifier`, `side` and `assemble`
synthetic   a built-in log with planted interests; `shelves` holds its titles
splits      training sequences and the cases of validation and test
samples     random cuts of the training sequences
batches     cuts and histories laid out as padded arrays
negatives   sets of items to compare with, and how often each is expected

Nothing here knows a model, and importing this package imports none of its modules.
"""
