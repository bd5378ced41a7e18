"""The one door of the room: devices of tunnels, wireguard-go, strongSwan, and files of keys."""
