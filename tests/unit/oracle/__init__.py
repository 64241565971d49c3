"""Unit tests of the oracle: hand-computed cases."""
