"""The operations of the runtime specification: one file per verb."""
