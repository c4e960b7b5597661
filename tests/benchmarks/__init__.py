"""What things cost: hand-written loops to compare with, paired timing, and the suite (docs/benchmarks.md)."""
