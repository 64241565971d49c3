"""How fast the platform is, measured the same way every time: `python -m bench` (whole stack), `python -m bench.stages` (pure core)."""
