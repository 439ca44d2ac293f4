"""What all trainings share: views of people, losses, optimisers, metrics, checkpoints, and the one loop."""
