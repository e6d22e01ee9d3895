"""An SMTP server on this machine that keeps what it is sent, for tests."""

from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread


@dataclass(frozen=True)
class Delivery:
    """One message, as it came over the wire."""

    user: str
    password: str
    sender: str
    recipients: list[str]
    message: Message

    @property
    def text(self) -> str:
        return self.message.get_payload(decode=True).decode()


@dataclass(frozen=True)
class Inbox:
    """What a server was sent, and how to reach it."""

    port: int
    deliveries: list[Delivery] = field(default_factory=list)

    def build_dsn(self, user: str = "", query: str = "timeout=5") -> str:
        login = f"{user}:{user}-password@" if user else ""
        return f"smtp://{login}127.0.0.1:{self.port}/?{query}"

    @property
    def senders(self) -> list[str]:
        return [delivery.sender for delivery in self.deliveries]


class Handler(StreamRequestHandler):
    """One connection: knows as much of SMTP as smtplib needs."""

    timeout = 10

    def handle(self) -> None:
        self.user = self.password = self.sender = ""
        self.recipients: list[str] = []
        self.say("220 ready")
        for line in iter(self.rfile.readline, b""):
            command, _, rest = line.decode().strip().partition(" ")
            answer = getattr(self, f"do_{command.lower()}", None)
            self.say("502 what?" if answer is None else answer(rest))
            if command.upper() == "QUIT":
                return

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def do_ehlo(self, rest: str) -> str:
        return "250-here\r\n250 AUTH PLAIN"

    def do_auth(self, rest: str) -> str:
        _, self.user, self.password = (
            b64decode(rest.removeprefix("PLAIN ")).decode().split("\0")
        )
        known = self.password == f"{self.user}-password"
        return "235 welcome" if known else "535 who are you?"

    def do_mail(self, rest: str) -> str:
        self.sender = rest.partition("<")[2].partition(">")[0]
        return "250 yes"

    def do_rcpt(self, rest: str) -> str:
        self.recipients.append(rest.partition("<")[2].partition(">")[0])
        return "250 yes"

    def do_data(self, rest: str) -> str:
        self.say("354 go on")
        lines = list(iter(self.rfile.readline, b".\r\n"))
        self.server.deliveries.append(
            Delivery(
                self.user,
                self.password,
                self.sender,
                self.recipients,
                message_from_bytes(b"".join(lines)),
            )
        )
        return "250 kept"

    def do_rset(self, rest: str) -> str:
        return "250 yes"

    def do_quit(self, rest: str) -> str:
        return "221 bye"


class Server(ThreadingTCPServer):
    daemon_threads = True
    deliveries: list[Delivery]


@contextmanager
def serve_mail() -> Iterator[Inbox]:
    with Server(("127.0.0.1", 0), Handler) as server:
        inbox = Inbox(server.server_address[1])
        server.deliveries = inbox.deliveries
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield inbox
        server.shutdown()
        thread.join()
