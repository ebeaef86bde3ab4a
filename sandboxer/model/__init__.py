"""The nouns: frozen values that cross from one stage to the next. Nothing here does I/O."""
