"""Keys of the issuers of tokens, where they come from, and verification with them."""
