"""Measurements: ratios taken side by side in one process, interleaved, medians. Results go to docs/log.md."""
