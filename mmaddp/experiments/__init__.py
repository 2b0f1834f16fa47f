"""What is measured over many trainings or checkpoints, and the one way to keep its results."""
