"""Every kind of message that can be sent: its fields, its limits, and whom it may go to.

One struct per type, chosen by ``type``; the content stands under the type's name, in the same words in which
received messages show it.
"""
