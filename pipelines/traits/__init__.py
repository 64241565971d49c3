"""Traits: what sources say of a person or a group, and the one value of each that counts (docs/traits.md)."""
