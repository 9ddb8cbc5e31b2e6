"""Which runs stay and which may go: pure rules over what is known of them."""
