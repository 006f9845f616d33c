"""How the demo model is made: its sessions, their variations, the network, the file."""
