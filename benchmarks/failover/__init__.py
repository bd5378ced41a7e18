"""Who answers when the owner of an address fails: netlb and keepalived, as a client sees it."""
