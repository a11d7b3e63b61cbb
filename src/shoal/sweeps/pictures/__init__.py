"""Pictures of sweeps: what to draw, and how it looks."""
