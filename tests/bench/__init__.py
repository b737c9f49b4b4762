"""Benchmarks: `make bench`. They print ratios against a denominator measured in the same run on the same machine."""
