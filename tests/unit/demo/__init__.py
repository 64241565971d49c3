"""Unit tests of the generator and the faults."""
