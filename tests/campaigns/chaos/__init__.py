"""What chaos is made of: a real cluster, a network and a machine that fail when told to."""
