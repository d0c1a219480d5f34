"""The pages that links in e-mails lead to. Opening one changes nothing: mail scanners open links too."""
