"""An app server on stomp.py, over TCP."""

import os
import threading
import time

import stomp

HOST, PORT = os.environ.get("STOMPBOX_TCP", "127.0.0.1:61613").rsplit(":", 1)
GONE = threading.Event()


class Server(stomp.ConnectionListener):
    def __init__(self, connection):
        self.connection = connection

    def on_message(self, request):
        h = request.headers
        self.connection.send("/topic/chat.lobby", f"{h['user']} asks: {request.body}")
        if "reply-to" in h:
            back = {"correlation-id": h["correlation-id"]} if "correlation-id" in h else {}
            self.connection.send(h["reply-to"], f"hello {h['user']}", headers=back)
        # What is not acknowledged when this process dies goes to another app server.
        self.connection.ack(h["ack"])

    def on_error(self, error):
        print(error.headers.get("message"))

    def on_disconnected(self):
        GONE.set()


def serve():
    connection = stomp.Connection12([(HOST, int(PORT))], heartbeats=(10000, 10000))
    connection.set_listener("", Server(connection))
    connection.connect("guest", "guest", wait=True)
    connection.subscribe("/app/python.*", id="app", ack="client-individual", headers={"prefetch-count": "100"})
    print("serving /app/python.*", flush=True)
    GONE.wait()


if __name__ == "__main__":
    while True:
        GONE.clear()
        try:
            serve()
        except stomp.exception.ConnectFailedException:
            print("cannot connect to the broker; trying again", flush=True)
        time.sleep(1)
