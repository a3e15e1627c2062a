"""The demo: a driving clip through segmentation_node."""
