"""What the product can do: one file per verb; each takes the `Engine` (context.py) first."""
