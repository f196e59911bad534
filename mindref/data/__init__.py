"""From a raw log to arrays. In reading order:

formats     the list of log formats
log         the interaction log: interactions by user, dense ids, features
readers     one module per format; `frames` reads tables in memory
            shared steps: `times`, `side_info`, `assemble`, `quoting` (text of a
            file in messages)
synthetic   a built-in log with known interests
protocols   names of the protocols that split a log
splits      training sequences and the evaluation cases of validation and test
examples    random training examples, cut from the training sequences
batches     examples and histories as padded arrays
negatives   sampled items, and how often each is expected in a sample
rng         random generators, one per purpose and index

No module of this package imports a model. Importing this package imports none of its modules.
"""
