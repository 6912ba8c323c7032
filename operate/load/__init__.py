"""Finding what limits a stack: a load in steps, what each tier did meanwhile, and a verdict."""
