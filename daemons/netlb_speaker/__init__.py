"""netlb-speaker: announces this node's addresses by ARP and NDP."""
