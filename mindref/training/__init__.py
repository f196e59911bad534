"""Training: batches by step, the engine that takes a step, the loop and the optimiser."""
