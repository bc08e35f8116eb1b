"""Speed and size on real parts. Figures are ratios to a floor in the same run: machines differ and are noisy.

Run with `make bench`; nothing here is asserted.
"""
