"""Tests of the host protocols, and the volume and the sockets they are tested with."""
