"""Calls to a number: told, rejected by a setting or by hand, and the text that whoever called is written then.

    the offer comes -> a row and its event -> the holder rejects it -> the row says so -> the text is on the ledger

Each arrow is a transaction, and the next holder goes on where one died (`live.Calls.online`).
"""
