"""Files of messages: received, checked, made ready for WhatsApp, kept and served."""
