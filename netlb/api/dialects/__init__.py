"""Other systems' configuration, each translated into native kinds; nothing behind `api` knows of them."""
