"""For people who come from another tool: its words, and its command lines as operations."""
