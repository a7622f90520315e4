"""Outside anchors: asking timestamp authorities and witnesses to vouch for checkpoints."""
