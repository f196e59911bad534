"""Public code judged: adapters for two packages, and public bugs as backends."""
