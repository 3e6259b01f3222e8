"""What Troth must reach, measured: `python -m benchmarks` from the root of a checkout. See README.md."""
