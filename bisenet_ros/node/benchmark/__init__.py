"""`bisenet benchmark node`: what the node adds to the engine, measured from process to process over real DDS."""
