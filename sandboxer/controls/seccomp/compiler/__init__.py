"""From settings to instructions, and the proof that they mean the same. One module a step: diagram, emit, proof."""
