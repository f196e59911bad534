"""The catalogue of wrong implementations: the reference with one realistic mistake each.

A page of the specification has a file `<page>.toml` of variants, each an edit of the reference's
source that breaks one rule; `loader.py` reads them and builds them. The judge must catch every one,
and compares what it finds wrong in a stranger's implementation with them.
"""
