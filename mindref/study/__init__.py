"""Watch, change and re-derive every step of the algorithm."""
