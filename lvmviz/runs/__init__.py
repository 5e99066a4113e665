"""Jobs and what they leave: a trace of snapshots."""
