"""The outbox and the retained state become messages on the broker."""
