"""The round trip of an ARP request or a neighbour solicitation: who is asked, by what, and how it is shown."""
