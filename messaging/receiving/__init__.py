"""What numbers receive: messages, what changes them, and receipts."""
