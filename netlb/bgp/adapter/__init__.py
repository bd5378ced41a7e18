"""The one door of the room: gobgpd's API, the reconciler's operations on it, and a gobgpd of our own."""
