"""The pages of docs/reference: a module each, a function from code to text."""
