"""One REGISTER with digest (RFC 7616), as a phone sends it: register.py HOST USER PASSWORD. Prints the final status."""
import hashlib
import re
import secrets
import socket
import sys

host, user, password = sys.argv[1:]
phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
phone.connect((host, 5060))
phone.settimeout(5)
address = "%s:%d" % phone.getsockname()
unique = secrets.token_hex(8)  # or an earlier run's transaction answers


def ask(number, more=""):
    phone.send(
        f"REGISTER sip:{host} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{unique}{number};rport\r\nMax-Forwards: 70\r\n"
        f"From: <sip:{user}@{host}>;tag={unique}\r\nTo: <sip:{user}@{host}>\r\nCall-ID: {unique}\r\nCSeq: {number} REGISTER\r\n"
        f"Contact: <sip:{user}@{address}>\r\nExpires: 600\r\n{more}Content-Length: 0\r\n\r\n".encode()
    )
    return phone.recv(65535).decode()


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


answer = ask(1)
realm, nonce = re.search(r'realm="([^"]*)", nonce="([^"]*)", algorithm=SHA-256', answer).groups()
response = sha(f"{sha(f'{user}:{realm}:{password}')}:{nonce}:00000001:c:auth:{sha(f'REGISTER:sip:{host}')}")
answer = ask(
    2,
    f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="sip:{host}", algorithm=SHA-256, qop=auth, nc=00000001, '
    f'cnonce="c", response="{response}"\r\n',
)
print(answer.split()[1])
