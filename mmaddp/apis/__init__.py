"""What the tools do, as functions. Each module is imported by itself, with what it needs."""
