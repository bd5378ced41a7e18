"""The one door of the room: clients of the systems that keep addresses for us."""
