"""How hosts reach the devices: protocols as sessions that touch no socket."""
