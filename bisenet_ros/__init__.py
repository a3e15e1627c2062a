"""Real-time road segmentation for ROS 2 with BiSeNet V2."""
