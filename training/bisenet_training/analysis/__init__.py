"""What a trained network does: scores, Grad-CAM, complexity."""
