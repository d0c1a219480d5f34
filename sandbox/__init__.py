"""A simulated WhatsApp network on loopback, for the unmodified neonize client library.

Run it with `python -m sandbox`; docs/sandbox.md describes it.  Layers, bottom up:

    crypto, noise     X25519 keys, XEdDSA signatures; the transport's handshake, server side
    wire              binary XML ("WABinary") stanzas and JIDs
    signal_protocol   end-to-end encryption of the simulated phones
    state             what survives a restart or a kill
    model             accounts, devices, groups, faults
    linking, pairing  QR codes and pairing codes: the phone's part and the server's part
    phone             the primary device of an account: scans, writes, receives
    network, routing  directory, logins, offline queues; where each stanza goes
    iq                info queries: what a client asks the server
    media             HTTPS store for encrypted attachments
    overlay           copy of the neonize package that dials this network
    control           remote control of the network: phones, messages, faults
    server, __main__  sockets and command line
"""
