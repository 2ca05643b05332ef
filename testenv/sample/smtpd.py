"""The sample's mail server: SMTP on port 25 of each address given, with STARTTLS and AUTH; it keeps nothing.

    smtpd.py CERTIFICATE KEY ADDRESS...
"""

import asyncio
import ssl
import sys

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult


async def main(cert, key, addresses):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)

    def session():
        return SMTP(
            Sink(),
            hostname="mx1.alpenpost.example",
            ident="ESMTP Alpenpost",
            tls_context=tls,
            auth_require_tls=False,
            authenticator=lambda *_: AuthResult(success=True),
        )

    loop = asyncio.get_running_loop()
    for address in addresses:
        await loop.create_server(session, host=address, port=25)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
