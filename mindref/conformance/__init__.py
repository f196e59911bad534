"""What it takes to judge an implementation; importable by authors of backends.

tolerances   how far two results may lie apart, each number with its reason
gradient     a hand-derived gradient against a central difference, by random projection
strategies   what property tests draw: sizes, masks, active interests, seeded arrays
"""
