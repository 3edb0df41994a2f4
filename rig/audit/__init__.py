"""The prefix auditor: a process of its own that believes neither site of a bench."""
