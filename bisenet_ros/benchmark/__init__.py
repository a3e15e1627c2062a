"""Times engines, describes the machine, writes tables and plots."""
