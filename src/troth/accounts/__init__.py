"""Users: roles, passwords, log-ins, API tokens, codes (TOTP), and what becomes of those who guess."""
