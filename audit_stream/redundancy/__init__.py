"""An archive that stands in two stores: what is right by the evidence, and what is to be copied."""
