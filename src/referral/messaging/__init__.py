"""Messages to a phone, and the gateways that carry them."""
