"""The method, stage by stage: refine (paper 3.5, 3.6), synthesize (3.7), parse (3.7), evaluate (4.3)."""
