"""Whole sites with packets: what is declared, who has to reach whom, and what may be seen on the wire."""
