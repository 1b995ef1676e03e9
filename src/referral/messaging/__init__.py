"""Messages to phones, and the gateways that send them."""
