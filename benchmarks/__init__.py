"""Measurements of the figures that we hold ourselves to: ratios taken side by side, interleaved, medians.

Each prints its goal beside the figure. Results go to docs/log.md. `rnn-tui bench` measures any installed architecture.
"""
