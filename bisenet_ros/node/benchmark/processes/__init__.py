"""The parts of the benchmark that are processes of their own, and how they are talked to."""
