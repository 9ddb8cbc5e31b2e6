"""Keys of encrypted stores: who may read, what keys there are, and how values and names are hidden with them."""
