"""The run directory: checkpoint, metadata, items, reports, locks and atomic files."""
