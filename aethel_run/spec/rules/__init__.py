"""Rules between the fields of a document, each a function named for the rule; what one module holds is one part of it."""
