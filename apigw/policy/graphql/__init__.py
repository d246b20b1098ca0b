"""What a GraphQL request asks for, what it may cost, and how refusals are told. Only document.py needs graphql-core."""
