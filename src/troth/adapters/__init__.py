"""Client libraries on `troth.Context`: what each needs so that every connection is judged at its own endpoint.

The context alone is enough where a library gives `ssl` the connected socket (http.client, smtplib, imaplib, urllib3 and
requests without a proxy). The adapters are for the rest: proxies, libraries on asyncio, and pools that must not reuse a
connection whose pins have changed. Each module imports its library; nothing else of Troth does.
"""
